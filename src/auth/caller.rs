//! The caller of a request: read from its bearer token, looked up, and asked what it may do.

use belvedere_entity::user;
use chassis::database::{Database, Reader};
use chassis::problem::{Problem, ProblemType};
use chassis::telemetry::RequestScope;
use poem::http::{HeaderValue, Method, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use uuid::Uuid;

use super::attempts::Guessed;
use super::oidc::Outsider;
use super::{Access, AuthContext, AuthMode, Event, TokenError};
use crate::users::model::Password;
use crate::users::{UserError, Users, store};

/// The name of the security scheme in the `OpenAPI` document.
pub(super) const SCHEME: &str = "bearer";
/// RFC 6750, section 3: no error code for a caller that sent no token.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");
const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// Whoever asks, known by a valid token of a user that exists.
pub struct Caller {
    context: AuthContext,
    identity: Identity,
    reads_primary: bool,
}

enum Identity {
    /// The user as it is at this moment, and the session.
    User(Box<user::Model>, Uuid),
    /// Whoever the outside issuer vouches for.
    Outsider(Outsider),
    /// Somebody unknown where `auth.mode` is `off`.
    Operator,
}

impl Caller {
    /// The user's row, unless the caller is nobody in particular.
    pub fn row(&self) -> Option<&user::Model> {
        match &self.identity {
            Identity::User(row, _) => Some(row),
            Identity::Outsider(outsider) => outsider.row.as_deref(),
            Identity::Operator => None,
        }
    }

    /// Where the caller reads others: a replica, unless that could show the state from before a write of
    /// theirs, or an `If-Match` depends on it.
    pub fn reader<'a>(&self, database: &'a Database) -> Reader<'a> {
        let reader = database.reader();
        if self.reads_primary { reader.of_primary() } else { reader }
    }

    /// The user's id.
    pub fn id(&self) -> Option<Uuid> {
        self.row().map(|row| row.id)
    }

    /// A name for the caller that nobody else has; none where nobody knows who it is.
    pub(super) fn name(&self) -> Option<String> {
        match &self.identity {
            Identity::User(row, _) => Some(row.id.to_string()),
            Identity::Outsider(outsider) => Some(outsider.key.name()),
            Identity::Operator => None,
        }
    }

    /// The session that the caller's token is of.
    pub fn session(&self) -> Option<Uuid> {
        match &self.identity {
            Identity::User(_, session) => Some(*session),
            Identity::Outsider(_) | Identity::Operator => None,
        }
    }

    /// Whether the caller may see and change everyone. Of an outsider its token says so, whatever role
    /// the row has.
    pub fn is_admin(&self) -> bool {
        match &self.identity {
            Identity::User(row, _) => row.role == user::Role::Admin,
            Identity::Outsider(outsider) => outsider.is_admin,
            Identity::Operator => true,
        }
    }

    /// 403 where passwords and roles are an outside issuer's matter.
    pub fn require_local(&self) -> Result<(), Problem> {
        self.context.require_local()
    }

    /// 403 for everyone else.
    pub fn require_admin(&self) -> Result<(), Problem> {
        if self.is_admin() {
            return Ok(());
        }
        Err(self.forbidden(None))
    }

    /// The same 404 for everyone else as for a user that does not exist.
    pub fn require_self_or_admin(&self, id: Uuid) -> Result<(), Problem> {
        if self.is_admin() || self.id() == Some(id) {
            return Ok(());
        }
        self.record(Event::AccessDenied, Some(id));
        Err(UserError::NotFound.into())
    }

    /// The caller's row; 403 for an administrator, who sees that the user exists, 404 for others.
    pub fn require_self(&self, id: Uuid) -> Result<&user::Model, Problem> {
        self.require_self_or_admin(id)?;
        match self.row() {
            Some(row) if row.id == id => Ok(row),
            _ => Err(self.forbidden(Some(id))),
        }
    }

    /// Whether this is the password of the caller, whose row this is. Who took over a session could guess
    /// here, so it is counted.
    pub async fn proves(
        &self,
        users: &Users,
        row: &user::Model,
        password: Password,
    ) -> Result<bool, Problem> {
        let event = Event::PasswordChangeFail;
        let attempt = self.context.admit(Guessed::proof(row.id), event, Some(row.id)).await?;
        match users.is_password(row, password).await {
            Ok(true) => {
                attempt.succeeded().await.map_err(UserError::from)?;
                Ok(true)
            }
            Ok(false) => {
                self.record(event, Some(row.id));
                self.context.count_failure(attempt, Some(row.id));
                Ok(false)
            }
            Err(error) => {
                attempt.undo().await;
                Err(error.into())
            }
        }
    }

    /// Tells what the caller did.
    pub fn record(&self, event: Event, target: Option<Uuid>) {
        self.context.events().record(event, self.id(), target);
    }

    /// The same with the reason, a word from the code.
    pub fn record_because(&self, event: Event, reason: &'static str, target: Option<Uuid>) {
        self.context.events().record_because(event, reason, self.id(), target);
    }

    fn forbidden(&self, target: Option<Uuid>) -> Problem {
        self.record(Event::AccessDenied, target);
        Problem::new(&ProblemType::FORBIDDEN)
    }

    pub(super) async fn of(request: &Request) -> Result<Self, Problem> {
        let context = context(request)?;
        let identity = match context.0.mode {
            AuthMode::Off => Identity::Operator,
            AuthMode::Local => {
                let (row, session) = bearer(&context, request).await?;
                Identity::User(Box::new(row), session)
            }
            AuthMode::Oidc => Identity::Outsider(outsider(&context, request).await?),
        };
        let id = match &identity {
            Identity::User(row, _) => row.id,
            Identity::Outsider(outsider) => outsider.key.short(),
            Identity::Operator => Uuid::nil(),
        };
        let recent = &context.0.recent_writers;
        // HEAD has become GET before.
        let writes = request.method() != Method::GET;
        if writes && context.0.database.has_replica() {
            recent.note(id);
        }
        let conditional = request.headers().contains_key(header::IF_MATCH);
        let reads_primary = writes || conditional || recent.has(id);
        Ok(Self { context, identity, reads_primary })
    }
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self::of(request).await?)
    }
}

/// 401 for a caller that shows no token.
pub(super) fn unknown(detail: &str) -> Problem {
    unauthorized(detail, CHALLENGE)
}

/// 401 for a token that is not accepted, whatever the reason.
pub(super) fn invalid() -> Problem {
    unauthorized("the access token is not valid", CHALLENGE_INVALID)
}

fn unauthorized(detail: &str, challenge: HeaderValue) -> Problem {
    Problem::new(&ProblemType::UNAUTHORIZED)
        .detail(detail)
        .header(header::WWW_AUTHENTICATE, challenge)
}

pub(super) fn register(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some("An access token from POST /auth/login, or of the outside issuer where the service has one"),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        },
    );
}

pub(super) fn context(request: &Request) -> Result<AuthContext, Problem> {
    let context = request.data::<AuthContext>().cloned();
    context.ok_or_else(|| Problem::internal("the application did not add its AuthContext"))
}

/// The user whose token the request carries, and the session. The row is read each time, and from the primary, so that
/// what has changed since the token was issued counts: who may do what must not lag.
async fn bearer(context: &AuthContext, request: &Request) -> Result<(user::Model, Uuid), Problem> {
    let access = context.tokens().verify(token(request)?).map_err(|error| {
        // Anybody can send what is no token of ours; this one pretends to be.
        if matches!(error, TokenError::Forged(_)) {
            context.events().record_because(Event::AccessDenied, "forged_token", None, None);
        }
        invalid()
    })?;
    let Access { user_id, token_version, session_id } = access;
    let row = store::find_signed_in(&context.0.database, user_id, token_version, session_id);
    let row = row.await?.ok_or_else(|| {
        let (event, target) = (Event::TokenReuse, Some(access.user_id));
        context.events().record_because(event, "ended", None, target);
        invalid()
    })?;
    RequestScope::with_current(|scope| {
        if let Some(scope) = scope {
            scope.set_user(row.id.to_string());
        }
    });
    Ok((row, session_id))
}

/// Whoever bears the token of the outside issuer that the request carries. Read each time, and from the
/// primary, as above.
async fn outsider(context: &AuthContext, request: &Request) -> Result<Outsider, Problem> {
    let oidc = context.0.oidc.as_ref();
    let oidc = oidc.ok_or_else(|| Problem::internal("there is no outside issuer"))?;
    context.outsider(oidc, token(request)?).await
}

/// The token of `Authorization: Bearer`, of which there may be one.
fn token(request: &Request) -> Result<&str, Problem> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let (first, second) = (headers.next(), headers.next());
    let text = first.and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) && second.is_none() => {
            Ok(token.trim())
        }
        _ => Err(unknown("the request needs an access token")),
    }
}

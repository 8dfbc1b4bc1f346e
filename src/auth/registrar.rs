//! Whoever creates users: a caller, or a stranger where anyone may register.

use chassis::http::idempotency;
use chassis::problem::Problem;
use poem::http::{StatusCode, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use uuid::Uuid;

use super::caller::{SCHEME, context, register};
use super::{AuthContext, AuthMode, Caller, Event, Registration};

/// Whoever may create users: an administrator or, where registration is open, anyone.
pub struct Registrar {
    context: AuthContext,
    caller: Option<Caller>,
}

impl Registrar {
    /// Tells that the registrar created this user.
    pub fn record_created(&self, target: Uuid) {
        let actor = self.caller.as_ref().and_then(Caller::id);
        self.context.events().record(Event::UserCreated, actor, Some(target));
    }

    /// A name for whoever is signed in; nobody's for a stranger.
    pub fn id(&self) -> Option<String> {
        self.caller.as_ref()?.name()
    }

    async fn of(request: &Request) -> Result<Self, Problem> {
        let context = context(request)?;
        let caller = match (context.0.mode, context.0.registration) {
            (AuthMode::Off, Registration::Open) => None,
            (AuthMode::Local, Registration::Open) => known(request).await?,
            // Whoever has an address here is whoever the issuer says has that address: a stranger who
            // registers it would be there first.
            (AuthMode::Oidc, _) | (_, Registration::Admin) => {
                let caller = Caller::of(request).await?;
                caller.require_admin()?;
                Some(caller)
            }
        };
        Ok(Self { context, caller })
    }
}

impl<'a> ApiExtractor<'a> for Registrar {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self::of(request).await?)
    }
}

/// Whoever is signed in, of those who need not be. A token that is not valid is as good as none: what
/// anybody may do is not refused to whoever kept a token for too long. But for repetitions, which as a
/// stranger's would be taken for first requests.
async fn known(request: &Request) -> Result<Option<Caller>, Problem> {
    match Caller::of(request).await {
        Ok(caller) => Ok(Some(caller)),
        Err(problem)
            if problem.status() == StatusCode::UNAUTHORIZED
                && !(shows_token(request) && may_be_repeated(request)) =>
        {
            Ok(None)
        }
        // Whether the token is valid is not known: as a stranger the caller would have other keys.
        Err(problem) => Err(problem),
    }
}

fn shows_token(request: &Request) -> bool {
    request.headers().contains_key(header::AUTHORIZATION)
}

fn may_be_repeated(request: &Request) -> bool {
    request.headers().contains_key(idempotency::NAME)
}

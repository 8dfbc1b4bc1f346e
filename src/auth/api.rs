//! Logging in, going on, logging out, and the keys that others verify tokens with.
//!
//! An unknown address, a wrong password and a user that is disabled are answered alike, in the same words
//! and after the same time, so that nobody learns who has an account.

use belvedere_entity::session;
use belvedere_entity::user::{self, PasswordHash};
use chassis::http::input::{Body, Field};
use chassis::password::Verdict;
use chassis::problem::{Fails, Problem};
use chassis::schema_type;
use chassis::settings::Secret;
use poem::Request;
use poem::http::header;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaSchema;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};
use serde_json::Value;

use super::attempts::Guessed;
use super::caller::unknown;
use super::origin::Origin;
use super::{Access, AuthContext, Event};
use crate::schema::{request_object, text_type};
use crate::sessions::{RefreshToken, Renewal, Renewed};
use crate::users::model::{Email, Password};
use crate::users::{UserError, store};

mod keys;
mod sessions;

pub use keys::KeysApi;
pub use sessions::SessionsApi;

/// The requests under `/auth`.
pub struct AuthApi;

#[derive(Tags)]
enum Tag {
    /// Tokens and sessions.
    Authentication,
}

text_type! {
    /// What somebody typed as an address; whether it is one only the answer 401 tells.
    LoginName,
    check: |_: &str| Ok::<(), String>(()),
    schema: { format: "email", example: "ada@example.org" }
}

request_object! {
    /// An e-mail address and its password.
    pub struct Credentials {
        /// The address of the user, in whatever case.
        pub email: LoginName = required,
        /// The password.
        pub password: Password = required,
    }
    read_only: &[],
    example: { "email": "ada@example.org", "password": "a quiet bench above the river" }
}

/// A refresh token as it was sent; whether it is one only the answer tells.
#[derive(Clone, Debug)]
pub struct Token(Secret);

request_object! {
    /// The refresh token of a session.
    pub struct SessionToken {
        /// What the last login or refresh answered.
        pub refresh_token: Token = required,
    }
    read_only: &[],
    example: { "refresh_token": "bvr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }
}

/// Tokens (RFC 6749, section 5.1).
#[derive(Object)]
#[oai(example)]
struct TokenAnswer {
    /// Send it as `Authorization: Bearer …`.
    #[oai(validator(max_length = 4096))]
    access_token: String,
    /// Always `Bearer`.
    #[oai(validator(max_length = 6))]
    token_type: String,
    /// Seconds for which the token is valid.
    #[oai(validator(minimum(value = "1"), maximum(value = "86400")))]
    expires_in: u64,
    /// Exchange it at `/auth/refresh` for the next pair before the access token ends. It is good for once.
    #[oai(validator(max_length = 64))]
    refresh_token: String,
}

#[derive(ApiResponse)]
enum SignedIn {
    /// Tokens for a session.
    #[oai(status = 200)]
    Tokens(Json<TokenAnswer>),
}

#[derive(ApiResponse)]
enum SignedOut {
    /// There is no session with this token, or none any more.
    #[oai(status = 204)]
    Done,
}

chassis::statuses! {
    /// What can go wrong with logging in.
    LoginFails = 400, 401, 403, 413, 415, 422;
    /// What can go wrong with going on.
    RefreshFails = 400, 401, 403, 413, 415, 422;
    /// What can go wrong with logging out.
    LogoutFails = 400, 403, 413, 415, 422;
}

#[OpenApi(tag = "Tag::Authentication")]
impl AuthApi {
    /// Log in
    ///
    /// Exchanges an e-mail address and a password for an access token, and a refresh token to go on with.
    /// Both end early when the session is ended, the user's password or role changes, or the user is
    /// disabled or deleted. After ten wrong passwords in a row attempts on an account have to wait, twice as
    /// long each time and at most a quarter of an hour: 429 says how long, whatever the password and whether
    /// there is such an account or not. Where the service accepts the tokens of an outside issuer it has none
    /// itself, and the answer is 403.
    #[oai(path = "/auth/login", method = "post", operation_id = "log_in")]
    async fn log_in(
        &self,
        context: Data<&AuthContext>,
        request: &Request,
        origin: Origin,
        body: Body<Credentials>,
    ) -> Result<SignedIn, Fails<LoginFails>> {
        context.require_local()?;
        let row = context.authenticate(body.0, &origin).await?;
        let tokens = context.sign_in(&row, request.header(header::USER_AGENT)).await?;
        Ok(SignedIn::Tokens(Json(tokens)))
    }

    /// Go on
    ///
    /// Exchanges the refresh token of a session for the next pair of tokens; it is spent then. One that
    /// comes for the second time ends the session, for somebody else may have it. Only requests that were
    /// sent side by side, within a few seconds, are answered with the same next token.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        context: Data<&AuthContext>,
        body: Body<SessionToken>,
    ) -> Result<SignedIn, Fails<RefreshFails>> {
        context.require_local()?;
        let tokens = context.renew(&body.0.refresh_token).await?;
        Ok(SignedIn::Tokens(Json(tokens)))
    }

    /// Log out
    ///
    /// Ends the session of this refresh token, spent or not, and its access tokens. A token that is none
    /// is answered alike (RFC 7009, section 2.2): there is no session with it.
    #[oai(path = "/auth/logout", method = "post", operation_id = "log_out")]
    async fn log_out(
        &self,
        context: Data<&AuthContext>,
        body: Body<SessionToken>,
    ) -> Result<SignedOut, Fails<LogoutFails>> {
        context.require_local()?;
        context.sign_out(&body.0.refresh_token).await?;
        Ok(SignedOut::Done)
    }
}

impl Token {
    fn parse(&self) -> Option<RefreshToken> {
        RefreshToken::parse(self.0.expose())
    }
}

schema_type!(
    Token,
    "string_refresh-token",
    MetaSchema { write_only: true, ..MetaSchema::new_with_format("string", "password") }
);

impl Field for Token {
    fn parse(value: Value) -> Result<Self, String> {
        <String as Field>::parse(value).map(|text| Self(Secret::new(text)))
    }
}

impl Example for TokenAnswer {
    fn example() -> Self {
        Self {
            access_token: "header.claims.signature".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
            refresh_token: "bvr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        }
    }
}

impl AuthContext {
    /// The user that the credentials belong to. What fails is counted first, and the statements are the
    /// same for whoever has no account.
    async fn authenticate(
        &self,
        credentials: Credentials,
        origin: &Origin,
    ) -> Result<user::Model, Problem> {
        let password = credentials.password.0;
        let address = credentials.email.into_pii().into_exposed();
        let guessed = Guessed::login(&address, origin.network());
        let attempt = self.admit(guessed, Event::LoginFail, None).await?;
        // What is no address at all belongs to nobody, and takes as long to find out.
        let found = match Email::parse(address) {
            Ok(email) => store::find_by_email(&self.0.database, &email).await?,
            Err(_) => None,
        };
        let stored = found.as_ref().map(|row| row.password_hash.expose());
        let verdict = match self.0.hasher.verify(password.clone(), stored).await {
            Ok(verdict) => verdict,
            Err(error) => {
                attempt.undo().await;
                return Err(UserError::Hash(error).into());
            }
        };
        let reason = match (verdict, &found) {
            (_, None) => "unknown_address",
            (Verdict::Wrong, _) => "wrong_password",
            (_, Some(row)) if row.disabled_at.is_some() => "disabled",
            (verdict, Some(row)) => {
                attempt.succeeded().await.map_err(UserError::from)?;
                if verdict == Verdict::RightButOutdated {
                    self.rehash(row, password).await;
                }
                return Ok(row.clone());
            }
        };
        let target = found.map(|row| row.id);
        self.events().record_because(Event::LoginFail, reason, None, target);
        self.count_failure(attempt, target);
        Err(unknown("the e-mail address or the password is wrong"))
    }

    /// Brings a hash up to the present parameters. Logging in does not depend on it: the next one
    /// tries again.
    async fn rehash(&self, row: &user::Model, password: Secret) {
        let renewed = async {
            let hash = PasswordHash::new(self.0.hasher.hash(password).await?);
            let db = &self.0.database;
            db.retrying(|| store::set_hash(db, row, hash.clone())).await
        };
        if let Err(error) = renewed.await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, user.id = %row.id, "an outdated password hash stays");
        }
    }

    async fn sign_in(
        &self,
        row: &user::Model,
        agent: Option<&str>,
    ) -> Result<TokenAnswer, Problem> {
        let token = RefreshToken::generate().map_err(Problem::internal)?;
        let session = self.sessions().start(row, agent, &token).await.map_err(UserError::from)?;
        let answer = self.grant(row, &session, &token)?;
        for event in [Event::LoginSuccess, Event::SessionCreated, Event::TokenCreated] {
            self.events().record(event, Some(row.id), Some(row.id));
        }
        Ok(answer)
    }

    async fn renew(&self, sent: &Token) -> Result<TokenAnswer, Problem> {
        let Some(token) = sent.parse() else { return Err(no_session()) };
        let next = RefreshToken::generate().map_err(Problem::internal)?;
        let refused = |event, session: session::Model, reason| {
            self.events().record_because(event, reason, None, Some(session.user_id));
            no_session()
        };
        match self.sessions().renew(&token, &next).await.map_err(UserError::from)? {
            Renewal::Renewed(renewed) => {
                let Renewed { session, user, token, again } = *renewed;
                let answer = self.grant(&user, &session, &token)?;
                if !again {
                    self.events().record(Event::SessionRenewed, Some(user.id), Some(user.id));
                }
                self.events().record(Event::TokenCreated, Some(user.id), Some(user.id));
                Ok(answer)
            }
            Renewal::Unknown => Err(no_session()),
            Renewal::Expired(session) => {
                Err(refused(Event::SessionUseAfterExpire, session, "expired"))
            }
            Renewal::Reused(session) => Err(refused(Event::TokenReuse, session, "spent")),
            Renewal::Revoked(session) => Err(refused(Event::TokenReuse, session, "revoked")),
        }
    }

    async fn sign_out(&self, sent: &Token) -> Result<(), Problem> {
        let Some(token) = sent.parse() else { return Ok(()) };
        let ended = self.sessions().end_of(&token).await.map_err(UserError::from)?;
        match ended.map(|ended| (Some(ended.session.user_id), ended.reused)) {
            Some((user, false)) => self.events().record(Event::SessionLogout, user, user),
            // Nobody knows whether it is the user who has it.
            Some((user, true)) => {
                self.events().record_because(Event::TokenReuse, "spent", None, user);
            }
            None => {}
        }
        Ok(())
    }

    fn grant(
        &self,
        row: &user::Model,
        session: &session::Model,
        token: &RefreshToken,
    ) -> Result<TokenAnswer, Problem> {
        let access =
            Access { user_id: row.id, token_version: row.token_version, session_id: session.id };
        let issued = self.tokens().issue(access, session.ends_at).map_err(Problem::internal)?;
        Ok(TokenAnswer {
            access_token: issued.token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: issued.expires_in.as_secs(),
            refresh_token: token.to_secret().expose().to_owned(),
        })
    }
}

/// The same for every refresh token that is not accepted: whoever tries some learns nothing.
fn no_session() -> Problem {
    unknown("the refresh token is not valid")
}

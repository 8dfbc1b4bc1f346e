//! Logging in.
//!
//! An unknown address and a wrong password are answered alike, in the same words and after the same
//! time, so that nobody learns who has an account.

use belvedere_entity::user::{self, PasswordHash};
use chassis::http::input::Body;
use chassis::password::Verdict;
use chassis::problem::{Fails, Problem};
use chassis::settings::Secret;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::caller::unknown;
use super::{Access, AuthContext, Event};
use crate::schema::{request_object, text_type};
use crate::users::model::{Email, Password};
use crate::users::{UserError, store};

/// The requests under `/auth`.
pub struct AuthApi;

#[derive(Tags)]
enum Tag {
    /// Access tokens.
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
    example: { "email": "ada@example.org", "password": "correct horse battery staple" }
}

/// An access token (RFC 6749, section 5.1).
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
}

#[derive(ApiResponse)]
enum LoggedIn {
    /// The address and the password are right.
    #[oai(status = 200)]
    Token(Json<TokenAnswer>),
}

chassis::statuses! {
    /// What can go wrong with logging in.
    LoginFails = 400, 401, 403, 413, 415, 422;
}

#[OpenApi(tag = "Tag::Authentication")]
impl AuthApi {
    /// Log in
    ///
    /// Exchanges an e-mail address and a password for an access token. A token ends early when the
    /// user's password or role changes or the user is deleted. Where the service accepts the tokens of
    /// an outside issuer it has none itself, and the answer is 403.
    #[oai(path = "/auth/login", method = "post", operation_id = "log_in")]
    async fn log_in(
        &self,
        context: Data<&AuthContext>,
        body: Body<Credentials>,
    ) -> Result<LoggedIn, Fails<LoginFails>> {
        context.require_local()?;
        let row = context.authenticate(body.0).await?;
        let token = context.grant(&row)?;
        Ok(LoggedIn::Token(Json(token)))
    }
}

impl Example for TokenAnswer {
    fn example() -> Self {
        Self {
            access_token: "header.claims.signature".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
        }
    }
}

impl AuthContext {
    /// The user that the credentials belong to.
    async fn authenticate(&self, credentials: Credentials) -> Result<user::Model, Problem> {
        let password = credentials.password.0;
        // What is no address at all belongs to nobody, and takes as long to find out.
        let found = match Email::parse(credentials.email.into_pii().into_exposed()) {
            Ok(email) => store::find_by_email(&self.0.database, &email).await?,
            Err(_) => None,
        };
        let stored = found.as_ref().map(|row| row.password_hash.expose());
        let verdict =
            self.0.hasher.verify(password.clone(), stored).await.map_err(UserError::Hash)?;
        match (verdict, found) {
            (Verdict::Right, Some(row)) => Ok(row),
            (Verdict::RightButOutdated, Some(row)) => {
                self.rehash(&row, password).await;
                Ok(row)
            }
            (_, found) => {
                let target = found.map(|row| row.id);
                self.events().record(Event::LoginFail, None, target);
                Err(unknown("the e-mail address or the password is wrong"))
            }
        }
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

    fn grant(&self, row: &user::Model) -> Result<TokenAnswer, Problem> {
        let access = Access { user_id: row.id, token_version: row.token_version };
        let issued = self.tokens().issue(access).map_err(Problem::internal)?;
        self.events().record(Event::LoginSuccess, Some(row.id), Some(row.id));
        self.events().record(Event::TokenCreated, Some(row.id), Some(row.id));
        Ok(TokenAnswer {
            access_token: issued.token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: issued.expires_in.as_secs(),
        })
    }
}

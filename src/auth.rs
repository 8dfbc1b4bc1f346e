//! Who asks: access tokens, the caller behind them, logging in and out.
//!
//! What a caller may do with users is written in `users::api`, in the words of [`Caller`].

use std::sync::Arc;

use chassis::database::Database;
use chassis::password::PasswordHasher;
use chassis::problem::{Problem, ProblemType};
use chassis::telemetry::Metrics;
use uuid::Uuid;

use crate::sessions::Sessions;

pub mod api;
pub mod attempts;
mod caller;
mod events;
mod oidc;
mod origin;
mod recent_writers;
mod registrar;
mod settings;
mod tokens;

pub use caller::Caller;
pub use events::{Event, Events};
pub use oidc::OidcError;
pub use registrar::Registrar;
pub use settings::{AuthMode, AuthSettings, Registration};
pub use tokens::{Access, Issued, Jwk, KeyError, TokenError, Tokens};

use self::attempts::{Attempt, Attempts, Begun, Guessed, Reached};
use self::oidc::Oidc;
use self::recent_writers::RecentWriters;
use crate::users::UserError;

/// What it takes to know a caller. Cheap to clone; the application adds it to every request's data.
#[derive(Clone)]
pub struct AuthContext(Arc<Parts>);

struct Parts {
    mode: AuthMode,
    registration: Registration,
    tokens: Tokens,
    sessions: Sessions,
    /// With `auth.mode = "oidc"`.
    oidc: Option<Oidc>,
    database: Database,
    hasher: PasswordHasher,
    events: Events,
    attempts: Attempts,
    recent_writers: RecentWriters,
}

/// Why callers cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Of this service's own tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Of an outside issuer's.
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

impl AuthContext {
    /// Fails where a key or an issuer cannot be used, which the check of the settings has said before.
    pub fn new(
        settings: &AuthSettings,
        database: Database,
        hasher: PasswordHasher,
        metrics: &Metrics,
    ) -> Result<Self, AuthError> {
        let oidc = match settings.mode {
            AuthMode::Oidc => Some(Oidc::start(settings, metrics)?),
            AuthMode::Local | AuthMode::Off => None,
        };
        Ok(Self(Arc::new(Parts {
            mode: settings.mode,
            registration: settings.registration,
            tokens: Tokens::new(settings)?,
            sessions: Sessions::new(database.clone(), settings.lifetimes()),
            attempts: Attempts::new(database.clone()).with_sessions_of(settings.session_ttl),
            oidc,
            database,
            hasher,
            events: Events::new(metrics),
            recent_writers: RecentWriters::default(),
        })))
    }

    /// The tokens that are issued and accepted.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Who is signed in.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Where security events are told.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Counts an attempt to show a password, or refuses it because of those before it.
    /// Whose, is known of a caller who is signed in, and not of an address before it is looked up.
    pub async fn admit(
        &self,
        guessed: Guessed,
        event: Event,
        whose: Option<Uuid>,
    ) -> Result<Attempt, Problem> {
        match self.0.attempts.begin(guessed).await.map_err(UserError::from)? {
            Begun::Allowed(attempt) => Ok(*attempt),
            Begun::Delayed(wait) => {
                self.events().record_because(event, "delayed", whose, whose);
                // Rounded up: who comes back then is let in.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(Problem::new(&ProblemType::TOO_MANY_REQUESTS)
                    .detail("too many wrong passwords in a row: wait before the next attempt")
                    .retry_after(seconds))
            }
        }
    }

    /// Tells what a wrong password has brought about.
    pub fn count_failure(&self, attempt: Attempt, target: Option<Uuid>) {
        match attempt.failed() {
            Some(Reached::Delay) => self.events().record(Event::LoginLock, None, target),
            Some(Reached::LongestDelay) => self.events().record(Event::LoginFailMax, None, target),
            None => {}
        }
    }
}

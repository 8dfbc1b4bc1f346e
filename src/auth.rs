//! Who asks: access tokens, the caller behind them, and logging in.
//!
//! What a caller may do with users is written in `users::api`, in the words of [`Caller`].

use std::sync::Arc;

use chassis::database::Database;
use chassis::password::PasswordHasher;
use chassis::telemetry::Metrics;

pub mod api;
mod caller;
mod events;
mod oidc;
mod recent_writers;
mod settings;
mod tokens;

pub use caller::{Caller, Registrar};
pub use events::{Event, Events};
pub use oidc::OidcError;
pub use settings::{AuthMode, AuthSettings, Registration};
pub use tokens::{Access, Issued, KeyError, TokenError, Tokens};

use self::oidc::Oidc;
use self::recent_writers::RecentWriters;

/// What it takes to know a caller. Cheap to clone; the application adds it to every request's data.
#[derive(Clone)]
pub struct AuthContext(Arc<Parts>);

struct Parts {
    mode: AuthMode,
    registration: Registration,
    tokens: Tokens,
    /// With `auth.mode = "oidc"`.
    oidc: Option<Oidc>,
    database: Database,
    hasher: PasswordHasher,
    events: Events,
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

    /// Where security events are told.
    pub fn events(&self) -> &Events {
        &self.0.events
    }
}

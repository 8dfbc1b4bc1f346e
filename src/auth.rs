//! Who asks: access tokens, the caller behind them, logging in and out.
//!
//! What a caller may do with users is written in `users::api`, in the words of [`Caller`].

use std::sync::Arc;

use chassis::database::Database;
use chassis::password::PasswordHasher;
use chassis::telemetry::Metrics;

use crate::sessions::Sessions;

pub mod api;
mod caller;
mod events;
mod recent_writers;
mod settings;
mod tokens;

pub use caller::{Caller, Registrar};
pub use events::{Event, Events};
pub use settings::{AuthMode, AuthSettings, Registration};
pub use tokens::{Access, Issued, Jwk, KeyError, TokenError, Tokens};

use self::recent_writers::RecentWriters;

/// What it takes to know a caller. Cheap to clone; the application adds it to every request's data.
#[derive(Clone)]
pub struct AuthContext(Arc<Parts>);

struct Parts {
    mode: AuthMode,
    registration: Registration,
    tokens: Tokens,
    sessions: Sessions,
    database: Database,
    hasher: PasswordHasher,
    events: Events,
    recent_writers: RecentWriters,
}

impl AuthContext {
    /// Fails where `auth.signing_key` is no key, which the check of the settings has said before.
    pub fn new(
        settings: &AuthSettings,
        database: Database,
        hasher: PasswordHasher,
        metrics: &Metrics,
    ) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(Parts {
            mode: settings.mode,
            registration: settings.registration,
            tokens: Tokens::new(settings)?,
            sessions: Sessions::new(database.clone(), settings.lifetimes()),
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
}

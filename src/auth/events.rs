//! Security events in the vocabulary of OWASP's logging cheat sheet: one log line and one count each.
//!
//! They carry ids and nothing else of a person: no name, address, password or token.

use chassis::telemetry::Metrics;
use chassis::telemetry::catalogue::EventRow;
use tracing::{info, warn};
use uuid::Uuid;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody logged in.
    LoginSuccess,
    /// Somebody could not log in.
    LoginFail,
    /// An access token was issued.
    TokenCreated,
    /// A token was used after its user's sessions had ended.
    TokenReuse,
    /// A subject of the outside issuer was linked with a user.
    IdentityLinked,
    /// A user chose another password.
    PasswordChange,
    /// A user could not choose another password.
    PasswordChangeFail,
    /// A caller asked for what it may not do.
    AccessDenied,
    /// A user got another role.
    RoleChange,
    /// A user was created.
    UserCreated,
    /// A user was changed.
    UserUpdated,
    /// A user was deleted.
    UserDeleted,
}

/// Tells security events to the log and the metrics. Cheap to clone.
#[derive(Clone)]
pub struct Events(Metrics);

impl Event {
    /// Every one there is.
    const ALL: [Self; 12] = [
        Self::LoginSuccess,
        Self::LoginFail,
        Self::TokenCreated,
        Self::TokenReuse,
        Self::IdentityLinked,
        Self::PasswordChange,
        Self::PasswordChangeFail,
        Self::AccessDenied,
        Self::RoleChange,
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserDeleted,
    ];

    /// The rows of the catalogue.
    pub fn rows() -> [EventRow; 12] {
        Self::ALL.map(|event| EventRow {
            name: event.name(),
            level: if event.failed() { "WARN" } else { "INFO" },
            meaning: event.meaning(),
        })
    }

    /// OWASP's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoginSuccess => "authn_login_success",
            Self::LoginFail => "authn_login_fail",
            Self::TokenCreated => "authn_token_created",
            Self::TokenReuse => "authn_token_reuse",
            Self::IdentityLinked => "authn_identity_linked",
            Self::PasswordChange => "authn_password_change",
            Self::PasswordChangeFail => "authn_password_change_fail",
            Self::AccessDenied => "authz_fail",
            Self::RoleChange => "authz_change",
            Self::UserCreated => "user_created",
            Self::UserUpdated => "user_updated",
            Self::UserDeleted => "user_deleted",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::LoginSuccess => "somebody logged in",
            Self::LoginFail => "somebody could not log in",
            Self::TokenCreated => "an access token was issued",
            Self::TokenReuse => "a token was used after its user's sessions had ended",
            Self::IdentityLinked => "a subject of the outside issuer was linked with a user",
            Self::PasswordChange => "a user chose another password",
            Self::PasswordChangeFail => "a user could not choose another password",
            Self::AccessDenied => "a caller asked for what it may not do",
            Self::RoleChange => "a user got another role",
            Self::UserCreated => "a user was created",
            Self::UserUpdated => "a user was changed",
            Self::UserDeleted => "a user was deleted",
        }
    }

    fn failed(self) -> bool {
        match self {
            Self::LoginFail | Self::TokenReuse | Self::PasswordChangeFail | Self::AccessDenied => {
                true
            }
            Self::LoginSuccess
            | Self::TokenCreated
            | Self::IdentityLinked
            | Self::PasswordChange
            | Self::RoleChange
            | Self::UserCreated
            | Self::UserUpdated
            | Self::UserDeleted => false,
        }
    }
}

impl Events {
    /// Counts in these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        // An alert on their rate must see the first one, so the series begin at 0.
        for event in Event::ALL {
            metrics.auth_events.with_label_values(&[event.name()]);
        }
        Self(metrics.clone())
    }

    /// Tells that `actor` (nobody, when not signed in) did or tried something to the user `target`.
    pub fn record(&self, event: Event, actor: Option<Uuid>, target: Option<Uuid>) {
        let name = event.name();
        self.0.auth_events.with_label_values(&[name]).inc();
        let actor = actor.map(tracing::field::display);
        let target = target.map(tracing::field::display);
        if event.failed() {
            warn!(
                event.name = name,
                event.outcome = "failure",
                actor.id = actor,
                target.id = target,
                "security event"
            );
        } else {
            info!(
                event.name = name,
                event.outcome = "success",
                actor.id = actor,
                target.id = target,
                "security event"
            );
        }
    }
}

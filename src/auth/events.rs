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
    /// Attempts at a password have to wait from now on, at logins or at changes of it.
    LoginLock,
    /// They have to wait as long as they ever do.
    LoginFailMax,
    /// An operator did what no caller may.
    AdminAction,
    /// An access token was issued.
    TokenCreated,
    /// A token was used after its session had ended, or a refresh token for the second time.
    TokenReuse,
    /// A session was ended before its time, by somebody who may.
    TokenRevoked,
    /// A session began.
    SessionCreated,
    /// A session went on with another refresh token.
    SessionRenewed,
    /// A session was asked to go on after its time.
    SessionUseAfterExpire,
    /// Somebody logged out.
    SessionLogout,
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
    /// A user may no longer sign in.
    UserArchived,
    /// A user was deleted.
    UserDeleted,
}

/// Tells security events to the log and the metrics. Cheap to clone.
#[derive(Clone)]
pub struct Events(Metrics);

impl Event {
    /// Every one there is.
    const ALL: [Self; 21] = [
        Self::LoginSuccess,
        Self::LoginFail,
        Self::LoginLock,
        Self::LoginFailMax,
        Self::AdminAction,
        Self::TokenCreated,
        Self::TokenReuse,
        Self::TokenRevoked,
        Self::SessionCreated,
        Self::SessionRenewed,
        Self::SessionUseAfterExpire,
        Self::SessionLogout,
        Self::IdentityLinked,
        Self::PasswordChange,
        Self::PasswordChangeFail,
        Self::AccessDenied,
        Self::RoleChange,
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserArchived,
        Self::UserDeleted,
    ];

    /// The rows of the catalogue.
    pub fn rows() -> [EventRow; 21] {
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
            Self::LoginLock => "authn_login_lock",
            Self::LoginFailMax => "authn_login_fail_max",
            Self::AdminAction => "authz_admin",
            Self::TokenCreated => "authn_token_created",
            Self::TokenReuse => "authn_token_reuse",
            Self::TokenRevoked => "authn_token_revoked",
            Self::SessionCreated => "session_created",
            Self::SessionRenewed => "session_renewed",
            Self::SessionUseAfterExpire => "session_use_after_expire",
            Self::SessionLogout => "session_logout",
            Self::IdentityLinked => "authn_identity_linked",
            Self::PasswordChange => "authn_password_change",
            Self::PasswordChangeFail => "authn_password_change_fail",
            Self::AccessDenied => "authz_fail",
            Self::RoleChange => "authz_change",
            Self::UserCreated => "user_created",
            Self::UserUpdated => "user_updated",
            Self::UserArchived => "user_archived",
            Self::UserDeleted => "user_deleted",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::LoginSuccess => "somebody logged in",
            Self::LoginFail => "somebody could not log in",
            Self::LoginLock => {
                "wrong passwords in a row: further attempts, at logins or at changes of it, have to wait from now on"
            }
            Self::LoginFailMax => "still more of them: attempts wait as long as they ever do",
            Self::AdminAction => "an operator did what no caller may, such as `users unlock`",
            Self::TokenCreated => "an access token was issued",
            Self::TokenReuse => {
                "a token was used after its session had ended, or a refresh token for the second time"
            }
            Self::TokenRevoked => "a session was ended before its time, by somebody who may",
            Self::SessionCreated => "a session began",
            Self::SessionRenewed => "a session went on with another refresh token",
            Self::SessionUseAfterExpire => "a session was asked to go on after its time",
            Self::SessionLogout => "somebody logged out",
            Self::IdentityLinked => "a subject of the outside issuer was linked with a user",
            Self::PasswordChange => "a user chose another password",
            Self::PasswordChangeFail => "a user could not choose another password",
            Self::AccessDenied => "a caller asked for what it may not do",
            Self::RoleChange => "a user got another role",
            Self::UserCreated => "a user was created",
            Self::UserUpdated => "a user was changed",
            Self::UserArchived => "a user may no longer sign in",
            Self::UserDeleted => "a user was deleted",
        }
    }

    fn failed(self) -> bool {
        match self {
            Self::LoginFail
            | Self::LoginLock
            | Self::LoginFailMax
            | Self::TokenReuse
            | Self::SessionUseAfterExpire
            | Self::PasswordChangeFail
            | Self::AccessDenied => true,
            Self::LoginSuccess
            | Self::AdminAction
            | Self::TokenCreated
            | Self::TokenRevoked
            | Self::SessionCreated
            | Self::SessionRenewed
            | Self::SessionLogout
            | Self::IdentityLinked
            | Self::PasswordChange
            | Self::RoleChange
            | Self::UserCreated
            | Self::UserUpdated
            | Self::UserArchived
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
        self.tell(event, None, actor, target);
    }

    /// The same with a reason, a fixed word that stands on the line and is no label of a metric.
    pub fn record_because(
        &self,
        event: Event,
        reason: &'static str,
        actor: Option<Uuid>,
        target: Option<Uuid>,
    ) {
        self.tell(event, Some(reason), actor, target);
    }

    fn tell(
        &self,
        event: Event,
        reason: Option<&'static str>,
        actor: Option<Uuid>,
        target: Option<Uuid>,
    ) {
        let name = event.name();
        self.0.auth_events.with_label_values(&[name]).inc();
        let actor = actor.map(tracing::field::display);
        let target = target.map(tracing::field::display);
        if event.failed() {
            warn!(
                event.name = name,
                event.outcome = "failure",
                event.reason = reason,
                actor.id = actor,
                target.id = target,
                "security event"
            );
        } else {
            info!(
                event.name = name,
                event.outcome = "success",
                event.reason = reason,
                actor.id = actor,
                target.id = target,
                "security event"
            );
        }
    }
}

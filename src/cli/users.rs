//! `belvedere users`: what must be possible before there is an administrator.

use std::io::{self, BufRead};
use std::process::ExitCode;

use belvedere_entity::user;
use belvedere_migration as migration;
use chassis::database::Database;
use chassis::http::conditional::Versions;
use chassis::http::input::Fields;
use chassis::password::PasswordHasher;
use chassis::problem::Problem;
use chassis::settings::{Environ, Environment, Secret};
use chassis::telemetry::{Metrics, Telemetry};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::print;
use crate::auth::attempts::Attempts;
use crate::auth::{Event, Events};
use crate::failure::Failure;
use crate::idempotency::Idempotency;
use crate::service;
use crate::settings::Settings;
use crate::users::model::{Email, NewUser, Role};
use crate::users::{Users as Directory, store};

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Creates a user. Asks for the password, unseen, unless it comes on standard input.
    Create {
        /// What the person is called.
        #[arg(long)]
        name: String,
        /// The address to sign in with.
        #[arg(long)]
        email: String,
        /// What the user may do.
        #[arg(long, value_enum, default_value_t = RoleName::User)]
        role: RoleName,
        /// Read the password from standard input, up to the end of the first line.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Changes a user's role; this is how the first administrator is made.
    SetRole {
        /// The address of the user.
        email: String,
        /// What the user may do from now on.
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Ends a user's sessions and lets it sign in no more.
    Disable {
        /// The address of the user.
        email: String,
    },
    /// Lets a user sign in that was disabled.
    Enable {
        /// The address of the user.
        email: String,
    },
    /// Lifts the delay that wrong passwords have put on an account.
    Unlock {
        /// The address of the user.
        email: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleName {
    User,
    Admin,
}

impl Users {
    pub(super) async fn run(
        self,
        settings: &Settings,
        environ: &Environ,
    ) -> Result<ExitCode, Failure> {
        let telemetry = super::telemetry(settings, environ)?;
        let done = self.connect(settings, &telemetry).await;
        telemetry.shutdown(service::FLUSH_TIMEOUT).await;
        print(done?)
    }

    async fn connect(self, settings: &Settings, telemetry: &Telemetry) -> Result<String, Failure> {
        let database =
            Database::connect(&settings.database, telemetry).await.map_err(Failure::running)?;
        let done = self.act(settings, &database, telemetry.metrics()).await;
        database.close().await;
        done
    }

    async fn act(
        self,
        settings: &Settings,
        database: &Database,
        metrics: &Metrics,
    ) -> Result<String, Failure> {
        prepare(settings, database).await?;
        let events = Events::new(metrics);
        match self {
            Self::Create { name, email, role, password_stdin } => {
                let password = if password_stdin { piped()? } else { asked()? };
                let members =
                    json!({ "name": name, "email": email, "password": password.expose() });
                let limits = &settings.password;
                let new = check(members, |fields| NewUser::from_fields(fields, limits))?;
                let hasher = PasswordHasher::new(limits, metrics).map_err(Failure::running)?;
                let keys = Idempotency::new(database.clone(), settings.server.request_timeout);
                let users = Directory::new(database.clone(), hasher, limits.clone(), keys, None);
                let row = users.create(new, role.into()).await.map_err(Failure::running)?;
                events.record(Event::UserCreated, None, Some(row.id));
                Ok(row.id.to_string())
            }
            Self::SetRole { email, role } => {
                let row = find(database, email).await?;
                let (id, any) = (row.id, Versions::ANY);
                let granted =
                    database.retrying(|| store::set_role(database, id, role.into(), &any));
                if granted.await.map_err(Failure::running)?.changed {
                    events.record(Event::RoleChange, None, Some(row.id));
                }
                Ok(row.id.to_string())
            }
            Self::Disable { email } => set_enabled(database, &events, email, false).await,
            Self::Enable { email } => set_enabled(database, &events, email, true).await,
            Self::Unlock { email } => {
                let row = find(database, email).await?;
                let attempts = Attempts::new(database.clone());
                let unlocked = attempts.unlock(row.email.expose(), row.id).await;
                unlocked.map_err(Failure::running)?;
                events.record_because(Event::AdminAction, "unlock", None, Some(row.id));
                Ok(row.id.to_string())
            }
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::User => Self::User,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// As the service would at its start: so that the first command on a fresh machine works.
async fn prepare(settings: &Settings, database: &Database) -> Result<(), Failure> {
    let in_development = settings.environment == Environment::Development;
    if settings.database.migrate_on_start.unwrap_or(in_development) {
        migration::up(database.connection()).await.map_err(Failure::running)?;
    }
    match migration::pending(database.connection()).await.map_err(Failure::running)? {
        0 => Ok(()),
        pending => {
            let pending = service::told_pending(pending);
            Err(Failure::Running(format!("{pending}: run `belvedere migrate up`").into()))
        }
    }
}

async fn set_enabled(
    database: &Database,
    events: &Events,
    email: String,
    enabled: bool,
) -> Result<String, Failure> {
    let id = find(database, email).await?.id;
    let any = Versions::ANY;
    let granted = database.retrying(|| store::set_enabled(database, id, enabled, &any));
    if granted.await.map_err(Failure::running)?.changed {
        if enabled {
            events.record_because(Event::UserUpdated, "enabled", None, Some(id));
        } else {
            events.record(Event::UserArchived, None, Some(id));
        }
    }
    Ok(id.to_string())
}

async fn find(database: &Database, email: String) -> Result<user::Model, Failure> {
    let email =
        Email::parse(email).map_err(|allowed| Failure::Arguments(format!("EMAIL: {allowed}")))?;
    let row = store::find_by_email(database, &email).await.map_err(Failure::running)?;
    row.ok_or_else(|| Failure::Running("there is no user with this address".into()))
}

fn piped() -> Result<Secret, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            Failure::Arguments("--password-stdin: the password must be UTF-8".to_owned())
        }
        _ => Failure::running(error),
    })?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

fn asked() -> Result<Secret, Failure> {
    let (first, second) = (prompt("Password: ")?, prompt("Password, again: ")?);
    if first.expose() == second.expose() {
        return Ok(first);
    }
    Err(Failure::Arguments("the two passwords differ".to_owned()))
}

fn prompt(text: &str) -> Result<Secret, Failure> {
    rpassword::prompt_password(text).map(Secret::new).map_err(|_| {
        Failure::Arguments("there is no terminal to ask at; use --password-stdin".to_owned())
    })
}

/// The rules of the API hold here too, and every field that breaks one is named.
fn check<T>(
    members: serde_json::Value,
    take: impl FnOnce(&mut Fields) -> Option<T>,
) -> Result<T, Failure> {
    let serde_json::Value::Object(members) = members else {
        return Err(Failure::Arguments("no fields".to_owned()));
    };
    Fields::check_with(members, &[], take)
        .map_err(|problem| Failure::Arguments(complaints(&problem)))
}

fn complaints(problem: &Problem) -> String {
    let line = |error: &chassis::problem::FieldError| {
        format!("--{} {}", error.pointer.trim_start_matches('/'), error.detail)
    };
    problem.errors().iter().map(line).collect::<Vec<_>>().join("\n       ")
}

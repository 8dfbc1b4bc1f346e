//! The first contact with the database: patient with one that is still starting, and at once
//! and plainly against one that no waiting would help.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::error::{is_locked, server_code};
use super::target::{Target, Unusable};

/// Pauses between attempts double from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A server that does not even refuse gets this long, then another attempt; longer than SQLite waits
/// for a lock.
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// The last attempt gets no more than what is left of the time, but so much: one that is cut off
/// sooner could not tell what is wrong.
const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_secs(2);

/// Codes that a login with these settings will meet again: PostgreSQL's invalid authorization, invalid
/// password and unknown database, MySQL's access denied (to the server, to the database) and
/// unknown database.
const REFUSALS: [&str; 6] = ["28000", "28P01", "3D000", "1045", "1044", "1049"];

/// Why there is no connection. Never contains a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The settings describe no database.
    #[error("{key} must be {allowed}")]
    Settings {
        /// The key at fault.
        key: &'static str,
        /// What it accepts.
        allowed: String,
    },
    /// The database file cannot be used, and waiting will not change that.
    #[error("cannot open the database file {path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is probably wrong with it.
        reason: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The server answered, and said no: login, database name.
    #[error("{server} refused the connection")]
    Refused {
        /// Host and port.
        server: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// No success until `database.connect_timeout` was over.
    #[error("{server} could not be reached within {} s", .within.as_secs_f64())]
    Unreachable {
        /// Host and port, or the file.
        server: String,
        /// How long it was tried.
        within: Duration,
        /// The last failure.
        source: sqlx::Error,
    },
}

impl ConnectError {
    /// Whether a later start with the same settings will fail in the same way.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

impl From<Unusable> for ConnectError {
    fn from(Unusable { key, allowed }: Unusable) -> Self {
        Self::Settings { key, allowed }
    }
}

/// Tries until the database answers; tells which product it is.
pub(super) async fn wait_for(
    target: &Target,
    within: Duration,
) -> Result<&'static str, ConnectError> {
    let deadline = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline - Instant::now();
        let limit = left.clamp(ATTEMPT_TIMEOUT_MIN, ATTEMPT_TIMEOUT_MAX);
        let source = match attempt(target, limit).await {
            Ok(system_name) => {
                info!(db.system.name = system_name, "connected to {target}");
                return Ok(system_name);
            }
            Err(source) => permanent(target, source)?,
        };
        let wait = jittered(pause);
        if Instant::now() + wait >= deadline {
            let server = target.to_string();
            return Err(ConnectError::Unreachable { server, within, source });
        }
        warn!(error = %source, retry_in_ms = wait.as_secs_f64() * 1000.0, "no answer yet from {target}");
        sleep(wait).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn attempt(target: &Target, limit: Duration) -> Result<&'static str, sqlx::Error> {
    let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(limit, target.probe()).await.map_err(timed_out)?
}

/// Gives a passing failure back for another attempt.
fn permanent(target: &Target, source: sqlx::Error) -> Result<sqlx::Error, ConnectError> {
    if matches!(source, sqlx::Error::Configuration(_)) {
        return Err(ConnectError::Refused { server: target.to_string(), source });
    }
    let Some(error) = source.as_database_error() else {
        return Ok(source);
    };
    match target.file() {
        // Another process holds its lock; everything else about a file is lasting.
        Some(_) if is_locked(error) => Ok(source),
        Some(file) => {
            let reason = file_trouble(file);
            Err(ConnectError::File { path: file.to_owned(), reason, source })
        }
        None if REFUSALS.contains(&server_code(error).as_str()) => {
            Err(ConnectError::Refused { server: target.to_string(), source })
        }
        None => Ok(source),
    }
}

fn file_trouble(file: &Path) -> String {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => {
            format!("the directory {} does not exist", parent.display())
        }
        _ if file.is_dir() => "it is a directory".to_owned(),
        _ if !file.exists() => {
            "it does not exist and was not created (mode=rwc missing in the URL, or permission denied?)"
                .to_owned()
        }
        _ => "it is no SQLite database, or may not be read and written".to_owned(),
    }
}

/// Between half and all of the pause, so that many replicas do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1024;
    #[expect(clippy::cast_precision_loss, reason = "below 1024")]
    let share = 0.5 + random as f64 / 2048.0;
    pause.mul_f64(share)
}

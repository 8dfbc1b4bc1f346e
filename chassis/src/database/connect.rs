//! The first contact with the database: patient with one that is still starting, and at once
//! and plainly against one that no waiting would help.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::error::{is_locked, is_login_refused};
use super::target::{Target, Unusable};
use super::tls;
use crate::jitter::jittered;

/// Pauses between attempts double from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A server that does not even refuse gets this long, then another attempt; longer than SQLite waits
/// for a lock.
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// The last attempt gets no more than what is left of the time, but so much: one that is cut off
/// sooner could not tell what is wrong.
const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_secs(2);

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
    /// There is no TLS as the settings demand it.
    #[error("{server}: {reason}")]
    Tls {
        /// Host and port.
        server: String,
        /// What is wrong.
        reason: &'static str,
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
        let left = deadline - Instant::now();
        // The last attempt is made when the time is over: what is up by then is used.
        let wait = jittered(pause, 0.5..1.0).min(left);
        if wait.is_zero() {
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
    if let Some(reason) = tls::trouble(&source) {
        return Err(ConnectError::Tls { server: target.to_string(), reason, source });
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
        None if is_login_refused(error) => {
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

//! Trying again what the database gave up for the sake of another transaction: a deadlock, a
//! serialization failure, a snapshot that another has overtaken.
//!
//! Nothing of such an attempt is left in the database, so another one may well succeed. Whether a commit
//! whose connection broke has happened, nobody knows: that is no conflict, and is not tried again here.
//! `CockroachDB` and `YugabyteDB`, which speak PostgreSQL's protocol, expect it of every client.

use std::time::Duration;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, sqlx};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::Database;
use super::error::{driver_error, server_code};
use crate::jitter::jittered;

/// Whoever has lost six times has more to do with the load than with bad luck.
const ATTEMPTS: u32 = 6;
/// The longest pause after the first attempt: some transactions of a healthy database. It doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A third of the default `server.request_timeout`. PostgreSQL looks for deadlocks after a second.
const WITHIN: Duration = Duration::from_secs(3);

// What has waited for a lock in vain, SQLite's 5 and MySQL's 1205, is not among these: its time is up.

/// SQLSTATEs: serialization failure and deadlock. Not the whole class 40: 40003 says that nobody knows
/// whether a commit has happened.
const POSTGRES: [&str; 2] = ["40001", "40P01"];
/// MySQL's number for a deadlock, and MariaDB's for a row that another transaction has changed since this
/// one's snapshot.
const MYSQL: [u16; 2] = [1213, 1020];
/// `SQLITE_BUSY_SNAPSHOT`: the same for a reader that begins to write. Waiting would not help it, so SQLite
/// does not wait.
const SQLITE: &str = "517";

/// An error that knows whether the database gave the work up for another transaction.
pub trait Conflict {
    /// The database's code where it did; `None` for every other failure.
    fn conflict(&self) -> Option<String>;
}

impl Conflict for DbErr {
    fn conflict(&self) -> Option<String> {
        match driver_error(self) {
            Some(sqlx::Error::Database(error)) if is_conflict(error.as_ref()) => {
                Some(server_code(error.as_ref()))
            }
            _ => None,
        }
    }
}

impl Database {
    /// Does `work`, one statement or a whole transaction, again while the database gives it up for another
    /// transaction: at most six times within three seconds, after random pauses of growing length. Then
    /// the last error is returned. `work` begins its transactions itself and keeps nothing of an attempt.
    pub async fn retrying<T, E, W>(&self, mut work: impl FnMut() -> W) -> Result<T, E>
    where
        W: Future<Output = Result<T, E>>,
        E: Conflict,
    {
        let deadline = Instant::now() + WITHIN;
        let mut attempts = 1;
        loop {
            let error = match work().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(code) = error.conflict() else {
                return Err(error);
            };
            let pause = pause(attempts);
            let again = attempts < ATTEMPTS && Instant::now() + pause < deadline;
            self.tell(&code, attempts, again);
            if !again {
                return Err(error);
            }
            sleep(pause).await;
            attempts += 1;
        }
    }

    fn tell(&self, code: &str, attempts: u32, again: bool) {
        let outcome = if again { "retried" } else { "given_up" };
        self.observer.metrics().db_retries.with_label_values(&[outcome]).inc();
        if again {
            debug!(
                target: "chassis::database",
                { db.response.status_code = code, attempts },
                "transaction tried again"
            );
        } else {
            warn!(
                target: "chassis::database",
                { db.response.status_code = code, attempts },
                "transaction given up"
            );
        }
    }
}

fn is_conflict(error: &dyn DatabaseError) -> bool {
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return MYSQL.contains(&error.number());
    }
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return POSTGRES.contains(&error.code());
    }
    server_code(error) == SQLITE
}

/// Anything up to a length that doubles with each attempt: two that have met must not meet again.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE * 2_u32.saturating_pow(attempts.saturating_sub(1));
    jittered(longest, 0.0..1.0)
}

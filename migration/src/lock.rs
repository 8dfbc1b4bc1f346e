//! One migrating process at a time, on each kind of database by its own means.
//!
//! On a server the lock belongs to a session of its own, in which the steps run too: as long as the
//! server works on a step, also for a process that was killed, nobody else gets in; and when the session
//! ends, the lock does. It is tried for, never waited for in the server: a statement that waits has a
//! snapshot, and PostgreSQL's `CREATE INDEX CONCURRENTLY` would wait for that snapshot, and so for ever.
//!
//! SQLite has one writer at a time. Each step is a transaction that is the writer from its beginning,
//! and looks in it whether it is still to be done.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use sea_orm_migration::sea_orm::sqlx::pool::PoolOptions;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, SqlxMySqlConnector, SqlxPostgresConnector, Statement,
    TransactionOptions, TransactionTrait, sqlx,
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::MigrationError;
use crate::reason::code;

/// Pauses between attempts double from the first to the last of these: soon enough for a step that
/// takes milliseconds, seldom enough for one that takes an hour.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// A step that waits for a table makes everybody wait who comes after it, so it gives up in a minute. How
/// long it then works is its own matter.
const POSTGRES_SESSION: &str = "SET lock_timeout = '60s'; SET statement_timeout = 0";
/// The comment is a statement's end on `MariaDB`, and nothing on MySQL, which has no such setting.
const MYSQL_SESSION: &str = "SET lock_wait_timeout = 60 /*M!100101 , max_statement_time = 0 */";
/// "belvedere" in ASCII, cut to the 64 bits of an advisory lock's key. Such locks are a database's own.
const POSTGRES_KEY: i64 = 0x6265_6c76_6564_6572;
/// Names of locks are the whole server's, and have 64 characters at most.
const MYSQL_TAKE: &str =
    "SELECT GET_LOCK(LEFT(CONCAT('belvedere.migrations.', SHA2(LOWER(DATABASE()), 256)), 64), 0)";
/// SQLSTATE for a function that is missing, or not supported (older `YugabyteDB`).
const NO_ADVISORY_LOCKS: [&str; 2] = ["42883", "0A000"];
/// SQLite's primary result code for a file that another connection writes to.
const SQLITE_BUSY: u32 = 5;

/// The right to migrate, and the connection to do it on. Ends with [`Lock::release`], or by being dropped
/// once the statement under way has ended.
pub(crate) struct Lock {
    connection: DatabaseConnection,
    patience: Duration,
    /// Whether the server knows of it.
    in_session: bool,
}

impl Lock {
    pub(crate) async fn acquire(
        db: &DatabaseConnection,
        patience: Duration,
    ) -> Result<Self, MigrationError> {
        let Some(connection) = session(db) else {
            return Ok(Self { connection: db.clone(), patience, in_session: false });
        };
        let in_session = patiently(patience, async || match take(&connection).await {
            Ok(taken) => Ok(taken.then_some(true)),
            Err(error) if has_no_locks(&error) => Ok(Some(false)),
            Err(error) => Err(error),
        });
        let in_session = in_session.await?;
        if !in_session {
            warn!("the database has no advisory locks: let one process migrate at a time");
        }
        Ok(Self { connection, patience, in_session })
    }

    /// Where the steps run.
    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Whether a step may run outside of a transaction: in SQLite only a transaction keeps others out.
    pub(crate) fn reaches_beyond_transactions(&self) -> bool {
        self.connection.get_database_backend() != DbBackend::Sqlite
    }

    /// Takes the lock once more, which its own session may always do. The session that replaces a lost
    /// one may only where nobody else was quicker.
    pub(crate) async fn hold(&self) -> Result<(), MigrationError> {
        if self.in_session && !take(&self.connection).await? {
            return Err(MigrationError::Lost);
        }
        Ok(())
    }

    /// A transaction for one step. On SQLite it is the only writer from now on. MySQL ends it with each
    /// change of the schema; there it only sees to it that the step does not outlive its session.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, MigrationError> {
        if self.connection.get_database_backend() != DbBackend::Sqlite {
            return Ok(self.connection.begin().await?);
        }
        let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..Default::default() };
        // The driver waits for the file as well, but only some seconds.
        let begin = async || match self.connection.begin_with_options(options).await {
            Ok(transaction) => Ok(Some(transaction)),
            Err(error) if is_busy(&error) => Ok(None),
            Err(error) => Err(error),
        };
        patiently(self.patience, begin).await
    }

    /// Lets the next process in.
    pub(crate) async fn release(self) {
        let release = match self.connection.get_database_backend() {
            DbBackend::Postgres => "SELECT pg_advisory_unlock_all()",
            DbBackend::MySql => "DO RELEASE_ALL_LOCKS()",
            // There the pool is the caller's.
            _ => return,
        };
        // A session that cannot be asked any more ends here, and its locks with it.
        let _ = self.connection.execute_unprepared(release).await;
        let _ = self.connection.close_by_ref().await;
    }
}

/// A pool of one connection, which nothing but an error replaces; none for SQLite. It is none of the
/// caller's connections, of which there may be only one.
fn session(db: &DatabaseConnection) -> Option<DatabaseConnection> {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            let options = db.get_postgres_connection_pool().connect_options();
            let pool = only_one(POSTGRES_SESSION).connect_lazy_with(options.as_ref().clone());
            Some(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
        }
        DbBackend::MySql => {
            let options = db.get_mysql_connection_pool().connect_options();
            let pool = only_one(MYSQL_SESSION).connect_lazy_with(options.as_ref().clone());
            Some(SqlxMySqlConnector::from_sqlx_mysql_pool(pool))
        }
        _ => None,
    }
}

fn only_one<DB: sqlx::Database>(first: &'static str) -> PoolOptions<DB>
where
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    PoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move { sqlx::raw_sql(first).execute(connection).await.map(drop) })
        })
}

async fn take(session: &DatabaseConnection) -> Result<bool, DbErr> {
    let backend = session.get_database_backend();
    if backend == DbBackend::Postgres {
        let sql = "SELECT pg_try_advisory_lock($1)";
        let take = Statement::from_sql_and_values(backend, sql, [POSTGRES_KEY.into()]);
        return match session.query_one_raw(take).await? {
            Some(row) => row.try_get_by_index(0),
            None => Ok(false),
        };
    }
    let row = session.query_one_raw(Statement::from_string(backend, MYSQL_TAKE)).await?;
    let taken: Option<i32> = match row {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    Ok(taken == Some(1))
}

/// Tries until it is had or the patience is over; says once that it waits.
async fn patiently<T>(
    patience: Duration,
    attempt: impl AsyncFn() -> Result<Option<T>, DbErr>,
) -> Result<T, MigrationError> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(had) = attempt().await? {
            return Ok(had);
        }
        if pause == FIRST_PAUSE {
            info!("waiting for another process that migrates");
        }
        if Instant::now() >= deadline {
            return Err(MigrationError::Locked { patience });
        }
        sleep(jittered(pause).min(deadline - Instant::now())).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Between half and all of the pause, so that many processes do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1024;
    #[expect(clippy::cast_precision_loss, reason = "below 1024")]
    let share = 0.5 + random as f64 / 2048.0;
    pause.mul_f64(share)
}

fn has_no_locks(error: &DbErr) -> bool {
    code(error).is_some_and(|code| NO_ADVISORY_LOCKS.contains(&code.as_str()))
}

fn is_busy(error: &DbErr) -> bool {
    let code = code(error).and_then(|code| code.parse::<u32>().ok());
    // The lowest byte of an extended code is the primary one.
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

#[cfg(test)]
mod tests;

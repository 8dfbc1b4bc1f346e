//! One migrating process at a time, on each kind of database by its own means. The lock is bound to a
//! transaction, and with it to one connection; the steps run in it.
//!
//! In PostgreSQL and SQLite a failed step takes back the whole run. MySQL commits with each
//! change of the schema, and so knows only a lock that outlives its transaction.

use std::time::Duration;

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value, sqlx,
};
use tokio::time::{Instant, sleep};

use crate::MigrationError;

/// A migration of a large table takes its time; whoever waits longer than this may fail, be started
/// again and wait once more.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a locked SQLite file is tried again, after the driver itself has given up.
const RETRY: Duration = Duration::from_millis(100);
/// "belvedere" in ASCII, cut to the 64 bits of an advisory lock's key.
const POSTGRES_KEY: i64 = 0x6265_6c76_6564_6572;
const MYSQL_NAME: &str = "belvedere.migrations";
/// SQLite's primary result code for a file that another connection writes to.
const SQLITE_BUSY: u32 = 5;

/// The lock, held until it is released.
pub(crate) struct Lock(DatabaseTransaction);

impl Lock {
    pub(crate) async fn acquire(db: &DatabaseConnection) -> Result<Self, MigrationError> {
        match db.get_database_backend() {
            DbBackend::Sqlite => sqlite(db).await,
            DbBackend::Postgres => postgres(db).await,
            _ => mysql(db).await,
        }
    }

    pub(crate) fn transaction(&self) -> &DatabaseTransaction {
        &self.0
    }

    /// Commits what went well, takes back what did not, and lets the next process in.
    pub(crate) async fn release<T>(
        self,
        result: Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        let ended = self.end(result.is_ok()).await;
        let value = result?;
        ended?;
        Ok(value)
    }

    async fn end(self, well: bool) -> Result<(), DbErr> {
        if self.0.get_database_backend() == DbBackend::MySql {
            // The connection goes back to the pool and would keep the lock.
            let release = mysql_statement("SELECT RELEASE_LOCK(?)", [MYSQL_NAME.into()]);
            self.0.query_one_raw(release).await?;
        }
        if well { self.0.commit().await } else { self.0.rollback().await }
    }
}

/// The write lock of the file is taken at once. The driver waits for it, but only some seconds.
async fn sqlite(db: &DatabaseConnection) -> Result<Lock, MigrationError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match db.begin_with_options(options).await {
            Err(error) if !is_busy(&error) => return Err(error.into()),
            Err(_) if Instant::now() > deadline => return Err(MigrationError::Locked),
            Err(_) => sleep(RETRY).await,
            Ok(transaction) => return Ok(Lock(transaction)),
        }
    }
}

async fn postgres(db: &DatabaseConnection) -> Result<Lock, MigrationError> {
    let transaction = db.begin().await?;
    // Also bounds the steps: none may wait for a table longer than that.
    let timeout = format!("SET LOCAL lock_timeout = {}", PATIENCE.as_millis());
    transaction.execute_unprepared(&timeout).await?;
    let sql = "SELECT pg_advisory_xact_lock($1)";
    let take = Statement::from_sql_and_values(DbBackend::Postgres, sql, [POSTGRES_KEY.into()]);
    transaction.execute_raw(take).await.map_err(|error| match sqlstate(&error).as_deref() {
        Some("55P03") => MigrationError::Locked,
        _ => error.into(),
    })?;
    Ok(Lock(transaction))
}

async fn mysql(db: &DatabaseConnection) -> Result<Lock, MigrationError> {
    let transaction = db.begin().await?;
    let patience = PATIENCE.as_secs().into();
    let take = mysql_statement("SELECT GET_LOCK(?, ?)", [MYSQL_NAME.into(), patience]);
    let row = transaction.query_one_raw(take).await?;
    let taken: Option<i32> = match row {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    if taken == Some(1) { Ok(Lock(transaction)) } else { Err(MigrationError::Locked) }
}

fn mysql_statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::MySql, sql, values)
}

fn is_busy(error: &DbErr) -> bool {
    let code = sqlstate(error).and_then(|code| code.parse::<u32>().ok());
    // The lowest byte of an extended code is the primary one.
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    let sqlx::Error::Database(error) = error.as_ref() else {
        return None;
    };
    error.code().map(std::borrow::Cow::into_owned)
}

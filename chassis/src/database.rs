//! The connection to the database: opened patiently, measured at every statement, watched by
//! `health`. Entities take a [`Database`] wherever they take a connection.
//!
//! What is stored in it is the service's matter.

mod comment;
mod connect;
mod error;
mod file;
mod observer;
mod pool;
mod settings;
mod statement;
mod target;
mod transaction;

use std::fmt::{self, Debug, Display};
use std::pin::Pin;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionError, TransactionOptions,
    TransactionTrait,
};

pub use connect::ConnectError;
pub use error::{QueryError, is_unavailable, violated_constraint};
pub use settings::DatabaseSettings;
pub use transaction::Transaction;

use self::comment::Comments;
use self::file::OpenedFile;
use self::observer::{Observer, Server};
use self::pool::Pool;
use self::statement::Summary;
use self::target::Target;
use crate::telemetry::Telemetry;

/// A pool of connections to one database. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Database {
    connection: DatabaseConnection,
    observer: Observer,
    comments: Comments,
    /// `None` for servers and for a database in memory.
    file: Option<OpenedFile>,
}

impl Database {
    /// Waits for the database, up to `connect_timeout`, and opens a pool to it.
    pub async fn connect(
        settings: &DatabaseSettings,
        telemetry: &Telemetry,
    ) -> Result<Self, ConnectError> {
        let target = Target::from_settings(settings)?;
        let system_name = connect::wait_for(&target, settings.connect_timeout).await?;
        let file = match target.file() {
            // A path that is no file at all (an empty one is a temporary database) is not watched.
            Some(path) => OpenedFile::remember(path).await.ok(),
            None => None,
        };
        let server = Server::new(system_name, &target);
        let max_connections = target.max_connections(settings.max_connections);
        let pool = Pool::new(settings, max_connections, telemetry.metrics());
        let connection = target.open(&pool);
        let observer = Observer::new(telemetry, pool, settings.slow_query, server);
        let comments = Comments { enabled: settings.sql_comments };
        Ok(Self { connection, observer, comments, file })
    }

    /// Kind of SQL that this database speaks.
    pub fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    /// `db.system.name` of OpenTelemetry: `sqlite`, `postgresql`, `mysql` or `mariadb`.
    pub fn system_name(&self) -> &'static str {
        self.observer.system_name()
    }

    /// `db.client.connection.pool.name` of OpenTelemetry.
    pub fn pool_name(&self) -> &'static str {
        Pool::name()
    }

    /// The connection below, for migrations; its statements are not measured.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Takes a connection from the pool and asks for a sign of life; a SQLite file must still be where
    /// it was opened. Makes no span: whoever asks every few seconds would fill the traces.
    pub async fn ping(&self) -> Result<(), QueryError> {
        if let Some(file) = &self.file {
            file.check().await.map_err(QueryError::io)?;
        }
        let pool = self.observer.pool();
        Ok(pool.timed(self.connection.ping()).await?)
    }

    /// Begins a transaction that will write. SQLite takes its write lock now, where waiting for it is
    /// possible, and not at the first write after a read, where it fails at once.
    pub async fn begin_write(&self) -> Result<Transaction, DbErr> {
        let sqlite_transaction_mode = match self.backend() {
            DbBackend::Sqlite => Some(SqliteTransactionMode::Immediate),
            _ => None,
        };
        let options = TransactionOptions { sqlite_transaction_mode, ..Default::default() };
        self.begin_with_options(options).await
    }

    /// Sets the gauges of the pool; called before each scrape.
    pub fn refresh_pool_gauges(&self) {
        self.observer.pool().refresh_gauges(&self.connection);
    }

    /// Closes the pool of all clones, after the statements under way.
    pub async fn close(self) {
        // sea-orm's signature has room for an error, its drivers have none.
        let _ = self.connection.close_by_ref().await;
    }
}

impl Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("system_name", &self.system_name()).finish_non_exhaustive()
    }
}

#[async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.connection.execute_raw(self.comments.on(statement)).await };
        self.observer.observe(summary, work).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let work = async { self.connection.execute_unprepared(&self.comments.on_text(sql)).await };
        self.observer.observe(Summary::of_text(sql), work).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.connection.query_one_raw(self.comments.on(statement)).await };
        self.observer.observe(summary, work).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let summary = Summary::of_prepared(&statement);
        let work = async { self.connection.query_all_raw(self.comments.on(statement)).await };
        self.observer.observe(summary, work).await
    }
}

#[async_trait]
impl TransactionTrait for Database {
    type Transaction = Transaction;

    async fn begin(&self) -> Result<Transaction, DbErr> {
        self.begin_with_options(TransactionOptions::default()).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Transaction, DbErr> {
        let options = TransactionOptions { isolation_level, access_mode, ..Default::default() };
        self.begin_with_options(options).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Transaction, DbErr> {
        Transaction::begin(&self.connection, &self.observer, self.comments, options).await
    }

    async fn transaction<F, T, E>(&self, work: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c Transaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        self.transaction_with_config(work, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        work: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c Transaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let begun = self.begin_with_config(isolation_level, access_mode).await;
        begun.map_err(TransactionError::Connection)?.run(work).await
    }
}

#[cfg(test)]
mod tests;

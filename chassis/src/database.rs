//! The connection to the database: opened patiently, measured at every statement, watched by
//! `health`. Entities take a [`Database`] wherever they take a connection.
//!
//! What is stored in it is the service's matter.

mod comment;
mod connect;
mod error;
mod file;
mod lifeline;
mod observer;
mod pool;
mod reaper;
mod replica;
mod retry;
mod rotation;
mod session;
mod settings;
mod statement;
mod target;
mod tls;
mod transaction;
mod watchdog;

use std::fmt::{self, Debug, Display};
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionError, TransactionOptions,
    TransactionTrait,
};

pub use connect::ConnectError;
pub use error::{QueryError, is_unavailable, violated_constraint};
pub use replica::{Reader, ReplicaWatch};
pub use retry::Conflict;
pub use settings::DatabaseSettings;
pub use tls::TlsMode;
pub use transaction::Transaction;

use self::comment::Comments;
use self::file::OpenedFile;
use self::lifeline::Lifeline;
use self::observer::{Observer, Server};
use self::pool::Pool;
use self::reaper::Reaper;
use self::replica::Replica;
use self::rotation::{Rotated, Rotation};
use self::session::Session;
use self::statement::Summary;
use self::target::Target;
use self::watchdog::Watchdog;
use crate::telemetry::Telemetry;

/// The name of the pool, unless it is a replica's.
const PRIMARY: &str = "primary";

/// A pool of connections to one database. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Database {
    connection: DatabaseConnection,
    observer: Observer,
    lifeline: Lifeline,
    comments: Comments,
    /// Where `database.read_url` names one.
    replica: Option<Arc<Replica>>,
    /// Ends with the last clone.
    rotation: Option<Arc<Rotation>>,
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
        let primary = Self::open(PRIMARY, target, file, system_name, settings, telemetry);
        let Some(target) = Target::of_replica(settings)? else {
            let connection = primary.connection.clone();
            let pools = Rotated { primary: vec![connection], replica: Vec::new() };
            return Ok(Self {
                rotation: Rotation::start(settings, pools, telemetry.dispatch()),
                ..primary
            });
        };
        // Nobody waits for a replica, which may be gone at start as at any time.
        let database = Self::open(replica::POOL, target, None, system_name, settings, telemetry);
        let pools = Rotated {
            primary: vec![primary.connection.clone()],
            replica: vec![database.connection.clone()],
        };
        let replica = Some(Arc::new(Replica::new(database, telemetry)));
        Ok(Self {
            replica,
            rotation: Rotation::start(settings, pools, telemetry.dispatch()),
            ..primary
        })
    }

    /// A pool that connects when it is asked for something.
    fn open(
        name: &'static str,
        target: Target,
        file: Option<OpenedFile>,
        system_name: &'static str,
        settings: &DatabaseSettings,
        telemetry: &Telemetry,
    ) -> Self {
        let server = Server::new(system_name, &target);
        let is_server = target.address().is_some();
        let in_memory = !is_server && target.file().is_none();
        let max_connections = target.max_connections(settings.max_connections);
        let acquire_timeout = match name {
            PRIMARY => settings.acquire_timeout,
            _ => settings.acquire_timeout.min(replica::PATIENCE),
        };
        let reaper = (system_name == "mariadb").then(|| Reaper::new(telemetry.dispatch().clone()));
        let session = Session::new(system_name, settings.statement_timeout, reaper.clone());
        let pool = Pool::new(name, max_connections, acquire_timeout, session, telemetry.metrics());
        let connection = target.open(&pool);
        let lifeline = Lifeline::beside(&connection, in_memory);
        if let Some(reaper) = &reaper {
            reaper.work_by(&lifeline);
        }
        let watched = is_server.then(|| lifeline.clone());
        let watchdog = Watchdog::new(watched, settings.acquire_timeout);
        let observer =
            Observer::new(telemetry, pool, settings.slow_query, server, watchdog, reaper, file);
        let comments = Comments { enabled: settings.sql_comments };
        Self { connection, observer, lifeline, comments, replica: None, rotation: None }
    }

    /// For reads of GET requests, whose answers may be a moment old.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    /// Whether a [`reader`](Self::reader) may be answered by a replica.
    pub fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    /// Begins to use the replica, if there is one: while it answers and passes `check`, which gets a
    /// connection to it and may look at its schema. Returns after the first answer, or half a second.
    pub async fn watch_replica<F, C, E>(&self, check: F) -> Option<ReplicaWatch>
    where
        F: Fn(DatabaseConnection) -> C + Send + Sync + 'static,
        C: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let replica = Arc::clone(self.replica.as_ref()?);
        Some(ReplicaWatch::start(replica, check).await)
    }

    /// Kind of SQL that this database speaks.
    pub fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    /// `db.system.name` of OpenTelemetry: `sqlite`, `postgresql`, `mysql` or `mariadb`.
    pub fn system_name(&self) -> &'static str {
        self.observer.system_name()
    }

    /// The pool below; its statements are not measured, and short, or else they might be taken for
    /// abandoned ones.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// A connection for health checks, beside those of the pool: these may all be busy, and the
    /// database in good health. One connection, for statements that are short.
    pub fn health_connection(&self) -> &DatabaseConnection {
        self.lifeline.connection()
    }

    /// Asks for a sign of life, beside the pool and within two seconds; a SQLite file must still be
    /// where it was opened. Makes no span: whoever asks every few seconds would fill the traces.
    pub async fn ping(&self) -> Result<(), QueryError> {
        if let Some(file) = self.observer.file() {
            file.check().await.map_err(QueryError::io)?;
        }
        self.lifeline.ask().await
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
        if let Some(replica) = &self.replica {
            replica.database.refresh_pool_gauges();
        }
    }

    /// Closes the pool of all clones, after the statements under way.
    pub async fn close(self) {
        if let Some(rotation) = &self.rotation {
            rotation.stop();
        }
        let replica = async {
            if let Some(replica) = &self.replica {
                replica.database.close_pools().await;
            }
        };
        tokio::join!(self.close_pools(), replica);
    }

    async fn close_pools(&self) {
        // sea-orm's signature has room for an error, its drivers have none.
        let (_, ()) = tokio::join!(self.connection.close_by_ref(), self.lifeline.close());
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
        let lost = Arc::default();
        Transaction::begin(&self.connection, &self.observer, self.comments, options, lost).await
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

/// Now, in the microseconds that databases keep: what is written is what is read.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests;

//! A connection beside the pool, for asking whether the database is there. However busy the pool is,
//! readiness and hanging statements are judged here; so there is one connection more than the pool has.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use sea_orm::sqlx::pool::{Pool, PoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqlxMySqlConnector,
    SqlxPostgresConnector, SqlxSqliteConnector,
};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use super::error::{QueryError, is_crowded};
use super::session::drop_connection;

/// The connection that is there gets this long, then another is opened: together less than the two
/// seconds that a health check may take.
const PING_TIMEOUT: Duration = Duration::from_millis(500);
const OPEN_TIMEOUT: Duration = Duration::from_millis(1200);

/// Asks one database for signs of life. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lifeline(Arc<Inner>);

/// Does not keep the pool.
pub(super) struct WeakLifeline(Weak<Inner>);

struct Inner {
    pool: DatabaseConnection,
    /// None for a database in memory, which is its one connection.
    own: Option<DatabaseConnection>,
    /// What is being asked at present, for all who want to know.
    asking: Mutex<Option<Asking>>,
    /// The server has refused a new connection since it was last asked.
    in_doubt: AtomicBool,
}

type Asking = Shared<BoxFuture<'static, Result<(), QueryError>>>;

impl Lifeline {
    pub(super) fn beside(pool: &DatabaseConnection, in_memory: bool) -> Self {
        let own = (!in_memory).then(|| sibling(pool));
        let in_doubt = AtomicBool::new(false);
        Self(Arc::new(Inner { pool: pool.clone(), own, asking: Mutex::default(), in_doubt }))
    }

    pub(super) fn downgrade(&self) -> WeakLifeline {
        WeakLifeline(Arc::downgrade(&self.0))
    }

    /// For what health checks ask beside signs of life.
    pub(super) fn connection(&self) -> &DatabaseConnection {
        self.0.own.as_ref().unwrap_or(&self.0.pool)
    }

    /// Asks for a sign of life, within two seconds. All who ask at the same time share one answer.
    pub(super) async fn ask(&self) -> Result<(), QueryError> {
        let asking = {
            let mut asking = self.0.asking.lock().unwrap_or_else(PoisonError::into_inner);
            match asking.as_ref().filter(|asking| asking.peek().is_none()) {
                Some(asking) => asking.clone(),
                None => asking.insert(self.start_asking()).clone(),
            }
        };
        asking.await
    }

    /// The next answer must come from a new connection: those that are open prove too little.
    pub(super) fn doubt(&self) {
        self.0.in_doubt.store(true, Ordering::Relaxed);
    }

    pub(super) async fn close(&self) {
        if let Some(own) = &self.0.own {
            // sea-orm's signature has room for an error, its drivers have none.
            let _ = own.close_by_ref().await;
        }
    }

    /// In a task of its own: who asked first may leave before the others.
    fn start_asking(&self) -> Asking {
        let inner = Arc::clone(&self.0);
        let answer =
            tokio::spawn(async move { inner.answer().await }.with_subscriber(Dispatch::none()));
        let answer = answer.map(|answer| match answer {
            Ok(answer) => answer,
            Err(_) => Err(QueryError::io(io::Error::other("the check was broken off"))),
        });
        answer.boxed().shared()
    }
}

impl WeakLifeline {
    pub(super) fn upgrade(&self) -> Option<Lifeline> {
        self.0.upgrade().map(Lifeline)
    }
}

impl Inner {
    async fn answer(&self) -> Result<(), QueryError> {
        let Some(own) = &self.own else {
            return Ok(self.pool.ping().await?);
        };
        if own.get_database_backend() == DbBackend::Sqlite {
            // A ping would not touch the file.
            own.query_one_raw(look_into_the_file()).await?;
            return Ok(());
        }
        follow_options(&self.pool, own);
        if self.in_doubt.load(Ordering::Relaxed) {
            match open_another(own).await {
                Err(error) if !is_crowded(&error) => return Err(error.into()),
                _ => self.in_doubt.store(false, Ordering::Relaxed),
            }
        }
        match ping(own).await {
            Ok(()) => Ok(()),
            // The connection may be broken, the database need not be; and a refusal says why.
            Err(_) => Ok(open_another(own).await?),
        }
    }
}

fn look_into_the_file() -> sea_orm::Statement {
    sea_orm::Statement::from_string(DbBackend::Sqlite, "SELECT count(*) FROM sqlite_schema")
}

/// A pool of one connection to the same database. Opens nothing yet.
fn sibling(connection: &DatabaseConnection) -> DatabaseConnection {
    match connection.get_database_backend() {
        DbBackend::Postgres => SqlxPostgresConnector::from_sqlx_postgres_pool(beside(
            connection.get_postgres_connection_pool(),
        )),
        DbBackend::MySql => {
            SqlxMySqlConnector::from_sqlx_mysql_pool(beside(connection.get_mysql_connection_pool()))
        }
        _ => SqlxSqliteConnector::from_sqlx_sqlite_pool(beside(
            connection.get_sqlite_connection_pool(),
        )),
    }
}

fn beside<DB: sqlx::Database>(pool: &Pool<DB>) -> Pool<DB> {
    let options = PoolOptions::<DB>::new()
        .max_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None)
        .acquire_timeout(pool.options().get_acquire_timeout())
        // Nothing that was given up on it is waited for.
        .after_release(|connection, _| {
            Box::pin(async {
                match timeout(PING_TIMEOUT, connection.flush()).await {
                    Ok(Ok(())) => Ok(true),
                    _ => drop_connection(),
                }
            })
        });
    options.connect_lazy_with((*pool.connect_options()).clone())
}

/// The pool's password may have changed.
fn follow_options(pool: &DatabaseConnection, own: &DatabaseConnection) {
    fn follow<DB: sqlx::Database>(pool: &Pool<DB>, own: &Pool<DB>) {
        own.set_connect_options((*pool.connect_options()).clone());
    }
    match own.get_database_backend() {
        DbBackend::Postgres => {
            follow(pool.get_postgres_connection_pool(), own.get_postgres_connection_pool());
        }
        DbBackend::MySql => {
            follow(pool.get_mysql_connection_pool(), own.get_mysql_connection_pool());
        }
        _ => {}
    }
}

/// Asks on the connection that is there. Without an answer in time it is closed, and not returned: the
/// driver does not remember that one is still to come, and would take it for the next statement's.
async fn ping(own: &DatabaseConnection) -> Result<(), sqlx::Error> {
    async fn ping<DB: sqlx::Database>(pool: &Pool<DB>) -> Result<(), sqlx::Error> {
        let end = Instant::now() + PING_TIMEOUT;
        let silent = |_| sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        let mut connection = timeout_at(end, pool.acquire()).await.map_err(silent)??;
        let answer = timeout_at(end, connection.ping()).await.map_err(silent).flatten();
        if answer.is_err() {
            drop(connection.detach());
        }
        answer
    }
    match own.get_database_backend() {
        DbBackend::Postgres => ping(own.get_postgres_connection_pool()).await,
        DbBackend::MySql => ping(own.get_mysql_connection_pool()).await,
        _ => ping(own.get_sqlite_connection_pool()).await,
    }
}

/// Opens a connection and closes it.
async fn open_another(own: &DatabaseConnection) -> Result<(), DbErr> {
    async fn open<DB: sqlx::Database>(pool: &Pool<DB>) -> Result<(), sqlx::Error> {
        pool.connect_options().connect().await?.close().await
    }
    let open = async {
        match own.get_database_backend() {
            DbBackend::Postgres => open(own.get_postgres_connection_pool()).await,
            DbBackend::MySql => open(own.get_mysql_connection_pool()).await,
            _ => open(own.get_sqlite_connection_pool()).await,
        }
    };
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into();
    let opened = timeout(OPEN_TIMEOUT, open).await.map_err(silent);
    opened.flatten().map_err(|error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}

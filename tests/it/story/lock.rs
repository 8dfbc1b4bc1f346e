//! Holds the table of users, so that statements stand still while the test looks at them: a database
//! server tells the text of whatever waits. SQLite tells nobody; there, only writers wait.

use std::cell::RefCell;

use chassis::database::{Database, Transaction};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionSession};

use crate::support::{App, eventually};

const POSTGRES_LOCK: &str = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
const POSTGRES_WAITING: &str = "SELECT query FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event_type = 'Lock'";
const MYSQL_LOCK: &str = "LOCK TABLES users WRITE";
const MYSQL_UNLOCK: &str = "UNLOCK TABLES";
const MYSQL_WAITING: &str = "SELECT info FROM information_schema.processlist \
    WHERE db = database() AND state LIKE 'Waiting for table%' AND info IS NOT NULL";

/// The table of users, held until it is released.
pub(super) struct Lock {
    database: Database,
    transaction: Transaction,
}

/// Whether the database tells the text of what it runs.
pub(super) fn tells(app: &App) -> bool {
    !app.database.url().starts_with("sqlite:")
}

impl Lock {
    pub(super) async fn take(app: &App) -> Self {
        let database = app.connection().await;
        // On SQLite this is the lock already.
        let transaction = database.begin_write().await.unwrap();
        let lock = match database.backend() {
            DbBackend::Postgres => Some(POSTGRES_LOCK),
            DbBackend::MySql => Some(MYSQL_LOCK),
            _ => None,
        };
        if let Some(lock) = lock {
            transaction.execute_unprepared(lock).await.unwrap();
        }
        Self { database, transaction }
    }

    /// The requests' statements that wait for the table, once there are any. Those of tasks in the background
    /// may wait beside them; a request's that has lost its id is waited for in vain.
    pub(super) async fn waiting(&self) -> Vec<String> {
        let texts = RefCell::default();
        let found = async || {
            let found = self.texts().await;
            let some = !found.is_empty();
            texts.replace(found);
            some
        };
        eventually("a request's statement waits", found).await;
        texts.into_inner()
    }

    pub(super) async fn release(self) {
        if self.database.backend() == DbBackend::MySql {
            self.transaction.execute_unprepared(MYSQL_UNLOCK).await.unwrap();
        }
        self.transaction.rollback().await.unwrap();
        self.database.close().await;
    }

    async fn texts(&self) -> Vec<String> {
        let backend = self.database.backend();
        let sql = if backend == DbBackend::Postgres { POSTGRES_WAITING } else { MYSQL_WAITING };
        let rows = self.database.query_all_raw(Statement::from_string(backend, sql)).await;
        let texts = rows.unwrap().into_iter().map(|row| row.try_get_by_index(0).unwrap());
        texts.filter(|text: &String| text.contains("request_id=")).collect()
    }
}

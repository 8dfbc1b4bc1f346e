//! Work that the database gives up for another transaction, on whatever database the tests run: real
//! deadlocks and real serialization failures.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chassis::database::{Conflict, Database, Transaction};
use chassis::testing::{TestDatabase, Witness};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, IsolationLevel, Statement, TransactionSession,
    TransactionTrait,
};
use tokio::sync::Barrier;
use tracing::instrument::WithSubscriber;

const ATTEMPTS: f64 = 6.0;

/// Two counters, 1 and 2, in a table of their own.
struct World {
    database: Database,
    witness: Witness,
    _place: TestDatabase,
}

impl World {
    async fn new() -> Self {
        let place = TestDatabase::create().await;
        let witness = Witness::new("test", "info");
        let mut settings = place.settings();
        settings.acquire_timeout = Duration::from_secs(30);
        let database = Database::connect(&settings, witness.telemetry()).await.unwrap();
        let table = "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)";
        database.execute_unprepared(table).await.unwrap();
        let rows = "INSERT INTO counters VALUES (1, 0), (2, 0)";
        database.execute_unprepared(rows).await.unwrap();
        Self { database, witness, _place: place }
    }

    async fn counters(&self) -> [i64; 2] {
        [read(&self.database, 1).await.unwrap(), read(&self.database, 2).await.unwrap()]
    }

    /// MySQL does not drop a table that is in use, if only by a transaction that is being rolled back.
    async fn end(self) {
        self.database.close().await;
    }

    fn count(&self, outcome: &str) -> f64 {
        self.witness.metric("db_client_retries_total", &[("outcome", outcome)])
    }

    /// A transaction that sees one state of the data from its first read on, and notices when somebody
    /// else has changed what it writes. On MySQL, which notices nothing, as a deadlock does.
    async fn strict(&self) -> Result<Transaction, DbErr> {
        let level = match self.database.backend() {
            DbBackend::Postgres => Some(IsolationLevel::Serializable),
            _ => None,
        };
        self.database.begin_with_config(level, None).await
    }

    /// Adds one to the first counter, by a transaction that loses against another where `lose` says so.
    async fn add_one(&self, lose: bool) -> Result<(), DbErr> {
        let transaction = self.strict().await?;
        read(&transaction, 1).await?;
        if lose {
            self.spoil(&transaction).await?;
        }
        add(&transaction, 1).await?;
        transaction.commit().await
    }

    async fn spoil(&self, transaction: &Transaction) -> Result<(), DbErr> {
        if self.database.backend() == DbBackend::MySql {
            // The very error of a deadlock, by the server's own means.
            let deadlock = "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213";
            return transaction.execute_unprepared(deadlock).await.map(drop);
        }
        add(&self.database, 1).await
    }
}

async fn read(db: &impl ConnectionTrait, id: i32) -> Result<i64, DbErr> {
    let sql = format!("SELECT n FROM counters WHERE id = {id}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let n: i32 = row.unwrap().try_get_by_index(0)?;
    Ok(n.into())
}

async fn add(db: &impl ConnectionTrait, id: i32) -> Result<(), DbErr> {
    let sql = format!("UPDATE counters SET n = n + 1 WHERE id = {id}");
    db.execute_unprepared(&sql).await.map(drop)
}

#[tokio::test]
async fn what_lost_against_another_transaction_is_done_again() {
    let world = World::new().await;
    let attempts = Cell::new(0);
    let work = || {
        attempts.set(attempts.get() + 1);
        world.add_one(attempts.get() <= 2)
    };
    world.database.retrying(work).await.unwrap();
    assert_eq!(attempts.get(), 3);
    let others = if world.database.backend() == DbBackend::MySql { 0 } else { 2 };
    assert_eq!(world.counters().await[0], others + 1, "every addition counts once");
    assert_eq!([world.count("retried"), world.count("given_up")], [2.0, 0.0]);
    world.end().await;
}

#[tokio::test]
async fn whoever_loses_each_time_is_told_so_in_the_end() {
    let world = World::new().await;
    let work = world.database.retrying(|| world.add_one(true));
    let work = work.with_subscriber(world.witness.telemetry().dispatch());
    let error = work.await.unwrap_err();
    let code = error.conflict().unwrap();
    let expected = match world.database.backend() {
        DbBackend::Postgres => "40001",
        DbBackend::MySql => "1213",
        // A reader that would write after another has written: SQLITE_BUSY_SNAPSHOT.
        _ => "517",
    };
    assert_eq!(code, expected);
    assert_eq!([world.count("retried"), world.count("given_up")], [ATTEMPTS - 1.0, 1.0]);
    let lines = world.witness.lines();
    let line = lines.iter().find(|line| line["message"] == "transaction given up").unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["db.response.status_code"], code);
    assert_eq!(line["attempts"], 6);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_lock_each_other_out_both_come_to_an_end() {
    let world = World::new().await;
    if world.database.backend() == DbBackend::Sqlite {
        // One lock for all: there, nobody can wait for somebody who waits.
        return;
    }
    let both = Barrier::new(2);
    let attempts = AtomicU32::new(0);
    let (database, both_, attempts_) = (&world.database, &both, &attempts);
    let cross = |first: i32, second: i32| {
        let met = Cell::new(false);
        async move {
            let work = || async {
                attempts_.fetch_add(1, Ordering::Relaxed);
                let transaction = database.begin_write().await?;
                add(&transaction, first).await?;
                if !met.replace(true) {
                    // Each has one row now, and will want the other's.
                    both_.wait().await;
                }
                add(&transaction, second).await?;
                transaction.commit().await
            };
            database.retrying(work).await
        }
    };
    let (one, other) = tokio::join!(cross(1, 2), cross(2, 1));
    one.unwrap();
    other.unwrap();
    assert_eq!(world.counters().await, [2, 2]);
    let lost = attempts.load(Ordering::Relaxed) - 2;
    assert!(lost >= 1);
    assert_eq!([world.count("retried"), world.count("given_up")], [f64::from(lost), 0.0]);
    world.end().await;
}

/// As `CockroachDB` refuses most: everything went well until the end.
#[tokio::test]
async fn a_commit_that_fails_to_serialize_is_done_again_with_all_of_its_work() {
    let world = World::new().await;
    if world.database.backend() != DbBackend::Postgres {
        return;
    }
    let attempts = Cell::new(0);
    let failed_at = Cell::new("");
    let work = || async {
        attempts.set(attempts.get() + 1);
        let one = world.strict().await?;
        read(&one, 1).await?;
        if attempts.get() == 1 {
            // Each reads what the other writes, and the other commits first.
            let other = world.strict().await?;
            read(&other, 2).await?;
            add(&other, 1).await?;
            add(&one, 2).await?;
            other.commit().await?;
        } else {
            add(&one, 2).await?;
        }
        let done = one.commit().await;
        if done.is_err() {
            failed_at.set("COMMIT");
        }
        done
    };
    world.database.retrying(work).await.unwrap();
    assert_eq!((attempts.get(), failed_at.get()), (2, "COMMIT"));
    assert_eq!(world.counters().await, [1, 1]);
    world.end().await;
}

#[tokio::test]
async fn nothing_else_is_done_again() {
    let world = World::new().await;
    let database = &world.database;
    let duplicate = "INSERT INTO counters VALUES (1, 0)";
    for wrong in [duplicate, "SELECT nothing FROM nowhere"] {
        let attempts = Cell::new(0);
        let work = || {
            attempts.set(attempts.get() + 1);
            database.execute_unprepared(wrong)
        };
        let error = database.retrying(work).await.unwrap_err();
        assert_eq!((attempts.get(), error.conflict()), (1, None), "{wrong}");
    }
    assert_eq!([world.count("retried"), world.count("given_up")], [0.0, 0.0]);
    world.end().await;
}

/// Whether its commit has happened, nobody could say.
#[tokio::test]
async fn work_whose_connection_broke_is_not_done_again() {
    let world = World::new().await;
    let database = &world.database;
    let (own_id, end) = match database.backend() {
        DbBackend::Postgres => ("SELECT pg_backend_pid()::bigint", "SELECT pg_terminate_backend"),
        DbBackend::MySql => ("SELECT CAST(CONNECTION_ID() AS SIGNED)", "KILL"),
        _ => return,
    };
    let attempts = Cell::new(0);
    let work = || async {
        attempts.set(attempts.get() + 1);
        let transaction = database.begin_write().await?;
        let statement = Statement::from_string(database.backend(), own_id);
        let row = transaction.query_one_raw(statement).await?;
        let id: i64 = row.unwrap().try_get_by_index(0)?;
        add(&transaction, 1).await?;
        database.execute_unprepared(&format!("{end} ({id})")).await?;
        transaction.commit().await
    };
    let error = database.retrying(work).await.unwrap_err();
    assert_eq!((attempts.get(), error.conflict()), (1, None));
    assert_eq!(world.counters().await, [0, 0]);
    world.end().await;
}

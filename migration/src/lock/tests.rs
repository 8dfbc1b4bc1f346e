//! The lock as its sessions see it. What processes see of it is in `tests/it`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use chassis::database::Database;
use chassis::testing::{TestDatabase, Witness};

use super::*;

const LONG: Duration = Duration::from_mins(1);

async fn connect(place: &TestDatabase, connections: u32) -> Database {
    let witness = Witness::new("test", "off");
    let mut settings = place.settings();
    settings.max_connections = connections;
    Database::connect(&settings, witness.telemetry()).await.unwrap()
}

#[tokio::test]
async fn a_session_without_the_lock_notices_before_the_next_step() {
    let place = TestDatabase::create().await;
    let database = connect(&place, 1).await;
    let Some(other) = session(database.connection()) else { return };
    let first = Lock::acquire(database.connection(), LONG).await.unwrap();
    first.hold().await.unwrap();
    // As a pooler in transaction mode would, or a connection that replaces a lost one.
    let replaced = Lock { connection: other, patience: LONG, in_session: true };
    assert!(matches!(replaced.hold().await, Err(MigrationError::Lost)));
    first.release().await;
    replaced.hold().await.unwrap();
    replaced.release().await;
    database.close().await;
}

#[tokio::test]
async fn a_dropped_lock_is_free_and_leaves_nothing_in_the_pool() {
    let place = TestDatabase::create().await;
    // One connection, and the lock needs none of it but in SQLite.
    let database = connect(&place, 1).await;
    for _ in 0..3 {
        let lock = Lock::acquire(database.connection(), LONG).await.unwrap();
        let step = lock.begin().await.unwrap();
        step.execute_unprepared("SELECT 1").await.unwrap();
        drop((step, lock));
    }
    let lock = Lock::acquire(database.connection(), LONG).await.unwrap();
    lock.begin().await.unwrap().commit().await.unwrap();
    lock.release().await;
    database.close().await;
}

/// MariaDB's bound may be the server's or, as here, a user's.
#[tokio::test]
async fn steps_have_no_bound_that_a_server_sets_for_every_session() {
    let place = TestDatabase::create().await;
    let database = connect(&place, 1).await;
    if database.system_name() != "mariadb" {
        return;
    }
    let (_, name) = place.url().rsplit_once('/').unwrap();
    let (scheme, rest) = place.url().split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    for sql in [
        format!("CREATE USER {name}@'%' IDENTIFIED BY 'heron' WITH MAX_STATEMENT_TIME 7"),
        format!("GRANT ALL ON {name}.* TO {name}@'%'"),
    ] {
        database.execute_unprepared(&sql).await.unwrap();
    }
    let url = format!("{scheme}://{name}:heron@{address}");
    let bounds = async {
        let bounded = sea_orm::Database::connect(&url).await?;
        let lock = Lock::acquire(&bounded, LONG).await.unwrap();
        let bounds = [bound(&bounded).await?, bound(lock.connection()).await?];
        lock.release().await;
        bounded.close().await?;
        Ok::<_, DbErr>(bounds)
    };
    let bounds = bounds.await;
    database.execute_unprepared(&format!("DROP USER {name}@'%'")).await.unwrap();
    assert_eq!(bounds.unwrap(), [7, 0]);
    database.close().await;
}

async fn bound(connection: &DatabaseConnection) -> Result<i64, DbErr> {
    let sql = "SELECT CAST(@@max_statement_time AS SIGNED)";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await?;
    row.unwrap().try_get_by_index(0)
}

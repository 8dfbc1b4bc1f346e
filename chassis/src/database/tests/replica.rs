//! Which database answers a reader. The replica is another file with other rows, so that every answer
//! says where it is from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::DatabaseConnection;
use tempfile::TempDir;

use super::*;

struct Pair {
    database: Database,
    metrics: Metrics,
    directory: TempDir,
}

fn file(directory: &TempDir, name: &str) -> String {
    format!("sqlite://{}/{name}.db?mode=rwc", directory.path().display())
}

impl Pair {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["primary", "replica"] {
            let (database, _) = connect(&at(&file(&directory, name))).await;
            create_table(&database).await;
            database.execute_raw(insert(name)).await.unwrap();
            database.close().await;
        }
        let settings = DatabaseSettings {
            read_url: Some(Secret::new(file(&directory, "replica"))),
            ..at(&file(&directory, "primary"))
        };
        let (database, metrics) = connect(&settings).await;
        Self { database, metrics, directory }
    }

    /// Waits until reads are answered from there; probes may be late on a busy machine.
    async fn until_answered_by(&self, name: &str) {
        for _ in 0..1500 {
            if email(&self.database.reader()).await == name {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} never answers");
    }
}

async fn email(connection: &impl ConnectionTrait) -> String {
    let statement = Statement::from_string(DbBackend::Sqlite, "SELECT email FROM users");
    let row = connection.query_all_raw(statement.clone()).await.unwrap();
    let one = connection.query_one_raw(statement).await.unwrap().unwrap();
    let text: String = one.try_get_by_index(0).unwrap();
    assert_eq!(row.len(), 1);
    text
}

/// A check that passes while the flag is set.
fn check(
    good: &Arc<AtomicBool>,
) -> impl Fn(DatabaseConnection) -> std::future::Ready<Result<(), &'static str>> + use<> {
    let good = Arc::clone(good);
    move |_| {
        let good = good.load(Ordering::Relaxed);
        std::future::ready(good.then_some(()).ok_or("it is behind"))
    }
}

#[tokio::test]
async fn a_replica_answers_readers_while_it_is_watched_and_passes_the_check() {
    let pair = Pair::new().await;
    assert!(pair.database.has_replica());
    assert_eq!(email(&pair.database.reader()).await, "primary");
    let good = Arc::new(AtomicBool::new(true));
    let watch = pair.database.watch_replica(check(&good)).await.unwrap();
    pair.until_answered_by("replica").await;
    assert_eq!(email(&pair.database).await, "primary");
    good.store(false, Ordering::Relaxed);
    pair.until_answered_by("primary").await;
    assert_eq!(pair.metrics.db_replica_in_use.get(), 0);
    good.store(true, Ordering::Relaxed);
    pair.until_answered_by("replica").await;
    assert_eq!(pair.metrics.db_replica_in_use.get(), 1);
    drop(watch);
    assert_eq!(email(&pair.database.reader()).await, "primary");
}

#[tokio::test]
async fn a_reader_knows_whether_it_was_answered_by_a_replica() {
    let pair = Pair::new().await;
    let reader = pair.database.reader();
    email(&reader).await;
    assert!(!reader.may_lag());
    let good = Arc::new(AtomicBool::new(true));
    let _watch = pair.database.watch_replica(check(&good)).await.unwrap();
    pair.until_answered_by("replica").await;
    email(&reader).await;
    // A probe that was late may have sent both to the primary.
    pair.until_answered_by("replica").await;
    if email(&reader).await == "replica" {
        assert!(reader.may_lag());
    }
}

#[tokio::test]
async fn what_a_reader_writes_is_written_to_the_primary() {
    let pair = Pair::new().await;
    let good = Arc::new(AtomicBool::new(true));
    let _watch = pair.database.watch_replica(check(&good)).await.unwrap();
    pair.until_answered_by("replica").await;
    let reader = pair.database.reader();
    reader.execute_unprepared("UPDATE users SET email = 'changed'").await.unwrap();
    reader
        .execute_raw(Statement::from_string(DbBackend::Sqlite, "UPDATE users SET id = 7"))
        .await
        .unwrap();
    assert_eq!(email(&pair.database).await, "changed");
    pair.until_answered_by("replica").await;
}

#[tokio::test]
async fn a_read_that_the_replica_cannot_answer_goes_to_the_primary() {
    let pair = Pair::new().await;
    let good = Arc::new(AtomicBool::new(true));
    let _watch = pair.database.watch_replica(check(&good)).await.unwrap();
    pair.until_answered_by("replica").await;
    let (replica, _) = connect(&at(&file(&pair.directory, "replica"))).await;
    replica.execute_unprepared("DROP TABLE users").await.unwrap();
    for _ in 0..20 {
        assert_eq!(email(&pair.database.reader()).await, "primary");
    }
    // What is wrong with the statement itself, the primary is not asked again.
    let reader = pair.database.reader();
    let error = reader.query_one_raw(Statement::from_string(DbBackend::Sqlite, "SELEKT")).await;
    assert!(!is_unavailable(&error.unwrap_err()));
}

#[tokio::test]
async fn a_replica_that_is_not_there_keeps_nobody_from_starting() {
    let directory = TempDir::new().unwrap();
    let settings = DatabaseSettings {
        read_url: Some(Secret::new(format!("sqlite://{}/none.db", directory.path().display()))),
        ..at(&file(&directory, "primary"))
    };
    let (telemetry, captured) = telemetry();
    let database = Database::connect(&settings, &telemetry).await.unwrap();
    create_table(&database).await;
    database.execute_raw(insert("primary")).await.unwrap();
    let good = Arc::new(AtomicBool::new(true));
    let _watch = database.watch_replica(check(&good)).await.unwrap();
    assert_eq!(email(&database.reader()).await, "primary");
    assert_eq!(telemetry.metrics().db_replica_in_use.get(), 0);
    let told = captured.text();
    assert!(told.contains("the replica is gone") && told.contains("SQLITE_CANTOPEN"), "{told}");
}

#[tokio::test]
async fn the_pool_of_a_replica_has_its_own_series() {
    let pair = Pair::new().await;
    let good = Arc::new(AtomicBool::new(true));
    let _watch = pair.database.watch_replica(check(&good)).await.unwrap();
    pair.until_answered_by("replica").await;
    pair.database.refresh_pool_gauges();
    for pool in ["primary", "replica"] {
        assert_eq!(pair.metrics.db_connections_max.with_label_values(&[pool]).get(), 10);
    }
    assert!(pair.metrics.db_connection_wait.with_label_values(&["replica"]).get_sample_count() > 0);
    pair.database.clone().close().await;
    assert!(is_unavailable(&pair.database.reader().query_one_raw(insert("x")).await.unwrap_err()));
}

//! Several who migrate one database at once, each with a pool of its own.

use std::time::Duration;

use belvedere_migration::{MigrationError, Migrator, Runner};
use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait, DbBackend, TransactionSession, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;

use crate::support::dump::texts;
use crate::support::steps::{self, Gate, Given, Step, given};
use crate::support::{Place, eventually, on_an_empty_database, witness};

const WAITS: &str = "waiting for another process that migrates";
/// Whoever takes longer waits for ever.
const LONG: Duration = Duration::from_mins(2);

fn tables() -> [Step; 3] {
    ["a", "b", "c"].map(|name| match name {
        "a" => Step::new("m1_a", &["CREATE TABLE a (id INT)"]),
        "b" => Step::new("m2_b", &["CREATE TABLE b (id INT)", "INSERT INTO b VALUES (1)"]),
        _ => Step::new("m3_c", &["CREATE TABLE c (id INT)"]),
    })
}

#[tokio::test]
async fn many_may_start_at_once() {
    on_an_empty_database(async |place: &Place| {
        let start = async || {
            let database = place.connect().await;
            belvedere_migration::up(database.connection()).await
        };
        let done = try_join_all((0..10).map(|_| start())).await.unwrap();
        let mut done = done.concat();
        done.sort();
        let names: Vec<_> =
            Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        assert_eq!(done, names, "each step is applied by one of them");
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_gives_up_when_its_patience_is_over() {
    on_an_empty_database(async |place: &Place| {
        let (first, second) = (place.connect().await, place.connect().await);
        let gate = Gate::new();
        let [a, b, c] = tables();
        let a = a.then_at(&gate);
        let all = [&a, &b, &c];
        let working = steps::up(&first, &all);
        let waiting = async {
            gate.arrival().await;
            let (witness, dispatch) = witness();
            let patience = Duration::from_millis(300);
            let runner = Runner::<Given>::new(second.connection()).patience(patience);
            let error = given(&all, runner.up()).with_subscriber(dispatch).await.unwrap_err();
            assert!(matches!(error, MigrationError::Locked { .. }), "{error:?}");
            assert_eq!(
                error.to_string(),
                "another process has been migrating for 0.3 s; once it has ended, try again"
            );
            let told = witness.lines().iter().filter(|line| line["message"] == WAITS).count();
            assert_eq!(told, 1, "it says once that it waits");
            gate.open();
        };
        let (worked, ()) = tokio::join!(working, waiting);
        assert_eq!(worked.unwrap(), ["m1_a", "m2_b", "m3_c"]);
        assert_eq!(steps::up(&second, &all).await.unwrap(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn whoever_is_dropped_at_work_lets_the_next_one_in() {
    on_an_empty_database(async |place: &Place| {
        let (first, second) = (place.connect().await, place.connect().await);
        let gate = Gate::new();
        let [a, b, c] = tables();
        let stuck = Step::new("m2_b", &["SELECT 1"]).then_at(&gate);
        let begun = [&a, &stuck, &c];
        tokio::select! {
            done = steps::up(&first, &begun) => panic!("{done:?}"),
            () = gate.arrival() => {}
        }
        let all = [&a, &b, &c];
        let next = timeout(LONG, steps::up(&second, &all));
        assert_eq!(next.await.expect("the lock is free").unwrap(), ["m2_b", "m3_c"]);
        assert_eq!(texts(&first, "SELECT 'one' FROM b").await, ["one"]);
    })
    .await;
}

#[tokio::test]
async fn two_databases_of_one_server_do_not_wait_for_each_other() {
    on_an_empty_database(async |one: &Place| {
        on_an_empty_database(async |other: &Place| {
            let (first, second) = (one.connect().await, other.connect().await);
            let gate = Gate::new();
            let [a, b, c] = tables();
            let slow = a.clone().then_at(&gate);
            let slow = [&slow];
            let working = steps::up(&first, &slow);
            let meanwhile = async {
                gate.arrival().await;
                let runner = Runner::<Given>::new(second.connection()).patience(Duration::ZERO);
                let done = given(&[&a, &b, &c], runner.up()).await.unwrap();
                assert_eq!(done.len(), 3);
                gate.open();
            };
            let (worked, ()) = tokio::join!(working, meanwhile);
            worked.unwrap();
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_index_is_built_concurrently_while_another_process_waits() {
    on_an_empty_database(async |place: &Place| {
        let (first, second) = (place.connect().await, place.connect().await);
        if first.backend() != DbBackend::Postgres {
            return;
        }
        let [a, ..] = tables();
        let drop_it = "DROP INDEX CONCURRENTLY IF EXISTS a_id_index";
        let index = "CREATE INDEX CONCURRENTLY a_id_index ON a (id)";
        let index = Step::new("m2_index", &[drop_it, index]).down(&[drop_it]).without_transaction();
        steps::up(&first, &[&a]).await.unwrap();
        // The index has to wait for this, which gives the other process the time to wait as well.
        let writer = place.connect().await;
        let write = writer.begin().await.unwrap();
        write.execute_unprepared("INSERT INTO a VALUES (1)").await.unwrap();

        let all = [&a, &index];
        let building = Box::pin(timeout(LONG, steps::up(&first, &all)));
        let (witness, dispatch) = witness();
        let waiting = Box::pin(timeout(LONG, steps::up(&second, &all)).with_subscriber(dispatch));
        let release = async {
            let waits = |line: &serde_json::Value| line["message"] == WAITS;
            eventually("the other waits", async || witness.lines().iter().any(waits)).await;
            write.commit().await.unwrap();
        };
        let late = async {
            // Only now: the first must have the lock.
            eventually("the index waits", async || {
                // It tells of the whole server.
                let sql = "SELECT phase FROM pg_stat_progress_create_index \
                           WHERE datname = current_database()";
                !texts(&writer, sql).await.is_empty()
            })
            .await;
            waiting.await
        };
        let (built, waited, ()) = tokio::join!(building, late, release);
        assert_eq!(built.expect("the waiting one is not in the way").unwrap(), ["m2_index"]);
        assert_eq!(waited.expect("it gets the lock").unwrap(), Vec::<String>::new());
        let valid =
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'a_id_index'::regclass";
        assert_eq!(texts(&second, valid).await, ["true"]);
        let down = given(&all, Runner::<Given>::new(second.connection()).down(1)).await;
        assert_eq!(down.unwrap(), ["m2_index"]);
    })
    .await;
}

#[tokio::test]
async fn a_database_without_advisory_locks_is_migrated_with_a_warning() {
    for sqlstate in ["0A000", "42883"] {
        on_an_empty_database(async |place: &Place| {
            let database = place.connect().await;
            if database.backend() != DbBackend::Postgres {
                return;
            }
            // Found before PostgreSQL's own, and answers as the likes of it do.
            let function = format!(
                "CREATE FUNCTION public.pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '{sqlstate}'; END $$"
            );
            database.execute_unprepared(&function).await.unwrap();
            let name = texts(&database, "SELECT current_database()::text").await.remove(0);
            let path = format!("ALTER DATABASE {name} SET search_path = public, pg_catalog");
            database.execute_unprepared(&path).await.unwrap();

            let (witness, dispatch) = witness();
            let [a, b, c] = tables();
            let done = steps::up(&database, &[&a, &b, &c]).with_subscriber(dispatch).await;
            assert_eq!(done.unwrap().len(), 3);
            let warns = |line: &serde_json::Value| {
                line["level"] == "WARN"
                    && line["message"].as_str().unwrap().contains("no advisory locks")
            };
            assert_eq!(witness.lines().iter().filter(|line| warns(line)).count(), 1);
        })
        .await;
    }
}

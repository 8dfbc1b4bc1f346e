//! A step that fails: what is told, what stays, and how `up` goes on.

use belvedere_migration::{MigrationError, Runner};
use chassis::database::Database;
use chassis::testing::Witness;
use opentelemetry::trace::Status;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::Value;
use tracing::instrument::WithSubscriber;

use crate::support::dump::{dump, texts};
use crate::support::steps::{self, Given, Step, given};
use crate::support::{Place, eventually, on_an_empty_database, witness};

const A: &str = "CREATE TABLE a (id INT)";
const B: &str = "CREATE TABLE IF NOT EXISTS b (id INT)";

async fn fails(database: &Database, steps: &[&Step]) -> (MigrationError, Witness) {
    let (witness, dispatch) = witness();
    let error = steps::up(database, steps).with_subscriber(dispatch).await.unwrap_err();
    (error, witness)
}

fn told(witness: &Witness, message: &str) -> Vec<Value> {
    let mut lines = witness.lines();
    lines.retain(|line| line["message"] == message);
    lines
}

#[tokio::test]
async fn a_failed_step_is_told_and_up_goes_on_with_it() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let (a, c) = (Step::new("m1_a", &[A]), Step::new("m3_c", &["CREATE TABLE c (id INT)"]));
        let b = Step::new("m2_b", &[B, "INSERT INTO missing VALUES (1)"]);
        let all = [&a, &b, &c];
        let (error, witness) = fails(&database, &all).await;

        let MigrationError::Step { name, direction, reason } = &error else { panic!("{error:?}") };
        assert_eq!((name.as_str(), *direction), ("m2_b", "up"));
        assert!(reason.contains("missing"), "{reason}");
        assert_eq!(
            error.to_string(),
            format!(
                "migration m2_b failed: {reason}; once that is mended, `belvedere migrate up` goes on with it"
            )
        );
        let lines = told(&witness, "migration failed");
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["level"], &lines[0]["migration.name"]), (&"ERROR".into(), &"m2_b".into()));
        assert_eq!(lines[0]["error"], reason.as_str());
        assert!(lines[0]["duration_ms"].is_number());
        assert_eq!(told(&witness, "migration applied").len(), 1);
        // SQLite's thread may hold on to the span of its last statement a little longer.
        eventually("both spans have ended", async || witness.spans().len() == 2).await;
        let spans = witness.spans();
        let failed: Vec<_> =
            spans.iter().filter(|span| matches!(span.status, Status::Error { .. })).collect();
        assert_eq!((spans.len(), failed.len()), (2, 1));
        assert_eq!(lines[0]["span_id"], failed[0].span_context.span_id().to_string());
        let error_type = failed[0].attributes.iter().find(|pair| pair.key.as_str() == "error.type");
        let expected = match database.backend() {
            DbBackend::Postgres => "42P01",
            DbBackend::MySql => "1146",
            _ => "1",
        };
        assert_eq!(error_type.unwrap().value.as_str(), expected);

        let tables = dump(&database).await;
        assert!(tables.iter().any(|line| line.starts_with("a id")), "{tables:?}");
        let kept = tables.iter().any(|line| line.starts_with("b id"));
        assert_eq!(kept, database.backend() == DbBackend::MySql, "{tables:?}");
        let pending = given(&all, Runner::<Given>::new(database.connection()).pending()).await;
        assert_eq!(pending.unwrap(), 2);

        database.execute_unprepared("CREATE TABLE missing (id INT)").await.unwrap();
        assert_eq!(steps::up(&database, &all).await.unwrap(), ["m2_b", "m3_c"]);
        assert_eq!(texts(&database, "SELECT 'once' FROM missing").await, ["once"]);
    })
    .await;
}

#[tokio::test]
async fn a_failed_way_back_is_told_as_one() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let a = Step::new("m1_a", &[A]).down(&["DROP TABLE missing"]);
        steps::up(&database, &[&a]).await.unwrap();
        let runner = Runner::<Given>::new(database.connection());
        let error = given(&[&a], runner.down(1)).await.unwrap_err().to_string();
        assert!(error.starts_with("migration m1_a failed: "), "{error}");
        assert!(error.ends_with("`belvedere migrate down` goes on with it"), "{error}");
        assert_eq!(given(&[&a], runner.pending()).await.unwrap(), 0);
    })
    .await;
}

/// A constraint that the rows violate is found by migrating; whose rows, no log may say.
#[tokio::test]
async fn what_is_told_repeats_no_rows() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let rows = "INSERT INTO a VALUES ('ada@example.org'), ('ada@example.org')";
        let a = Step::new("m1_a", &["CREATE TABLE a (mail VARCHAR(99))", rows]);
        for wrong in [
            "CREATE UNIQUE INDEX a_mail_unique ON a (mail)",
            "ALTER TABLE a ALTER COLUMN mail TYPE INT USING mail::INT",
            "ALTER TABLE a MODIFY COLUMN mail DATETIME",
        ] {
            let (error, witness) = fails(&database, &[&a, &Step::new("m2_b", &[wrong])]).await;
            assert!(matches!(error, MigrationError::Step { .. }), "{error:?}");
            assert_eq!(told(&witness, "migration failed").len(), 1);
            assert!(!error.to_string().contains("ada@"), "{error}");
            witness.assert_silent_about(&["ada@example.org"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_step_without_a_transaction_is_noted_like_any_other() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let a = Step::new("m1_a", &[A]).down(&["DROP TABLE a"]).without_transaction();
        assert_eq!(steps::up(&database, &[&a]).await.unwrap(), ["m1_a"]);
        let down = given(&[&a], Runner::<Given>::new(database.connection()).down(1)).await;
        assert_eq!(down.unwrap(), ["m1_a"]);
        let b = Step::new("m1_a", &[B, "INSERT INTO missing VALUES (1)"]).without_transaction();
        let (error, _) = fails(&database, &[&b]).await;
        assert!(error.to_string().contains("missing"), "{error}");
        // What it had done stays, but for SQLite, whose lock is a transaction.
        let kept = dump(&database).await.iter().any(|line| line.starts_with("b id"));
        assert_eq!(kept, database.backend() != DbBackend::Sqlite);
        database.execute_unprepared("CREATE TABLE missing (id INT)").await.unwrap();
        assert_eq!(steps::up(&database, &[&b]).await.unwrap(), ["m1_a"]);
    })
    .await;
}

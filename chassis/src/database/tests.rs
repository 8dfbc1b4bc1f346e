//! Statements, transactions and the pool on SQLite: what they do, measure and never tell.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

mod opening;
mod replica;
mod rotation;
mod tls;

use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::poll;
use opentelemetry::Context as TraceContext;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use sea_orm::TransactionSession;
use tempfile::TempDir;
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use super::*;
use crate::settings::{Environment, Secret};
use crate::telemetry::logs::LogSettings;
use crate::telemetry::{Captured, Identity, Metrics, RequestScope};

const CANARY: &str = "ada@example.org";

fn at(url: &str) -> DatabaseSettings {
    DatabaseSettings {
        url: Some(Secret::new(url)),
        // One attempt: what fails in these tests fails at once.
        connect_timeout: Duration::ZERO,
        ..DatabaseSettings::default()
    }
}

fn in_file(directory: &Path) -> DatabaseSettings {
    at(&format!("sqlite://{}/test.db?mode=rwc", directory.display()))
}

async fn connect(settings: &DatabaseSettings) -> (Database, Metrics) {
    let (telemetry, _) = telemetry();
    (Database::connect(settings, &telemetry).await.unwrap(), telemetry.metrics().clone())
}

fn telemetry() -> (Telemetry, Captured) {
    let identity = Identity {
        name: "test".to_owned(),
        version: "0".to_owned(),
        environment: Environment::Development,
    };
    Telemetry::capture(&identity, &LogSettings::default()).unwrap()
}

async fn in_memory() -> (Database, Metrics) {
    let (database, metrics) = connect(&at("sqlite::memory:")).await;
    create_table(&database).await;
    (database, metrics)
}

async fn create_table(database: &Database) {
    let sql = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT CONSTRAINT users_email_unique UNIQUE)";
    database.execute_unprepared(sql).await.unwrap();
}

fn insert(email: &str) -> Statement {
    let sql = "INSERT INTO users (email) VALUES (?)";
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, [email.into()])
}

async fn count(connection: &impl ConnectionTrait) -> i32 {
    let statement = Statement::from_string(DbBackend::Sqlite, "SELECT COUNT(*) FROM users");
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

fn measured(metrics: &Metrics, operation: &str, error_type: &str) -> u64 {
    let labels = ["sqlite", operation, "users", error_type];
    metrics.db_operation_duration.with_label_values(&labels).get_sample_count()
}

/// Everything that spans and events say, as text.
#[derive(Clone, Default)]
struct Telltale(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Telltale {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        attributes.record(&mut self.clone());
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        values.record(&mut self.clone());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Telltale {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

#[tokio::test]
async fn statements_are_measured_with_their_operation_table_and_outcome() {
    let (database, metrics) = in_memory().await;
    database.execute_raw(insert("a")).await.unwrap();
    database.execute_raw(insert("a")).await.unwrap_err();
    count(&database).await;
    assert_eq!(measured(&metrics, "INSERT", ""), 1);
    assert_eq!(measured(&metrics, "INSERT", "2067"), 1);
    assert_eq!(measured(&metrics, "SELECT", ""), 1);
}

#[tokio::test]
async fn a_statement_whose_caller_has_gone_is_measured_too() {
    let (database, metrics) = in_memory().await;
    let _only_connection = database.begin().await.unwrap();
    let mut abandoned = Box::pin(database.execute_raw(insert("a")));
    assert!(poll!(&mut abandoned).is_pending());
    drop(abandoned);
    assert_eq!(measured(&metrics, "INSERT", "cancelled"), 1);
}

#[tokio::test]
async fn statements_count_for_the_request_they_belong_to() {
    let (database, _) = in_memory().await;
    let scope = RequestScope::new("a-request".into());
    let context = TraceContext::current_with_value(Arc::clone(&scope));
    let _attached = context.attach();
    database.execute_raw(insert("a")).await.unwrap();
    count(&database).await;
    assert_eq!(scope.queries().0, 2);
}

#[tokio::test]
async fn a_span_has_the_conventions_names_and_no_value_ever_appears() {
    let (telemetry, captured) = telemetry();
    let database = Database::connect(&at("sqlite::memory:"), &telemetry).await.unwrap();
    create_table(&database).await;
    let telltale = Telltale::default();
    let subscriber = registry().with(telltale.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    database.execute_raw(insert(CANARY)).await.unwrap();
    let error = database.execute_raw(insert(CANARY)).await.unwrap_err();
    tracing::warn!(error = %QueryError::from(error.clone()), debug = ?QueryError::from(error));

    let [_, good, bad] = captured.spans().try_into().unwrap();
    assert_eq!((&*good.name, &good.span_kind), ("INSERT users", &SpanKind::Client));
    assert_eq!(good.status, Status::Unset);
    let attributes = |span: &SpanData| -> Vec<String> {
        let pairs = span.attributes.iter();
        pairs.map(|pair| format!("{}={}", pair.key, pair.value.as_str())).collect()
    };
    let mut expected = vec![
        "db.system.name=sqlite",
        "db.operation.name=INSERT",
        "db.collection.name=users",
        "db.query.text=INSERT INTO users (email) VALUES (?)",
    ];
    assert_eq!(attributes(&good), expected);
    expected.extend(["error.type=2067", "db.response.status_code=2067"]);
    assert_eq!(attributes(&bad), expected);
    assert_eq!(bad.status, Status::error(""));

    let told = telltale.0.lock().unwrap().clone();
    for field in [
        "message=database statement",
        "error.type=\"2067\"",
        "db.query.summary=\"INSERT users\"",
        "duration_ms=",
        "error=database: 2067 SQLITE_CONSTRAINT, constraint users_email_unique",
    ] {
        assert!(told.contains(field), "{field} is not in {told}");
    }
    assert!(!told.contains(CANARY), "{told}");
}

#[tokio::test]
async fn a_slow_statement_is_counted_and_logged() {
    let slow = DatabaseSettings { slow_query: Duration::ZERO, ..at("sqlite::memory:") };
    let (database, metrics) = connect(&slow).await;
    let telltale = Telltale::default();
    let _guard = tracing::subscriber::set_default(registry().with(telltale.clone()));
    create_table(&database).await;
    assert_eq!(metrics.db_slow_queries.get(), 1);
    assert!(telltale.0.lock().unwrap().contains("message=slow database statement"));
}

#[tokio::test]
async fn the_violated_constraint_is_named() {
    let (database, _) = in_memory().await;
    database.execute_raw(insert("a")).await.unwrap();
    let error = database.execute_raw(insert("a")).await.unwrap_err();
    assert_eq!(violated_constraint(&error).as_deref(), Some("users_email_unique"));
    assert!(!is_unavailable(&error));
}

#[tokio::test]
async fn a_table_or_column_that_is_missing_is_named_and_may_come_later() {
    let (database, _) = in_memory().await;
    for (sql, missing) in [
        ("SELECT * FROM nowhere", "table: nowhere"),
        ("SELECT shoe_size FROM users", "column: shoe_size"),
    ] {
        let error = QueryError::from(database.execute_unprepared(sql).await.unwrap_err());
        assert_eq!(error.to_string(), format!("database: 1 SQLITE_ERROR, no such {missing}"));
        assert!(error.is_unavailable());
    }
    let sql = format!("SELECT `{CANARY}` FROM users");
    let error = QueryError::from(database.execute_unprepared(&sql).await.unwrap_err());
    assert_eq!(error.to_string(), "database: 1 SQLITE_ERROR");
}

#[tokio::test]
async fn an_unreadable_column_is_named_and_its_value_is_not() {
    let (database, _) = in_memory().await;
    let sql = format!("SELECT '{CANARY}' AS text, NULL AS absent, 1 AS \"{CANARY}\"");
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    for (column, told) in [
        ("text", "database: decode, column text"),
        ("absent", "database: decode, column absent"),
        ("other", "database: column_not_found, column other"),
        (CANARY, "database: decode"),
    ] {
        let error = QueryError::from(row.try_get::<uuid::Uuid>("", column).unwrap_err());
        assert_eq!(error.to_string(), told);
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing_behind() {
    let (database, _) = in_memory().await;
    let transaction = database.begin_write().await.unwrap();
    transaction.execute_raw(insert("a")).await.unwrap();
    assert_eq!(count(&transaction).await, 1);
    drop(transaction);
    assert_eq!(count(&database).await, 0);
}

#[tokio::test]
async fn work_in_a_transaction_is_committed_unless_it_fails() {
    let (database, metrics) = in_memory().await;
    let add = |email: &'static str, fail: bool| {
        database.transaction(move |transaction| {
            Box::pin(async move {
                transaction.execute_raw(insert(email)).await?;
                if fail { Err(DbErr::RecordNotUpdated) } else { Ok(()) }
            })
        })
    };
    add("a", false).await.unwrap();
    add("b", true).await.unwrap_err();
    assert_eq!(count(&database).await, 1);
    assert_eq!(measured(&metrics, "INSERT", ""), 2);
    let commits = metrics.db_operation_duration.with_label_values(&["sqlite", "COMMIT", "", ""]);
    assert_eq!(commits.get_sample_count(), 1);
}

#[tokio::test]
async fn writers_that_read_first_wait_for_each_other() {
    let directory = TempDir::new().unwrap();
    let (database, _) = connect(&in_file(directory.path())).await;
    create_table(&database).await;
    let write = async |email| {
        let transaction = database.begin_write().await?;
        count(&transaction).await;
        transaction.execute_raw(insert(email)).await?;
        transaction.commit().await
    };
    let (a, b, c) = tokio::join!(write("a"), write("b"), write("c"));
    a.and(b).and(c).unwrap();
    assert_eq!(count(&database).await, 3);
}

#[tokio::test]
async fn without_a_free_connection_the_answer_comes_in_time_and_says_unavailable() {
    let directory = TempDir::new().unwrap();
    let settings = DatabaseSettings { max_connections: 1, ..in_file(directory.path()) };
    let (database, metrics) = connect(&settings).await;
    let _only_connection = database.begin().await.unwrap();
    tokio::time::pause();
    let asked_at = Instant::now();
    let error = database.execute_raw(insert("a")).await.unwrap_err();
    assert!(is_unavailable(&error), "{error}");
    assert!(asked_at.elapsed() < settings.acquire_timeout * 2);
    assert_eq!(measured(&metrics, "INSERT", "pool_timeout"), 1);
    assert_eq!(metrics.db_connection_timeouts.with_label_values(&["primary"]).get(), 1);
}

#[tokio::test]
async fn the_pool_tells_its_size_and_how_long_callers_waited() {
    let directory = TempDir::new().unwrap();
    // A second connection may be opened while the first is on its way back.
    let settings = DatabaseSettings { max_connections: 1, ..in_file(directory.path()) };
    let (database, metrics) = connect(&settings).await;
    create_table(&database).await;
    let transaction = database.begin().await.unwrap();
    count(&transaction).await;
    database.refresh_pool_gauges();
    let connections = |state| metrics.db_connections.with_label_values(&["primary", state]).get();
    assert_eq!(connections("used"), 1);
    assert_eq!(metrics.db_connections_max.with_label_values(&["primary"]).get(), 1);
    // One for the table, one for the transaction; its statement did not wait.
    let waits = metrics.db_connection_wait.with_label_values(&["primary"]);
    assert_eq!(waits.get_sample_count(), 2);
}

#[tokio::test]
async fn a_database_in_memory_keeps_its_data_between_statements() {
    let (database, metrics) = in_memory().await;
    let statements = (0..8).map(|n| database.execute_raw(insert(&n.to_string())));
    let results = futures_util::future::join_all(statements.map(Box::pin)).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(count(&database).await, 8);
    assert_eq!(metrics.db_connections_max.with_label_values(&["primary"]).get(), 1);
}

//! `database.sql_comments` as each database sees it: on SQLite, or where `TEST_DATABASE_URL` leads.

use chassis::database::{Database, DatabaseSettings};
use chassis::telemetry::RequestScope;
use chassis::testing::{TestDatabase, Witness};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionSession, TransactionTrait};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info_span};

/// Makes the database repeat the statement that it runs at this moment, whole.
const SQLITE_VIEW: &str = "CREATE VIEW mirror AS SELECT 1";
const SQLITE_MIRROR: &str = "SELECT sql FROM sqlite_schema WHERE name = 'mirror'";
const POSTGRES_MIRROR: &str = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()";
const MYSQL_MIRROR: &str =
    "SELECT info FROM information_schema.processlist WHERE id = connection_id()";

async fn text(connection: &impl ConnectionTrait, sql: &str) -> String {
    // With values, if none, it is a prepared statement as the builders make them.
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, []);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// The text of a statement as the database got it.
pub(super) async fn mirrored(connection: &impl ConnectionTrait) -> String {
    match connection.get_database_backend() {
        DbBackend::Postgres => text(connection, POSTGRES_MIRROR).await,
        DbBackend::MySql => text(connection, MYSQL_MIRROR).await,
        _ => {
            // SQLite keeps the text of a view as it was sent.
            connection.execute_unprepared(SQLITE_VIEW).await.unwrap();
            let sql = text(connection, SQLITE_MIRROR).await;
            connection.execute_unprepared("DROP VIEW mirror").await.unwrap();
            sql
        }
    }
}

/// What `work` returns within a request, and the spans of its statements.
async fn in_request<T>(witness: &Witness, work: impl Future<Output = T>) -> (T, Vec<SpanData>) {
    let request = async {
        let span = {
            let scope = RequestScope::new("r-1".into());
            let _attached = Context::new().with_value(scope).attach();
            info_span!("request")
        };
        work.instrument(span).await
    };
    let result = request.with_subscriber(witness.telemetry().dispatch()).await;
    witness.assert_silent_about(&["/*", "traceparent"]);
    (result, witness.spans())
}

async fn commenting(enabled: bool) -> (TestDatabase, Database, Witness) {
    let witness = Witness::new("belvedere", "trace");
    let test = TestDatabase::create().await;
    let settings = DatabaseSettings { sql_comments: enabled, ..test.settings() };
    let database = Database::connect(&settings, witness.telemetry()).await.unwrap();
    (test, database, witness)
}

#[tokio::test]
async fn the_database_sees_request_and_span_and_telemetry_does_not() {
    let (_test, database, witness) = commenting(true).await;
    let (seen, spans) = in_request(&witness, mirrored(&database)).await;
    let own = spans.iter().map(|span| {
        let ids = &span.span_context;
        format!("00-{}-{}-01", ids.trace_id(), ids.span_id())
    });
    let comments: Vec<_> =
        own.map(|own| format!(" /*request_id='r-1',traceparent='{own}'*/")).collect();
    assert!(comments.iter().any(|comment| seen.ends_with(comment)), "{seen}");
    database.close().await;
}

#[tokio::test]
async fn statements_of_transactions_have_it_too() {
    let (_test, database, witness) = commenting(true).await;
    let (seen, _) = in_request(&witness, async {
        let transaction = database.begin_write().await.unwrap();
        let seen = mirrored(&transaction).await;
        transaction.commit().await.unwrap();
        seen
    })
    .await;
    assert!(seen.contains(" /*request_id='r-1',traceparent='00-"), "{seen}");
    database.close().await;
}

#[tokio::test]
async fn outside_of_requests_a_trace_is_named_and_by_default_nothing() {
    let (_test, database, _) = commenting(true).await;
    let seen = mirrored(&database).await;
    assert!(seen.contains(" /*traceparent='00-"), "{seen}");
    database.close().await;
    let (_test, database, witness) = commenting(false).await;
    let (seen, _) = in_request(&witness, mirrored(&database)).await;
    assert!(!seen.contains("/*"), "{seen}");
    database.close().await;
}

#[tokio::test]
async fn texts_that_never_come_again_leave_nothing_on_the_server() {
    let (_test, database, witness) = commenting(true).await;
    let (left, _) = in_request(&witness, async {
        let transaction = database.begin().await.unwrap();
        for _ in 0..5 {
            text(&transaction, "SELECT 'a' AS letter").await;
        }
        let count = match database.backend() {
            DbBackend::Postgres => "SELECT count(*)::text FROM pg_prepared_statements",
            // SQLite has no list of them, MySQL only one of all connections together.
            _ => "SELECT '0' AS number",
        };
        text(&transaction, count).await
    })
    .await;
    // At most the statement that asks and the one before it.
    assert!(left.parse::<u32>().unwrap() <= 2, "{left}");
    database.close().await;
}

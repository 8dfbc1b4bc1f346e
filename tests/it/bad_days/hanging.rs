//! A server that accepts and never answers, at the moments where that is most awkward.

use std::time::{Duration, Instant};

use chassis::database::{Database, is_unavailable};
use chassis::testing::Client;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionSession, TransactionTrait,
};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::abandoned::{sleep, warm};
use super::{ACQUIRE_TIMEOUT, ANSWER_LIMIT, Day, Times, pool_gauge};
use crate::support::process::Binary;
use crate::support::{PASSWORD, eventually};

#[tokio::test]
async fn a_commit_without_an_answer_is_no_success() {
    let Some(mut day) = Day::begin("hangs at COMMIT").await else {
        return;
    };
    let mut settings = day.proxy.settings(&day.app.database);
    settings.acquire_timeout = ACQUIRE_TIMEOUT;
    let telemetry = day.app.witness.telemetry();
    let database = Database::connect(&settings, telemetry).await.unwrap();
    let transaction = database.begin_write().await.unwrap();
    transaction.execute_unprepared("DELETE FROM users").await.unwrap();
    day.proxy.stall();
    let asked = Instant::now();
    let error = transaction.commit().await.unwrap_err();
    let answer = asked.elapsed();
    assert!(is_unavailable(&error), "{error}");
    assert!(answer < ANSWER_LIMIT, "{answer:?}");
    day.proxy.restore();
    database.close().await;
    leave(&mut day).await;
    Times { answer: Some(answer), ..Times::default() }.tell(day.case);
}

#[tokio::test]
async fn a_transaction_waits_for_one_silence_not_for_one_at_each_step() {
    let Some(mut day) = Day::begin("hangs in a transaction").await else {
        return;
    };
    let mut settings = day.proxy.settings(&day.app.database);
    settings.acquire_timeout = ACQUIRE_TIMEOUT;
    let database = Database::connect(&settings, day.app.witness.telemetry()).await.unwrap();
    let transaction = database.begin().await.unwrap();
    transaction.execute_unprepared("DELETE FROM users").await.unwrap();
    day.proxy.stall();
    let asked = Instant::now();
    for _ in 0..20 {
        let error = transaction.execute_unprepared("DELETE FROM users").await.unwrap_err();
        assert!(is_unavailable(&error), "{error}");
    }
    transaction.rollback().await.unwrap();
    assert!(asked.elapsed() < ANSWER_LIMIT, "{:?}", asked.elapsed());
    day.proxy.restore();
    database.close().await;
    leave(&mut day).await;
}

#[tokio::test]
async fn a_statement_that_is_merely_slow_is_waited_for() {
    let Some(day) = Day::begin("slow, and alive").await else {
        return;
    };
    let mut settings = day.proxy.settings(&day.app.database);
    // The sign of life comes from a connection that must be had within it too.
    settings.acquire_timeout = Duration::from_millis(500);
    let database = Database::connect(&settings, day.app.witness.telemetry()).await.unwrap();
    // The first connections may take their time.
    warm(&database).await;
    eventually("a sign of life", async || database.ping().await.is_ok()).await;
    database.execute_unprepared(&sleep(&database, 2)).await.unwrap();
}

/// What comes late is not taken for the answer to something else.
#[tokio::test]
async fn a_sign_of_life_that_was_not_waited_for_confuses_nobody() {
    let Some(mut day) = Day::begin("late sign of life").await else {
        return;
    };
    let settings = day.proxy.settings(&day.app.database);
    let database = Database::connect(&settings, day.app.witness.telemetry()).await.unwrap();
    for _ in 0..2 {
        eventually("a sign of life", async || database.ping().await.is_ok()).await;
        eventually("it is back", async || idle(database.health_connection()) == 1).await;
        day.proxy.stall();
        database.ping().await.unwrap_err();
        day.proxy.restore();
        let asking = database.health_connection();
        let statement = Statement::from_string(database.backend(), "SELECT 'here'");
        let row = asking.query_one_raw(statement).await.unwrap();
        let text: String = row.expect("one row").try_get_by_index(0).unwrap();
        assert_eq!(text, "here");
    }
    database.close().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_server_that_hangs() {
    let Some(day) = Day::begin("shutdown while it hangs").await else {
        return;
    };
    let binary = Binary::new()
        .variable("DATABASE_URL", day.proxy.url())
        .variable("APP_SERVER__REQUEST_TIMEOUT", "2m")
        // It is cut off before the database is given up.
        .variable("APP_SERVER__DRAIN_TIMEOUT", "500ms");
    let mut process = binary.serve();
    let probe = Client::new(process.ready().await);
    let login = serde_json::json!({ "email": day.person.email, "password": PASSWORD });
    let answer = probe.post("/auth/login").json(&login).send().await.expect(200).json();
    let client = probe.with_token(answer["access_token"].as_str().unwrap());
    day.proxy.stall();
    // Nobody expects an answer to this one.
    let mut waiting = TcpStream::connect(client.address()).await.unwrap();
    let (path, token) = (day.person.path(), client.token().unwrap());
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
    waiting.write_all(request.as_bytes()).await.unwrap();
    let held = async || pool_gauge(&probe, "used").await > 0;
    eventually("the request has a connection", held).await;
    let asked = Instant::now();
    process.stop().await.expect(1);
    let times = Times { answer: Some(asked.elapsed()), ..Times::default() };
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    times.tell("shutdown while it hangs (time to exit)");
}

/// Connections of this pool that wait to be used.
fn idle(connection: &DatabaseConnection) -> usize {
    match connection.get_database_backend() {
        DbBackend::Postgres => connection.get_postgres_connection_pool().num_idle(),
        _ => connection.get_mysql_connection_pool().num_idle(),
    }
}

/// Else the server keeps what was not committed, and the database cannot be dropped.
async fn leave(day: &mut Day) {
    day.proxy.refuse();
    day.proxy.cut();
    eventually("nobody is connected", async || day.proxy.connections() == 0).await;
}

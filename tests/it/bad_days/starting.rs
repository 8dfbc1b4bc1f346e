//! A server that cannot be had at the start: it is waited for, and then the reason is told.

use std::time::{Duration, Instant};

use chassis::database::Database;
use chassis::testing::{Client, Proxy, TestDatabase, Witness};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::Times;
use crate::support::process::Binary;

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_and_then_named() {
    let place = TestDatabase::create().await;
    let Some(mut proxy) = Proxy::before(&place).await else {
        return;
    };
    proxy.refuse();
    let binary = Binary::new()
        .variable("DATABASE_URL", proxy.url())
        .variable("APP_DATABASE__CONNECT_TIMEOUT", "2s");
    let started = Instant::now();
    let end = binary.run(&["serve"]).await.expect(1);
    let elapsed = started.elapsed();
    let address = proxy.address();
    end.complains_of(&[&format!("{address} could not be reached within 2 s"), "refused"]);
    assert!(elapsed >= Duration::from_secs(2), "it gave up early: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(2 + 15), "{elapsed:?}");
    Times { answer: Some(elapsed), ..Times::default() }.tell("down at start, for 2 s (exit 1)");
}

#[tokio::test]
async fn a_server_that_comes_up_during_the_wait_is_used() {
    let place = TestDatabase::create().await;
    let Some(mut proxy) = Proxy::before(&place).await else {
        return;
    };
    proxy.refuse();
    let mut process = Binary::new().variable("DATABASE_URL", proxy.url()).serve();
    process.line_where(|line| line["retry_in_ms"].is_number()).await;
    proxy.restore();
    let restored = Instant::now();
    let client = Client::new(process.ready().await);
    let _ = client.get("/readyz").send().await.expect(200);
    let recovery = Some(restored.elapsed());
    Times { recovery, ..Times::default() }.tell("up again during the start");
    process.stop().await.expect(0);
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up_in_time() {
    let place = TestDatabase::create().await;
    let Some(proxy) = Proxy::before(&place).await else {
        return;
    };
    proxy.stall();
    let binary = Binary::new()
        .variable("DATABASE_URL", proxy.url())
        .variable("APP_DATABASE__CONNECT_TIMEOUT", "1s");
    let started = Instant::now();
    binary.run(&["serve"]).await.expect(1).complains_of(&["could not be reached within 1 s"]);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// No waiting would help: these end at once, long before the minute that a start may wait.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_database_are_told_at_once() {
    let place = TestDatabase::create().await;
    let Some(proxy) = Proxy::before(&place).await else {
        return;
    };
    let (scheme, rest) = proxy.url().split_once("://").unwrap();
    let (login, address) = rest.split_once('@').unwrap();
    let (address, name) = address.split_once('/').unwrap();
    let nobody = format!("belvedere_{}", &Uuid::now_v7().simple().to_string()[12..]);
    let witness = Witness::new("test", "off");
    let admin = Database::connect(&place.settings(), witness.telemetry()).await.unwrap();
    // A server that trusts everybody refuses those whom it does not know.
    let is_mysql = scheme == "mysql";
    if is_mysql {
        let create = format!("CREATE USER {nobody}@'%' IDENTIFIED BY 'heron'");
        admin.execute_unprepared(&create).await.unwrap();
    }
    for (url, reason) in [
        (format!("{scheme}://{nobody}:hunter2@{address}/{name}"), nobody.as_str()),
        (format!("{scheme}://{login}@{address}/nowhere"), "nowhere"),
    ] {
        let started = Instant::now();
        let end = Binary::new().variable("DATABASE_URL", url).run(&["serve"]).await.expect(1);
        end.complains_of(&[&format!("{address} refused the connection"), reason]);
        end.is_silent_about(&["hunter2"]);
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }
    if is_mysql {
        admin.execute_unprepared(&format!("DROP USER {nobody}@'%'")).await.unwrap();
    }
    admin.close().await;
}

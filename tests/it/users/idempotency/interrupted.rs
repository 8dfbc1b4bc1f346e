//! Requests with a key that come to no end: their client leaves, their process dies, their place is
//! taken.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use belvedere::idempotency::{Begun, Idempotency};
use belvedere_entity::idempotency_key::{ActiveModel, Column, Entity};
use chassis::database::Database;
use chassis::http::idempotency::ScopedKey;
use chassis::settings::Secret;
use chassis::testing::{Client, Witness};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, TransactionSession,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{KEY, count_users, expire, post, slow_hashes};
use crate::support::process::Binary;
use crate::support::{App, eventually, new_user};

/// Sends a request and does not wait for its answer.
async fn send(address: SocketAddr, body: &Value) -> TcpStream {
    let body = body.to_string();
    let request = format!(
        "POST /users HTTP/1.1\r\nhost: a\r\nidempotency-key: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn is_claimed(database: &Database) -> bool {
    // Before the migrations there is no table.
    let rows = Entity::find().all(database).await.unwrap_or_default();
    rows.len() == 1 && rows[0].status.is_none()
}

async fn is_free(database: &Database) -> bool {
    Entity::find().all(database).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_request_in_flight_is_left_alone() {
    let app = App::with(slow_hashes).await;
    let database = app.connection().await;
    let body = new_user("ada@example.org");
    let first = tokio::spawn(post(&app.client, KEY, &body).send());
    eventually("it is claimed", async || is_claimed(&database).await).await;
    // Whatever it says: what the first one said is not compared before it is answered.
    for body in [&body, &new_user("eve@example.org")] {
        let refused = post(&app.client, KEY, body).send().await;
        assert_eq!(refused.problem(409)["type"], "/problems/request-in-flight");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let _ = first.await.unwrap().expect(201);
    assert_eq!(count_users(&app).await, 1);
    database.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_key_back() {
    let app = App::with(slow_hashes).await;
    let database = app.connection().await;
    let body = new_user("ada@example.org");
    let stream = send(app.client.address(), &body).await;
    eventually("it is claimed", async || is_claimed(&database).await).await;
    drop(stream);
    eventually("it is released", async || is_free(&database).await).await;
    assert_eq!(count_users(&app).await, 0);
    let _ = post(&app.client, KEY, &body).send().await.expect(201);
    database.close().await;
}

#[tokio::test]
async fn who_has_lost_a_claim_creates_nobody() {
    let app = App::with(slow_hashes).await;
    let database = app.connection().await;
    let body = new_user("ada@example.org");
    let first = tokio::spawn(post(&app.client, KEY, &body).send());
    eventually("it is claimed", async || is_claimed(&database).await).await;
    // As another replica does once the lease is over.
    let take = Entity::update_many().col_expr(Column::ClaimId, Expr::value(Uuid::now_v7()));
    assert_eq!(take.exec(&database).await.unwrap().rows_affected, 1);
    let refused = first.await.unwrap();
    assert_eq!(refused.problem(409)["type"], "/problems/request-in-flight");
    assert_eq!(count_users(&app).await, 0);
    assert!(is_claimed(&database).await, "the other claim stands");
    database.close().await;
}

#[tokio::test]
async fn the_claim_of_a_process_that_was_killed_is_free_when_its_lease_is_over() {
    let slow = Binary::with_database().await.variable("APP_PASSWORD__ITERATIONS", "100000000");
    let database = slow.connect().await;
    let mut process = slow.serve();
    let body = new_user("ada@example.org");
    let _stream = send(process.ready().await, &body).await;
    eventually("it is claimed", async || is_claimed(&database).await).await;
    process.signal("KILL");
    process.end().await;

    let binary = slow.variable("APP_PASSWORD__ITERATIONS", "1");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let refused = post(&client, KEY, &body).send().await;
    assert_eq!(refused.problem(409)["type"], "/problems/request-in-flight");
    let [row] = &Entity::find().all(&database).await.unwrap()[..] else { panic!("one row") };
    let lease = row.expires_at - row.created_at;
    assert_eq!(lease, chrono::TimeDelta::minutes(1));

    expire(&database, -1).await;
    let first = post(&client, KEY, &body).send().await.expect(201);
    let again = post(&client, KEY, &body).send().await.expect(201);
    assert_eq!(again.body, first.body);
    database.close().await;
    process.stop().await.expect(0);
}

fn key() -> ScopedKey {
    ScopedKey::new(["test"], &Secret::new("key"))
}

/// Claims that are being written, as the server tells. A file has no server to tell.
async fn inserts(database: &Database) -> i64 {
    let sql = match database.backend() {
        DbBackend::Postgres => {
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO \"idempotency_keys\"%'"
        }
        _ => {
            "SELECT count(*) AS n FROM information_schema.processlist WHERE db = database() \
             AND info LIKE 'INSERT INTO `idempotency_keys`%'"
        }
    };
    let statement = sea_orm::Statement::from_string(database.backend(), sql);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}

/// The server has done it, and nobody has read its answer.
#[tokio::test]
async fn who_leaves_during_the_claim_gives_the_key_back() {
    let app = App::start().await;
    let (database, onlooker) = (app.connection().await, app.connection().await);
    if database.backend() == DbBackend::Sqlite {
        return;
    }
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let key = key();
    // Another claim of the same key, in the way until it is taken back.
    let obstacle = onlooker.begin_write().await.unwrap();
    let now = chrono::Utc::now();
    let row = ActiveModel {
        key_hash: Set(key.hash().to_vec()),
        claim_id: Set(Uuid::now_v7()),
        fingerprint: Set(vec![7; 32]),
        created_at: Set(now),
        expires_at: Set(now),
        ..Default::default()
    };
    Entity::insert(row).exec_without_returning(&obstacle).await.unwrap();
    let mut claiming = Box::pin(keys.begin(&key, [7; 32]));
    let waits = eventually("it is sent", async || inserts(&onlooker).await == 1);
    tokio::select! {
        _ = &mut claiming => panic!("it was not held back"),
        () = waits => {}
    }
    // From here on nobody drives it.
    obstacle.rollback().await.unwrap();
    eventually("it is claimed", async || is_claimed(&onlooker).await).await;
    drop(claiming);
    eventually("it is released", async || is_free(&onlooker).await).await;
    database.close().await;
    onlooker.close().await;
}

#[tokio::test]
async fn a_claim_that_comes_to_light_after_its_release_is_released_again() {
    let (app, counted) = (App::start().await, Witness::new("test", "off"));
    let settings = app.database.settings();
    let database = Database::connect(&settings, counted.telemetry()).await.unwrap();
    let onlooker = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let deletes = || {
        let labels = [("db_operation_name", "DELETE"), ("db_collection_name", "idempotency_keys")];
        counted.metric("db_client_operation_duration_seconds", &labels)
    };
    let mut in_time = false;
    while !in_time {
        let Ok(Begun::Claimed(claim)) = keys.begin(&key(), [7; 32]).await else {
            panic!("the key is free");
        };
        let [row] = &Entity::find().all(&onlooker).await.unwrap()[..] else { panic!("one row") };
        Entity::delete_by_id(row.key_hash.clone()).exec(&onlooker).await.unwrap();
        let (before, dropped) = (deletes(), Instant::now());
        drop(claim);
        eventually("it was to be released", async || deletes() > before).await;
        let late = row.clone().into_active_model().reset_all();
        Entity::insert(late).exec_without_returning(&onlooker).await.unwrap();
        // On a machine that is too busy the second attempt may have come before the row.
        in_time = dropped.elapsed() < Duration::from_secs(2);
        if in_time {
            eventually("it is released", async || is_free(&onlooker).await).await;
        } else {
            Entity::delete_many().exec(&onlooker).await.unwrap();
        }
    }
    database.close().await;
    onlooker.close().await;
}

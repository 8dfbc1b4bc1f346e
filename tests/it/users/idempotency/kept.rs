//! How long answers are kept, and that they are kept when nobody has seen them.

use std::time::Duration;

use belvedere::idempotency::{About, Answer, Begun, Idempotency, forget};
use belvedere_entity::idempotency_key::Entity;
use chassis::http::idempotency::ScopedKey;
use chassis::settings::Secret;
use chrono::{TimeDelta, Utc};
use opentelemetry_sdk::trace::SpanData;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, TransactionSession};
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::{KEY, expire, post, rows};
use crate::support::{App, eventually, new_user};

fn key(number: usize) -> ScopedKey {
    ScopedKey::new(["test"], &Secret::new(number.to_string()))
}

fn answer() -> Answer {
    Answer {
        status: 201,
        location: Some("/here".to_owned()),
        version: Some(1),
        body: Some("{}".to_owned().into()),
    }
}

/// Whether a task's span has come to its end that a key was deleted in.
fn is_told(spans: &[SpanData]) -> bool {
    let deleting = spans.iter().find(|span| span.name == "DELETE idempotency_keys");
    let is_task = |span: &SpanData, statement: &SpanData| {
        span.name == "background task" && span.span_context.span_id() == statement.parent_span_id
    };
    deleting.is_some_and(|statement| spans.iter().any(|span| is_task(span, statement)))
}

#[tokio::test]
async fn an_answer_is_forgotten_when_its_day_is_over() {
    let app = App::start().await;
    let database = app.connection().await;
    let _ = post(&app.client, KEY, &new_user("ada@example.org")).send().await.expect(201);
    let other = new_user("eve@example.org");
    expire(&database, 60).await;
    post(&app.client, KEY, &other).send().await.problem(422);
    expire(&database, -1).await;
    // Nobody has cleaned up yet, and the key is free all the same.
    let first = post(&app.client, KEY, &other).send().await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = post(&app.client, KEY, &other).send().await.expect(201);
    assert_eq!(again.body, first.body);
    database.close().await;
}

#[tokio::test]
async fn what_has_expired_is_deleted_and_nothing_else() {
    let app = App::start().await;
    let database = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let _ = post(&app.client, KEY, &new_user("ada@example.org")).send().await.expect(201);
    let [answered] = &rows(&app).await[..] else { panic!("one row") };
    assert_eq!(keys.clean_up(Utc::now()).await.unwrap(), 0);
    // More than fit into one statement.
    let old = (0..1201_u32).map(|number| {
        let mut row = answered.clone();
        row.key_hash[..4].copy_from_slice(&number.to_be_bytes());
        row.key_hash[4..].fill(0);
        row.expires_at = Utc::now() - TimeDelta::seconds(1);
        row.into_active_model().reset_all()
    });
    for some in old.collect::<Vec<_>>().chunks(400) {
        Entity::insert_many(some.to_vec()).exec_without_returning(&database).await.unwrap();
    }
    assert_eq!(keys.clean_up(Utc::now()).await.unwrap(), 1201);
    assert_eq!(rows(&app).await, std::slice::from_ref(answered));
    assert_eq!(keys.clean_up(Utc::now() + TimeDelta::hours(25)).await.unwrap(), 1);
    assert_eq!(rows(&app).await, []);
    database.close().await;
}

#[tokio::test]
async fn cleaning_up_recurs_in_the_background() {
    let app = App::start().await;
    let database = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let _ = post(&app.client, KEY, &new_user("ada@example.org")).send().await.expect(201);
    expire(&database, -1).await;
    let cleaning = async { keys.clean_up_every(Duration::from_millis(20)) };
    let _cleaning = cleaning.with_subscriber(app.witness.telemetry().dispatch()).await;
    eventually("the key is gone", async || rows(&app).await.is_empty()).await;
    eventually("the task is told", async || is_told(&app.witness.spans())).await;
}

#[tokio::test]
async fn a_commit_whose_outcome_nobody_saw_is_not_taken_back() {
    let app = App::start().await;
    let database = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let about = About { subject: Uuid::now_v7(), secret: None };
    for (number, gone) in [(1, "released"), (2, "dropped")] {
        let Begun::Claimed(claim) = keys.begin(&key(number), [7; 32]).await.unwrap() else {
            panic!("it is new");
        };
        let transaction = database.begin_write().await.unwrap();
        claim.keep(&transaction, &answer(), &about).await.unwrap();
        transaction.commit().await.unwrap();
        // The connection broke before it could be told; so the claim is not settled.
        match gone {
            "released" => claim.release().await,
            _ => drop(claim),
        }
    }
    // The dropped one releases in the background, on this runtime, and has statements to send.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(rows(&app).await.len(), 2);
    }
    for number in [1, 2] {
        let Begun::Answered(stored) = keys.begin(&key(number), [7; 32]).await.unwrap() else {
            panic!("it was answered");
        };
        assert_eq!(stored.answer, answer());
    }
    forget(&database, about.subject).await.unwrap();
    assert_eq!(rows(&app).await, []);
    database.close().await;
}

#[tokio::test]
async fn a_transaction_that_fails_keeps_no_answer() {
    let app = App::start().await;
    let database = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let Begun::Claimed(claim) = keys.begin(&key(1), [7; 32]).await.unwrap() else {
        panic!("it is new");
    };
    let about = About { subject: Uuid::now_v7(), secret: None };
    let transaction = database.begin_write().await.unwrap();
    claim.keep(&transaction, &answer(), &about).await.unwrap();
    transaction.rollback().await.unwrap();
    drop(claim);
    eventually("it is released", async || rows(&app).await.is_empty()).await;
    assert!(matches!(keys.begin(&key(1), [8; 32]).await, Ok(Begun::Claimed(_))));
    eventually("it is released", async || rows(&app).await.is_empty()).await;
    database.close().await;
}

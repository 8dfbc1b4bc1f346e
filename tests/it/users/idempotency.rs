//! `Idempotency-Key` on `POST /users`: however often it is sent, it is done once.

mod interrupted;
mod kept;

use std::sync::Arc;
use std::time::Duration;

use belvedere::auth::Registration;
use belvedere_entity::idempotency_key::{Column, Entity, Model};
use chassis::database::Database;
use chassis::privacy::Pii;
use chassis::testing::{Answer, Call, Client};
use sea_orm::EntityTrait;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};

use crate::support::{App, PASSWORD, new_user};

const KEY: &str = "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"";

fn post(client: &Client, key: &str, body: &Value) -> Call {
    client.post("/users").json(body).header("idempotency-key", key)
}

/// Every key that is known.
async fn rows(app: &App) -> Vec<Model> {
    let database = app.connection().await;
    let rows = Entity::find().all(&database).await.unwrap();
    database.close().await;
    rows
}

/// Makes every key expire at this many seconds from now.
async fn expire(database: &Database, seconds: i64) {
    let at = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    let update = Entity::update_many().col_expr(Column::ExpiresAt, Expr::value(at));
    update.exec(database).await.unwrap();
}

async fn count_users(app: &App) -> usize {
    let database = app.connection().await;
    let users = belvedere_entity::user::Entity::find().all(&database).await.unwrap();
    database.close().await;
    users.len()
}

#[track_caller]
fn assert_replayed(again: &Answer, first: &Answer) {
    assert_eq!(again.body, first.body);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(
        (again.header("idempotency-replayed"), first.header("idempotency-replayed")),
        ("true", "")
    );
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_creates_nobody() {
    let app = App::start().await;
    let mut body = new_user("ada@example.org");
    body["address"] = json!("12 St James's Square\nLondon \u{1f426} \"\\/");
    let first = post(&app.client, KEY, &body).send().await.expect(201);
    let ada = app.signed_in("ada@example.org").await;
    let change = ada.patch(first.header("location")).json(&json!({ "name": "Ada King" }));
    let _ = change.send().await.expect(200);

    let again = post(&app.client, KEY, &body).send().await.expect(201);
    assert_replayed(&again, &first);
    // The same key without its quotation marks, and the same object in another order.
    let other = json!({
        "phone_number": null, "address": body["address"],
        "password": PASSWORD, "email": "ada@example.org", "name": "Ada Lovelace",
    });
    let path = "/users/";
    let again = app.client.post(path).json(&other).header("idempotency-key", KEY.trim_matches('"'));
    let again = again.send().await.expect(201);
    assert_replayed(&again, &first);

    assert_eq!(count_users(&app).await, 1);
    let told = |answer: &Answer| {
        let line = app.witness.request_line(answer.header("x-request-id"));
        line.get("idempotency.replayed").cloned()
    };
    assert_eq!((told(&first), told(&again)), (None, Some(json!(true))));
    let created = app.witness.metric("auth_events_total", &[("event", "user_created")]);
    assert!((created - 1.0).abs() < f64::EPSILON, "{created}");
}

#[tokio::test]
async fn without_a_key_every_request_stands_for_itself() {
    let app = App::start().await;
    let _ = app.register("ada@example.org").await.expect(201);
    let problem = app.register("ada@example.org").await.problem(409);
    assert_eq!(problem["type"], "/problems/address-taken");
    assert_eq!(rows(&app).await, []);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let app = App::start().await;
    let body = new_user("ada@example.org");
    let _ = post(&app.client, KEY, &body).send().await.expect(201);
    for (member, value) in [
        ("name", "Ada King"),
        ("email", "Ada@example.org"),
        ("email", "eve@example.org"),
        ("password", "another heron by the weir"),
        ("phone_number", "+442071838750"),
        ("address", "London"),
    ] {
        let mut other = body.clone();
        other[member] = json!(value);
        let problem = post(&app.client, KEY, &other).send().await.problem(422);
        assert_eq!(problem["type"], "/problems/idempotency-key-reused", "{member}");
        assert!(problem.get("errors").is_none(), "{problem}");
    }
    assert_eq!(count_users(&app).await, 1);
    let _ = post(&app.client, "\"another\"", &new_user("eve@example.org")).send().await.expect(201);
}

#[tokio::test]
async fn what_is_no_key_is_a_bad_request() {
    let app = App::start().await;
    let long = "k".repeat(256);
    let body = new_user("ada@example.org");
    for key in ["", "\"\"", "\"a", "a b", "a, b", "\"a\";q=1", &long] {
        let problem = post(&app.client, key, &body).send().await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains("idempotency-key"), "{key}");
    }
    let twice = post(&app.client, KEY, &body).header("idempotency-key", KEY);
    twice.send().await.problem(400);
    assert_eq!(count_users(&app).await, 0);
}

#[tokio::test]
async fn a_request_that_was_not_done_leaves_its_key_free() {
    let app = App::start().await;
    let eve = app.register("ada@example.org").await.expect(201);
    let invalid = json!({ "name": "", "email": "ada@example.org", "password": PASSWORD });
    post(&app.client, KEY, &invalid).send().await.problem(422);
    let body = new_user("ada@example.org");
    for _ in 0..2 {
        let problem = post(&app.client, KEY, &body).send().await.problem(409);
        assert_eq!(problem["type"], "/problems/address-taken");
    }
    assert_eq!(rows(&app).await, []);
    let owner = app.signed_in("ada@example.org").await;
    let _ = owner.delete(eve.header("location")).send().await.expect(204);
    let _ = post(&app.client, KEY, &body).send().await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_one_key_on_two_replicas_one_is_done() {
    let app = App::start().await;
    let other = App::on(Arc::clone(&app.database), |_| {}).await;
    let body = new_user("ada@example.org");
    let calls = (0..8).map(|number| {
        let client = if number % 2 == 0 { &app.client } else { &other.client };
        tokio::spawn(post(client, KEY, &body).send())
    });
    let (mut created, mut replayed) = (Vec::new(), Vec::new());
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        if answer.status == 201 && answer.header("idempotency-replayed").is_empty() {
            created.push(answer);
        } else if answer.status == 201 {
            replayed.push(answer);
        } else {
            let problem = answer.problem(409);
            assert_eq!(problem["type"], "/problems/request-in-flight");
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
    assert_eq!(created.len(), 1);
    for answer in &replayed {
        assert_replayed(answer, &created[0]);
    }
    assert_eq!((count_users(&app).await, rows(&app).await.len()), (1, 1));
    // Whoever asks again in the end gets the answer, wherever.
    for client in [&app.client, &other.client] {
        let answer = post(client, KEY, &body).send().await.expect(201);
        assert_replayed(&answer, &created[0]);
    }
}

#[tokio::test]
async fn administrators_have_keys_of_their_own() {
    let open = App::start().await;
    let (ada, eve) = (open.admin().await, open.admin().await);
    let app = App::on(Arc::clone(&open.database), |settings| {
        settings.auth.registration = Registration::Admin;
    })
    .await;
    let (ada, eve) = (app.signed_in(&ada.email).await, app.signed_in(&eve.email).await);
    let one = post(&ada, KEY, &new_user("one@example.org")).send().await.expect(201);
    let two = post(&eve, KEY, &new_user("two@example.org")).send().await.expect(201);
    assert_ne!(one.body, two.body);
    let again = post(&ada, KEY, &new_user("one@example.org")).send().await.expect(201);
    assert_replayed(&again, &one);
    post(&app.client, KEY, &new_user("one@example.org")).send().await.problem(401);
}

#[tokio::test]
async fn whoever_is_signed_in_has_keys_of_their_own_where_registration_is_open() {
    let app = App::start().await;
    let (ada, eve, person) = (app.admin().await, app.admin().await, app.person().await);
    let body = new_user("one@example.org");
    let strangers = post(&app.client, KEY, &body).send().await.expect(201);
    // The answer to a stranger is no answer to them.
    for client in [&ada.client, &eve.client, &person.client] {
        let problem = post(client, KEY, &body).send().await.problem(409);
        assert_eq!(problem["type"], "/problems/address-taken");
    }
    let mut places = vec![strangers.header("location").to_owned()];
    for (client, email) in [(&ada.client, "two"), (&eve.client, "three"), (&person.client, "four")]
    {
        let body = new_user(&format!("{email}@example.org"));
        let first = post(client, KEY, &body).send().await.expect(201);
        assert_replayed(&post(client, KEY, &body).send().await.expect(201), &first);
        places.push(first.header("location").to_owned());
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 4);
}

#[tokio::test]
async fn with_a_token_that_is_not_valid_only_requests_without_a_key_pass_for_a_strangers() {
    let app = App::start().await;
    let (forged, person) = (app.client.with_token("forged"), app.person().await);
    let _ = person.client.delete(&person.path()).send().await.expect(204);
    for (client, email) in [(&forged, "ada@example.org"), (&person.client, "eve@example.org")] {
        let body = new_user(email);
        let problem = post(client, KEY, &body).send().await.problem(401);
        assert_eq!(problem["type"], "/problems/unauthorized");
        let _ = client.post("/users").json(&body).send().await.expect(201);
    }
}

#[tokio::test]
async fn an_answer_that_tells_of_a_deleted_user_is_forgotten() {
    let app = App::start().await;
    let body = new_user("ada@example.org");
    let first = post(&app.client, KEY, &body).send().await.expect(201);
    let eve = post(&app.client, "\"eve\"", &new_user("eve@example.org")).send().await.expect(201);
    let ada = app.signed_in("ada@example.org").await;
    let _ = ada.delete(first.header("location")).send().await.expect(204);
    let left: Vec<_> = rows(&app).await.into_iter().map(|row| row.subject_id).collect();
    assert_eq!(left, [Some(eve.json()["id"].as_str().unwrap().parse().unwrap())]);
    let second = post(&app.client, KEY, &body).send().await.expect(201);
    assert_ne!(second.header("location"), first.header("location"));
    assert_eq!(second.header("idempotency-replayed"), "");
}

/// Else the hash of the old password would outlive it, beside the answer.
#[tokio::test]
async fn a_new_password_forgets_the_answers_with_the_old_one() {
    let app = App::start().await;
    let ada = post(&app.client, KEY, &new_user("ada@example.org")).send().await.expect(201);
    let eve = post(&app.client, "\"eve\"", &new_user("eve@example.org")).send().await.expect(201);
    let client = app.signed_in("ada@example.org").await;
    let path = format!("{}/password", ada.header("location"));
    let change = async |old: &str| {
        let body = json!({ "current_password": old, "new_password": "seven quiet lamps at sea" });
        client.put(&path).json(&body).send().await
    };
    change("a wrong one").await.problem(422);
    assert_eq!(rows(&app).await.len(), 2);
    let _ = change(PASSWORD).await.expect(204);
    let left: Vec<_> = rows(&app).await.into_iter().map(|row| row.subject_id).collect();
    assert_eq!(left, [Some(eve.json()["id"].as_str().unwrap().parse().unwrap())]);
}

#[tokio::test]
async fn a_table_of_keys_tells_its_thief_neither_keys_nor_passwords() {
    let app = App::start().await;
    let _ = post(&app.client, KEY, &new_user("ada@example.org")).send().await.expect(201);
    let [row] = &rows(&app).await[..] else { panic!("one row") };
    let text = format!("{row:?} {:?}", row.body.as_ref().map(Pii::expose));
    for secret in [PASSWORD, KEY.trim_matches('"')] {
        assert!(!text.contains(secret));
    }
    assert!(row.secret_hash.as_ref().unwrap().expose().starts_with("$argon2id$"));
    assert!(!format!("{row:?}").contains("ada@example.org"), "{row:?}");
    let kept = row.expires_at - row.created_at;
    let day = chrono::TimeDelta::hours(24);
    assert!(kept >= day && kept < day + chrono::TimeDelta::minutes(5), "{kept}");
}

/// Hashing that takes about a second, in which tests find a request at work.
fn slow_hashes(settings: &mut belvedere::settings::Settings) {
    settings.password.iterations = 30_000;
    settings.server.request_timeout = Duration::from_mins(2);
}

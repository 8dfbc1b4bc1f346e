//! Refresh tokens: each is good for once, and one that comes again ends the session.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belvedere::sessions::{RefreshToken, Sessions};
use belvedere::settings::Settings;
use belvedere_entity::{refresh_token, session};
use chassis::testing::{Answer, Client, TestDatabase};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{App, PASSWORD, Person, without_ids};

#[tokio::test]
async fn a_session_goes_on_with_a_new_pair_of_tokens_each_time() {
    let app = App::start().await;
    let ada = app.person().await;
    let mut token = ada.refresh_token.clone();
    for _ in 0..3 {
        let answer = refresh(&app.client, &token).await.expect(200);
        let tokens = answer.json();
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(tokens.as_object().unwrap().len(), 4);
        let client = app.client.with_token(tokens["access_token"].as_str().unwrap());
        assert_eq!(client.get("/users/me").send().await.expect(200).json()["id"], ada.id);
        let next = tokens["refresh_token"].as_str().unwrap();
        assert_ne!(next, token);
        token = next.to_owned();
    }
    // What was issued before is good for its own time.
    let _ = ada.client.get("/users/me").send().await.expect(200);
}

#[tokio::test]
async fn a_spent_token_ends_the_session_and_all_its_tokens() {
    let app = App::with(strict).await;
    let ada = app.person().await;
    let other = app.again(&ada).await;
    let first = renewed(&app, &ada.refresh_token).await;
    let second = renewed(&app, &first.refresh_token).await;
    refresh(&app.client, &ada.refresh_token).await.problem(401);
    for token in [&second.refresh_token, &first.refresh_token, &ada.refresh_token] {
        refresh(&app.client, token).await.problem(401);
    }
    for client in [&ada.client, &first.client, &second.client] {
        client.get("/users/me").send().await.problem(401);
    }
    // The other session is nobody's loss.
    let _ = other.client.get("/users/me").send().await.expect(200);
    let _ = refresh(&app.client, &other.refresh_token).await.expect(200);
}

#[tokio::test]
async fn side_by_side_all_get_the_same_successor_and_one_token_lives() {
    let database = Arc::new(TestDatabase::create().await);
    let patient = |settings: &mut Settings| {
        settings.auth.refresh_grace = Duration::from_mins(1);
    };
    let app = App::on(Arc::clone(&database), patient).await;
    let replica = App::on(database, patient).await;
    let ada = app.person().await;
    let mut answers = JoinSet::new();
    for number in 0..8 {
        let client = if number % 2 == 0 { &app.client } else { &replica.client };
        let (client, token) = (client.clone(), ada.refresh_token.clone());
        answers.spawn(async move { refresh(&client, &token).await });
    }
    let mut next: Vec<String> = Vec::new();
    for answer in answers.join_all().await {
        let tokens = answer.expect(200).json();
        next.push(tokens["refresh_token"].as_str().unwrap().to_owned());
    }
    next.dedup();
    assert_eq!(next.len(), 1, "one successor for all");
    assert_eq!(unspent(&app).await, 1);
    let _ = refresh(&app.client, &next[0]).await.expect(200);
}

#[tokio::test]
async fn the_grace_is_over_when_the_successor_is_used_or_time_has_passed() {
    let app = App::with(|settings| settings.auth.refresh_grace = Duration::from_mins(1)).await;
    let ada = app.person().await;
    let first = renewed(&app, &ada.refresh_token).await;
    let again = renewed(&app, &ada.refresh_token).await;
    assert_eq!(first.refresh_token, again.refresh_token);
    let second = renewed(&app, &first.refresh_token).await;
    refresh(&app.client, &ada.refresh_token).await.problem(401);
    second.client.get("/users/me").send().await.problem(401);

    let eve = app.person().await;
    let next = renewed(&app, &eve.refresh_token).await;
    let database = app.connection().await;
    let spent =
        refresh_token::ActiveModel { spent_at: Set(Some(long_ago())), ..Default::default() };
    let of_eve = refresh_token::Column::SessionId.eq(eve.session_id().parse::<Uuid>().unwrap());
    let spent = refresh_token::Entity::update_many().set(spent).filter(of_eve);
    let spent = spent.filter(refresh_token::Column::SpentAt.is_not_null());
    assert_eq!(spent.exec(&database).await.unwrap().rows_affected, 1);
    database.close().await;
    refresh(&app.client, &eve.refresh_token).await.problem(401);
    next.client.get("/users/me").send().await.problem(401);
}

#[tokio::test]
async fn what_is_no_token_of_a_session_is_answered_alike() {
    let app = App::with(strict).await;
    let (ada, eve) = (app.person().await, app.person().await);
    let _ = renewed(&app, &ada.refresh_token).await;
    let reused = refresh(&app.client, &ada.refresh_token).await;
    let body = without_ids(&reused, 401);
    assert_eq!(reused.header("www-authenticate"), "Bearer");
    let random = RefreshToken::generate().unwrap().to_secret();
    let longer = format!("{}A", eve.refresh_token);
    let padded = format!(" {}", eve.refresh_token);
    for token in ["", "x", random.expose(), &longer, &padded, &eve.access_token, &"x".repeat(9999)]
    {
        assert_eq!(without_ids(&refresh(&app.client, token).await, 401), body, "{token}");
    }
    // An access token is no refresh token, and the other way round.
    let client = app.client.with_token(&eve.refresh_token);
    client.get("/users/me").send().await.problem(401);
    let _ = refresh(&app.client, &eve.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_session_that_is_not_used_in_time_is_over() {
    let app = App::with(|settings| settings.auth.refresh_ttl = Duration::from_hours(24)).await;
    let ada = app.person().await;
    assert_eq!(lasts(&ada).await, Duration::from_hours(24));
    let next = renewed(&app, &ada.refresh_token).await;
    expire(&app, &ada, long_ago()).await;
    next.client.get("/users/me").send().await.problem(401);
    refresh(&app.client, &next.refresh_token).await.problem(401);
    refresh(&app.client, &next.refresh_token).await.problem(401);
    next.client.get("/users/me").send().await.problem(401);
}

#[tokio::test]
async fn a_session_is_over_after_its_time_however_it_is_used() {
    let app = App::with(|settings| {
        settings.auth.refresh_ttl = Duration::from_hours(24);
        settings.auth.session_ttl = Duration::from_hours(24);
    })
    .await;
    let ada = app.person().await;
    let soon = (Utc::now() + chrono::Duration::minutes(5)).trunc_subsecs(6);
    expire(&app, &ada, soon).await;
    let answer = refresh(&app.client, &ada.refresh_token).await.expect(200).json();
    // Neither the session nor the access token lasts longer for it.
    assert!((290..=300).contains(&answer["expires_in"].as_i64().unwrap()), "{answer}");
    let client = app.client.with_token(answer["access_token"].as_str().unwrap());
    let sessions = client.get("/users/me/sessions").send().await.expect(200).json();
    assert_eq!(time(&sessions["items"][0]["expires_at"]), soon);
}

#[tokio::test]
async fn what_is_over_is_deleted_and_nothing_else() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let _ = renewed(&app, &ada.refresh_token).await;
    expire(&app, &ada, long_ago()).await;
    let database = app.connection().await;
    let sessions = Sessions::new(database.clone(), Settings::default().auth.lifetimes());
    assert_eq!(sessions.clean_up(Utc::now()).await.unwrap(), 1);
    assert_eq!(sessions.clean_up(Utc::now()).await.unwrap(), 0);
    let left = refresh_token::Entity::find().all(&database).await.unwrap();
    database.close().await;
    assert_eq!(left.len(), 1);
    let _ = refresh(&app.client, &eve.refresh_token).await.expect(200);
}

#[tokio::test]
async fn the_database_has_no_token_that_could_be_used() {
    let app = App::start().await;
    let ada = app.person().await;
    let next = renewed(&app, &ada.refresh_token).await;
    let database = app.connection().await;
    let rows = refresh_token::Entity::find().all(&database).await.unwrap();
    assert_eq!(rows.len(), 2);
    let bytes = |token: &str| {
        let token = token.strip_prefix("bvr_").unwrap();
        URL_SAFE_NO_PAD.decode(token).unwrap()
    };
    let secrets = [bytes(&ada.refresh_token), bytes(&next.refresh_token)];
    for row in rows {
        for stored in [Some(row.token_hash), row.successor].into_iter().flatten() {
            assert!(!secrets.contains(&stored));
        }
    }
    database.close().await;
}

#[tokio::test]
async fn tokens_leave_no_trace() {
    let app = App::with(|settings| {
        settings.log.level = "trace".to_owned();
        settings.auth.refresh_grace = Duration::ZERO;
    })
    .await;
    let ada = app.person().await;
    let next = renewed(&app, &ada.refresh_token).await;
    refresh(&app.client, &ada.refresh_token).await.problem(401);
    let body = json!({ "refresh_token": next.refresh_token });
    let _ = app.client.post("/auth/logout").json(&body).send().await.expect(204);
    let tokens = [&ada.refresh_token, &next.refresh_token, &ada.access_token, &next.access_token];
    app.witness.assert_silent_about(&tokens.map(String::as_str));
}

impl App {
    /// The same person, signed in once more.
    pub(super) async fn again(&self, person: &Person) -> Person {
        let tokens = self.log_in(&person.email, PASSWORD).await.expect(200);
        signed_in(self, person, &tokens)
    }
}

/// As a client would: the next pair of tokens in place of the last.
async fn renewed(app: &App, token: &str) -> Person {
    let tokens = refresh(&app.client, token).await.expect(200);
    let nobody = Person {
        id: String::new(),
        email: String::new(),
        client: app.client.clone(),
        access_token: String::new(),
        refresh_token: String::new(),
    };
    signed_in(app, &nobody, &tokens)
}

fn signed_in(app: &App, person: &Person, tokens: &Answer) -> Person {
    let tokens = tokens.json();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    Person {
        id: person.id.clone(),
        email: person.email.clone(),
        client: app.client.with_token(text("access_token")),
        access_token: text("access_token"),
        refresh_token: text("refresh_token"),
    }
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.post("/auth/refresh").json(&json!({ "refresh_token": token })).send().await
}

fn strict(settings: &mut Settings) {
    settings.auth.refresh_grace = Duration::ZERO;
}

fn long_ago() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn time(text: &Value) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap().to_utc()
}

/// How long the person's only session lasts unless it is used.
async fn lasts(person: &Person) -> Duration {
    let sessions = person.client.get("/users/me/sessions").send().await.expect(200).json();
    let session = &sessions["items"][0];
    (time(&session["expires_at"]) - time(&session["used_at"])).to_std().unwrap()
}

/// Has the person's session end at this moment, as if it had begun long before.
async fn expire(app: &App, person: &Person, at: DateTime<Utc>) {
    let database = app.connection().await;
    let times =
        session::ActiveModel { expires_at: Set(at), ends_at: Set(at), ..Default::default() };
    let id: Uuid = person.session_id().parse().unwrap();
    let update = session::Entity::update_many().set(times).filter(session::Column::Id.eq(id));
    assert_eq!(update.exec(&database).await.unwrap().rows_affected, 1);
    database.close().await;
}

async fn unspent(app: &App) -> usize {
    let database = app.connection().await;
    let tokens = refresh_token::Entity::find().all(&database).await.unwrap();
    database.close().await;
    tokens.iter().filter(|token| token.spent_at.is_none()).count()
}

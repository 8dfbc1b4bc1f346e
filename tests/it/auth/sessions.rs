//! Sessions: where somebody is signed in, and what ends that.

use std::sync::Arc;

use belvedere::auth::AuthMode;
use belvedere::settings::Settings;
use chassis::settings::Secret;
use chassis::testing::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::process::signing_key;
use crate::support::{App, PASSWORD, Person, without_ids};

const NEXT: &str = "seven quiet lamps under the bridge";

#[tokio::test]
async fn somebody_sees_where_they_are_signed_in() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let login = json!({ "email": ada.email, "password": PASSWORD });
    let agent = format!("Mozilla/5.0 {}", "x".repeat(300));
    let login = app.client.post("/auth/login").header("user-agent", &agent).json(&login);
    let tokens = login.send().await.expect(200).json();
    let second = app.client.with_token(tokens["access_token"].as_str().unwrap());
    let answer = second.get("/users/me/sessions").send().await.expect(200);
    let items = answer.json()["items"].as_array().unwrap().clone();
    let current: Vec<_> = items.iter().map(|item| item["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false], "last used first");
    assert_eq!(items[0]["user_agent"], agent[..200]);
    assert_eq!(items[1]["user_agent"], Value::Null);
    assert_eq!(items[1]["id"], ada.session_id());
    assert_eq!(items[0].as_object().unwrap().len(), 6);
    assert_eq!(sessions(&eve).await.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_ended_ends_with_its_tokens_and_alone() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let (second, third) = (app.again(&ada).await, app.again(&ada).await);
    let end = |by: &Person, id: &str| by.client.delete(&format!("/users/me/sessions/{id}")).send();
    // Nobody ends the sessions of others, or learns of them.
    for id in [ada.session_id(), Uuid::now_v7().to_string()] {
        end(&eve, &id).await.problem(404);
    }
    let _ = end(&ada, "7").await.problem(400);
    let _ = end(&ada, &second.session_id()).await.expect(204);
    end(&ada, &second.session_id()).await.problem(404);
    is_over(&app, &second).await;
    lives(&ada).await;
    let _ = end(&ada, &ada.session_id()).await.expect(204);
    is_over(&app, &ada).await;
    lives(&third).await;
    assert_eq!(sessions(&third).await.len(), 1);
}

#[tokio::test]
async fn logging_out_ends_the_session_with_whichever_of_its_tokens_it_is_done() {
    let app = App::start().await;
    for spent in [false, true] {
        let ada = app.person().await;
        let other = app.again(&ada).await;
        if spent {
            let _ = refresh(&app, &ada.refresh_token).await.expect(200);
        }
        for _ in 0..2 {
            let _ = log_out(&app, &ada.refresh_token).await.expect(204);
        }
        is_over(&app, &ada).await;
        lives(&other).await;
    }
    for token in ["", "x", "bvr_x"] {
        let _ = log_out(&app, token).await.expect(204);
    }
}

/// What ends the sessions of a user must end them before it is answered, access tokens too.
#[tokio::test]
async fn what_a_session_began_with_ends_it_when_it_changes() {
    let app = App::start().await;
    let admin = app.admin().await;
    for what in ["password", "role", "status", "sessions", "user"] {
        let ada = app.person().await;
        let other = app.again(&ada).await;
        let path = ada.path();
        let call = match what {
            "password" => ada
                .client
                .put(&format!("{path}/password"))
                .json(&json!({ "current_password": PASSWORD, "new_password": NEXT })),
            "role" => admin.client.put(&format!("{path}/role")).json(&json!({ "role": "admin" })),
            "status" => {
                admin.client.put(&format!("{path}/status")).json(&json!({ "status": "disabled" }))
            }
            "sessions" => admin.client.delete(&format!("{path}/sessions")),
            _ => ada.client.delete(&path),
        };
        let answer = call.send().await;
        assert!(answer.status.is_success(), "{what}: {}", answer.status);
        for person in [&ada, &other] {
            is_over(&app, person).await;
        }
    }
}

#[tokio::test]
async fn a_user_that_is_disabled_is_kept_out_until_it_is_enabled() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let path = format!("{}/status", ada.path());
    let set = |status: &str| admin.client.put(&path).json(&json!({ "status": status })).send();
    let told = admin.client.get(&path).send().await.expect(200).json();
    assert_eq!(told, json!({ "status": "active" }));
    for _ in 0..2 {
        assert_eq!(set("disabled").await.expect(200).json(), json!({ "status": "disabled" }));
    }
    let refused = app.log_in(&ada.email, PASSWORD).await;
    let unknown = app.log_in("nobody@example.org", PASSWORD).await;
    assert_eq!(without_ids(&refused, 401), without_ids(&unknown, 401));
    // The user itself is unchanged, and seen by those who may.
    let seen = admin.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(seen.header("etag"), "\"1\"");
    assert_eq!(set("active").await.expect(200).json(), json!({ "status": "active" }));
    is_over(&app, &ada).await;
    let _ = app.log_in(&ada.email, PASSWORD).await.expect(200);
    set("banned").await.problem(422);
    let nobody = format!("/users/{}/status", Uuid::now_v7());
    admin.client.get(&nobody).send().await.problem(404);
}

#[tokio::test]
async fn whoever_is_signed_in_too_often_loses_the_session_used_longest_ago() {
    let app = App::start().await;
    let ada = app.person().await;
    let second = app.again(&ada).await;
    // It was used since.
    let _ = refresh(&app, &ada.refresh_token).await.expect(200);
    for _ in 0..99 {
        let _ = app.log_in(&ada.email, PASSWORD).await.expect(200);
    }
    assert_eq!(sessions(&ada).await.len(), 100);
    is_over(&app, &second).await;
}

#[tokio::test]
async fn a_session_is_the_same_on_every_instance() {
    let key = Secret::new(signing_key());
    let shared = |settings: &mut Settings| settings.auth.signing_key = Some(key.clone());
    let app = App::with(shared).await;
    let replica = App::on(Arc::clone(&app.database), shared).await;
    let ada = app.person().await;
    let there = replica.client.with_token(&ada.access_token);
    let _ = there.get("/users/me").send().await.expect(200);
    let next = refresh(&replica, &ada.refresh_token).await.expect(200).json();
    let _ = log_out(&app, next["refresh_token"].as_str().unwrap()).await.expect(204);
    there.get("/users/me").send().await.problem(401);
    is_over(&app, &ada).await;
}

#[tokio::test]
async fn without_authentication_there_are_no_sessions() {
    let app = App::with(|settings| settings.auth.mode = AuthMode::Off).await;
    app.client.get("/users/me/sessions").send().await.problem(404);
    let id = Uuid::now_v7();
    app.client.delete(&format!("/users/me/sessions/{id}")).send().await.problem(404);
}

async fn refresh(app: &App, token: &str) -> Answer {
    app.client.post("/auth/refresh").json(&json!({ "refresh_token": token })).send().await
}

async fn log_out(app: &App, token: &str) -> Answer {
    app.client.post("/auth/logout").json(&json!({ "refresh_token": token })).send().await
}

async fn sessions(person: &Person) -> Vec<Value> {
    let answer = person.client.get("/users/me/sessions").send().await.expect(200);
    answer.json()["items"].as_array().unwrap().clone()
}

async fn is_over(app: &App, person: &Person) {
    person.client.get("/users/me").send().await.problem(401);
    refresh(app, &person.refresh_token).await.problem(401);
}

async fn lives(person: &Person) {
    let _ = person.client.get("/users/me").send().await.expect(200);
}

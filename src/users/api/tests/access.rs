//! Who may do what, and how callers are known.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{PASSWORD, World};
use crate::auth::{AuthMode, AuthSettings, Registration};
use crate::users::model::Role;
use crate::users::store;

#[tokio::test]
async fn somebody_elses_user_is_like_none() {
    let world = World::new().await;
    let (ada, _) = world.user("ada@example.org", Role::User).await;
    let (_, eve) = world.user("eve@example.org", Role::User).await;
    let change = json!({ "name": "Eve", "email": "e@example.org" });
    let passwords = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
    let requests = [
        (Method::GET, "", Value::Null),
        (Method::PUT, "", change),
        (Method::PATCH, "", json!({})),
        (Method::DELETE, "", Value::Null),
        (Method::PUT, "/password", passwords),
    ];
    for (method, suffix, body) in requests {
        let mut answers = Vec::new();
        for id in [ada, Uuid::now_v7()] {
            let request = world.request(method.clone(), &format!("/users/{id}{suffix}"));
            answers.push(request.token(&eve).json(&body).send().await);
        }
        assert_eq!(answers[0].status, StatusCode::NOT_FOUND, "{method} {suffix}");
        assert_eq!(answers[0].problem, answers[1].problem);
    }
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike() {
    let world = World::new().await;
    world.user("ada@example.org", Role::User).await;
    let mut answers = Vec::new();
    for (email, password) in
        [("ada@example.org", "x"), ("eve@example.org", PASSWORD), ("\0", PASSWORD)]
    {
        let body = json!({ "email": email, "password": password });
        answers.push(world.request(Method::POST, "/auth/login").json(&body).send().await);
    }
    assert_eq!(answers[0].status, StatusCode::UNAUTHORIZED);
    assert!(answers.iter().all(|answer| answer.problem == answers[0].problem));
}

#[tokio::test]
async fn an_outdated_hash_is_renewed_at_login_and_nobody_notices() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let outdated = world.outdate_hash(ada).await;
    world.log_in("ada@example.org", PASSWORD).await;
    let row = store::find(world.users.database(), ada).await.unwrap().unwrap();
    assert_ne!(row.password_hash, outdated);
    let me = world.request(Method::GET, "/users/me").token(&token).send().await;
    assert_eq!(me.header("etag"), "\"1\"");
}

#[tokio::test]
async fn security_events_are_counted() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let body = json!({ "email": "ada@example.org", "password": "x" });
    world.request(Method::POST, "/auth/login").json(&body).send().await;
    world.request(Method::GET, "/users").token(&token).send().await;
    let url = format!("/users/{ada}");
    world.request(Method::DELETE, &url).token(&token).send().await;
    world.request(Method::GET, &url).token(&token).send().await;
    for event in [
        "authn_login_success",
        "authn_login_fail",
        "authz_fail",
        "user_deleted",
        "authn_token_reuse",
    ] {
        assert_eq!(world.metrics.auth_events.with_label_values(&[event]).get(), 1, "{event}");
    }
}

#[tokio::test]
async fn registration_can_be_reserved_to_administrators() {
    let settings = AuthSettings { registration: Registration::Admin, ..AuthSettings::default() };
    let world = World::with(&settings).await;
    let (_, user) = world.user("ada@example.org", Role::User).await;
    let (_, admin) = world.user("root@example.org", Role::Admin).await;
    let body = json!({ "name": "Eve", "email": "eve@example.org", "password": PASSWORD });
    for (token, status) in [("", 401), (user.as_str(), 403), (admin.as_str(), 201)] {
        let request = world.request(Method::POST, "/users").token(token).json(&body);
        assert_eq!(request.send().await.status, status);
    }
}

#[tokio::test]
async fn without_authentication_everyone_is_administrator() {
    let settings = AuthSettings { mode: AuthMode::Off, ..AuthSettings::default() };
    let world = World::with(&settings).await;
    assert_eq!(world.request(Method::GET, "/users").send().await.status, StatusCode::OK);
    assert_eq!(world.request(Method::GET, "/users/me").send().await.status, StatusCode::NOT_FOUND);
}

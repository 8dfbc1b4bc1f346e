//! The requests against a database in memory, without the stack around them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod changes;
mod list;
mod world;

use poem::http::{Method, StatusCode};
use serde_json::json;

use self::world::{PASSWORD, World};
use crate::users::model::Role;

#[tokio::test]
async fn a_new_user_can_log_in_and_read_itself() {
    let world = World::new().await;
    let body = json!({ "name": "Ada", "email": "Ada@Example.org", "password": PASSWORD });
    let created = world.request(Method::POST, "/users").json(&body).send().await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.header("etag"), "\"1\"");
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("https://example.org/users/{id}"));
    let token = world.log_in("ADA@example.org", PASSWORD).await;
    let me = world.request(Method::GET, "/users/me").token(&token).send().await;
    assert_eq!(me.body, created.body);
    assert_eq!(me.body["email"], "Ada@Example.org");
    assert_eq!(me.body["role"], "user");
    assert_eq!(me.body.as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn every_field_of_a_new_user_is_checked_at_once() {
    let world = World::new().await;
    let body =
        json!({ "name": "", "email": 7, "password": "short", "address": "\0", "id": 1, "x": 1 });
    let refused = world.request(Method::POST, "/users").json(&body).send().await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for pointer in ["/name", "/email", "/password", "/address", "/id", "/x"] {
        assert!(refused.problem.contains(pointer), "{pointer}: {}", refused.problem);
    }
}

#[tokio::test]
async fn an_address_is_taken_in_any_case() {
    let world = World::new().await;
    world.user("ada@example.org", Role::User).await;
    let body = json!({ "name": "Eve", "email": "ADA@EXAMPLE.ORG", "password": PASSWORD });
    let refused = world.request(Method::POST, "/users").json(&body).send().await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.problem.contains("address-taken"), "{}", refused.problem);
    let (eve, token) = world.user("eve@example.org", Role::User).await;
    let body = json!({ "email": "Ada@example.org" });
    let path = format!("/users/{eve}");
    let refused = world.request(Method::PATCH, &path).token(&token).json(&body).send().await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let read = |tag: &'static str| {
        let request = world.request(Method::GET, &format!("/users/{ada}"));
        request.token(&token).header("if-none-match", tag).send()
    };
    let known = read("W/\"1\"").await;
    assert_eq!((known.status, known.header("etag")), (StatusCode::NOT_MODIFIED, "\"1\""));
    assert_eq!(read("\"2\"").await.status, StatusCode::OK);
}

//! Changing and deleting users.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{PASSWORD, World};
use crate::users::model::Role;

#[tokio::test]
async fn a_lost_update_is_refused() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let url = format!("/users/{ada}");
    let patch = |tag: &'static str| {
        let request = world.request(Method::PATCH, &url).token(&token);
        request.header("if-match", tag).json(&json!({ "phone_number": "+4912345" })).send()
    };
    let (first, second) = (patch("\"1\"").await, patch("\"1\"").await);
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("etag"), "\"2\"");
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch("W/\"2\"").await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch("2").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(patch("*").await.header("etag"), "\"3\"");
    let delete = world.request(Method::DELETE, &url).token(&token).header("if-match", "\"1\"");
    assert_eq!(delete.send().await.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_a_replacement_everything() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let path = format!("/users/{ada}");
    let send = async |method: Method, body: Value| {
        world.request(method, &path).token(&token).json(&body).send().await
    };
    let empty = send(Method::PATCH, json!({})).await;
    assert_eq!((empty.status, empty.header("etag")), (StatusCode::OK, "\"1\""));
    let patched =
        send(Method::PATCH, json!({ "address": "London", "phone_number": "+4912" })).await;
    assert_eq!(
        (&patched.body["name"], &patched.body["address"]),
        (&json!("Ada"), &json!("London"))
    );
    let removed = send(Method::PATCH, json!({ "phone_number": null })).await;
    assert_eq!(
        (&removed.body["phone_number"], &removed.body["address"]),
        (&Value::Null, &json!("London"))
    );
    let replaced = send(Method::PUT, json!({ "name": "A", "email": "a@example.org" })).await;
    assert_eq!((&replaced.body["name"], &replaced.body["address"]), (&json!("A"), &Value::Null));
    assert_eq!(replaced.header("etag"), "\"4\"");
    assert_eq!(send(Method::PATCH, json!({ "role": "admin" })).await.status, 422);
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let path = format!("/users/{ada}/password");
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        world.request(Method::PUT, &path).token(&token).json(&body).send()
    };
    let refused = change("not the password!", "short").await;
    assert_eq!(
        (refused.status, refused.problem.contains("/new_password")),
        (StatusCode::UNPROCESSABLE_ENTITY, true)
    );
    let refused = change("not the password!", "another long password").await;
    assert!(refused.problem.contains("/current_password"), "{}", refused.problem);
    assert_eq!(change(PASSWORD, "another long password").await.status, StatusCode::NO_CONTENT);
    let me = world.request(Method::GET, "/users/me").token(&token).send().await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    assert_eq!(me.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    world.log_in("ada@example.org", "another long password").await;
}

#[tokio::test]
async fn only_administrators_give_roles_and_nobody_sets_anothers_password() {
    let world = World::new().await;
    let (ada, user) = world.user("ada@example.org", Role::User).await;
    let (_, admin) = world.user("root@example.org", Role::Admin).await;
    let role = |token: &str| {
        let request = world.request(Method::PUT, &format!("/users/{ada}/role"));
        request.token(token).json(&json!({ "role": "admin" })).send()
    };
    assert_eq!(role(&user).await.status, StatusCode::FORBIDDEN);
    let changed = role(&admin).await;
    assert_eq!((&changed.body["role"], changed.header("etag")), (&json!("admin"), "\"2\""));
    assert_eq!(role(&admin).await.header("etag"), "\"2\"");
    assert_eq!(role(&user).await.status, StatusCode::UNAUTHORIZED);
    let body = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
    let password = world.request(Method::PUT, &format!("/users/{ada}/password"));
    assert_eq!(password.token(&admin).json(&body).send().await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_deleted_user_is_gone_with_its_sessions() {
    let world = World::new().await;
    let (ada, token) = world.user("ada@example.org", Role::User).await;
    let (_, admin) = world.user("root@example.org", Role::Admin).await;
    let path = format!("/users/{ada}");
    assert_eq!(world.request(Method::DELETE, &path).token(&admin).send().await.status, 204);
    assert_eq!(world.request(Method::DELETE, &path).token(&admin).send().await.status, 404);
    assert_eq!(world.request(Method::GET, &path).token(&admin).send().await.status, 404);
    assert_eq!(world.request(Method::GET, &path).token(&token).send().await.status, 401);
}

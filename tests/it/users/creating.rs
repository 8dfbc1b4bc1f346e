//! `POST /users`

use std::sync::Arc;

use belvedere::auth::Registration;
use chassis::testing::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{App, new_user};

#[tokio::test]
async fn a_new_user_is_answered_with_its_place_and_its_version() {
    let app = App::start().await;
    let mut body = new_user("ada@example.org");
    body["phone_number"] = json!("+442071838750");
    let created = app.client.post("/users").json(&body).send().await.expect(201);
    let user = created.json();
    assert_eq!(created.header("location"), format!("/users/{}", user["id"].as_str().unwrap()));
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(user["phone_number"], "+442071838750");
    assert_eq!(user["address"], Value::Null);
    assert_eq!(user["role"], "user");
    assert_eq!(user["created_at"], user["updated_at"]);
    assert_eq!(user.as_object().unwrap().len(), 8, "{user}");
}

#[tokio::test]
async fn the_place_and_the_version_can_be_used_as_they_stand() {
    let app = App::start().await;
    let created = app.register("ada@example.org").await.expect(201);
    let admin = app.admin().await.client;
    let read = || admin.get(created.header("location"));
    let found = read().send().await.expect(200);
    assert_eq!(found.json(), created.json());
    assert_eq!(found.header("etag"), created.header("etag"));
    let known = read().header("if-none-match", created.header("etag"));
    let _ = known.send().await.expect(304);
}

#[tokio::test]
async fn a_public_url_makes_places_and_links_absolute() {
    let app = App::with(|settings| {
        settings.server.public_url = Some("https://people.example/v1/".into());
    })
    .await;
    let created = app.register("ada@example.org").await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("https://people.example/v1/users/{id}"));
    let admin = app.admin().await.client;
    let page = admin.get("/users?limit=1").send().await.expect(200);
    let link = page.header("link");
    assert!(link.starts_with("<https://people.example/v1/users?limit=1&after="), "{link}");
    let index = app.client.get("/").send().await.expect(200).json();
    for (name, path) in [("docs", "/docs"), ("openapi", "/openapi.json"), ("health", "/health")] {
        assert_eq!(index["links"][name], format!("https://people.example/v1{path}"), "{name}");
    }
    let document = app.client.get("/openapi.json").send().await.expect(200);
    assert_eq!(
        document.json()["servers"],
        json!([{ "url": "https://people.example/v1" }, { "url": "/" }])
    );
    // The page's requests go there too, and its policy lets them where it was read from there.
    let page = app.client.get("/docs").send().await.expect(200);
    assert!(page.text().contains(&document.text()));
    assert!(page.header("content-security-policy").contains("connect-src 'self';"));
}

#[tokio::test]
async fn without_a_public_url_the_links_are_paths() {
    let app = App::start().await;
    let index = app.client.get("/").send().await.expect(200).json();
    let links = json!({ "docs": "/docs", "openapi": "/openapi.json", "health": "/health" });
    assert_eq!(index["links"], links);
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let app = App::start().await;
    let body = new_user("ada@example.org");
    let created = app.client.post("/users/").json(&body).send().await;
    let created = created.expect(201);
    let admin = app.admin().await.client;
    let place = format!("{}/", created.header("location"));
    let found = admin.get(&place).send().await.expect(200);
    assert_eq!(found.json(), created.json());
}

#[tokio::test]
async fn an_address_is_taken_in_whatever_case() {
    let app = App::start().await;
    let _ = app.register("ada@example.org").await.expect(201);
    for email in ["ada@example.org", "Ada@Example.ORG"] {
        let problem = app.register(email).await.problem(409);
        assert_eq!(problem["type"], "/problems/address-taken");
        // Not even the address that was sent comes back.
        assert!(!problem.to_string().to_lowercase().contains("ada@"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_one_address_at_once_one_gets_it() {
    let app = App::start().await;
    let mut registrations = JoinSet::new();
    for number in 0..8 {
        let email = match number % 2 {
            0 => "ada@example.org",
            _ => "ADA@EXAMPLE.ORG",
        };
        let call = app.client.post("/users").json(&new_user(email));
        registrations.spawn(async move { call.send().await.status.as_u16() });
    }
    let mut statuses = registrations.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    let admin = app.admin().await.client;
    let found = admin.get("/users?email=ada@example.org").send().await;
    assert_eq!(found.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_one_address_at_once_on_two_replicas_one_gets_it() {
    let app = App::start().await;
    let other = App::on(Arc::clone(&app.database), |_| {}).await;
    let mut registrations = JoinSet::new();
    for number in 0..8 {
        let replica = if number % 2 == 0 { &app } else { &other };
        let call = replica.client.post("/users").json(&new_user("ada@example.org"));
        registrations.spawn(async move { call.send().await.status.as_u16() });
    }
    let mut statuses = registrations.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn registration_can_be_reserved_to_administrators() {
    let open = App::start().await;
    let (admin, user) = (open.admin().await, open.person().await);
    let app = App::on(Arc::clone(&open.database), |settings| {
        settings.auth.registration = Registration::Admin;
    })
    .await;
    let admin = app.signed_in(&admin.email).await;
    let user = app.signed_in(&user.email).await;
    let register = |client: &Client, email| client.post("/users").json(&new_user(email)).send();
    let refused = register(&app.client, "ada@example.org").await;
    refused.problem(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    register(&user, "ada@example.org").await.problem(403);
    // Nothing of it was left behind, for the address is free.
    let _ = register(&admin, "ada@example.org").await.expect(201);
}

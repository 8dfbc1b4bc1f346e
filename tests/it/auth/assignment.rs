//! Mass assignment: what a user cannot choose is not chosen by naming it in a body.

use belvedere::users::store;
use belvedere_entity::user::Model;
use chassis::testing::{Answer, Client};
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{App, PASSWORD, Person, new_user};

/// Members of answers, columns of the table, and what other services call such things.
fn forbidden() -> Vec<(&'static str, Value)> {
    vec![
        ("role", json!("admin")),
        ("id", json!("00000000-0000-7000-8000-000000000000")),
        ("user_id", json!("00000000-0000-7000-8000-000000000000")),
        ("password_hash", json!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA")),
        ("token_version", json!(0)),
        ("version", json!(0)),
        ("created_at", json!("2000-01-01T00:00:00Z")),
        ("updated_at", json!("2000-01-01T00:00:00Z")),
        ("is_admin", json!(true)),
        ("admin", json!(true)),
        ("roles", json!(["admin"])),
        ("Role", json!("admin")),
        ("role ", json!("admin")),
        ("__proto__", json!({ "role": "admin" })),
    ]
}

#[tokio::test]
async fn nobody_sets_what_requests_may_not_set() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let before = row(&app, &ada).await;
    for client in [&ada.client, &admin.client] {
        for (name, value) in forbidden() {
            for method in [Method::PUT, Method::PATCH] {
                let body = json!({ "name": "Eve", "email": ada.email });
                let refused = send(client, method, &ada.path(), body, name, &value).await;
                assert_eq!(refused.invalid_fields(), [format!("/{name}")]);
            }
        }
    }
    assert_eq!(row(&app, &ada).await, before);
}

#[tokio::test]
async fn a_new_user_cannot_be_more_than_a_user() {
    let app = App::start().await;
    let admin = app.admin().await;
    let email = "eve@example.org";
    for client in [&app.client, &admin.client] {
        for (name, value) in forbidden() {
            let refused = send(client, Method::POST, "/users", new_user(email), name, &value).await;
            assert_eq!(refused.invalid_fields(), [format!("/{name}")]);
        }
    }
    app.log_in(email, PASSWORD).await.problem(401);
}

#[tokio::test]
async fn a_password_or_a_role_comes_alone() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let before = row(&app, &ada).await;
    let password = json!({ "current_password": PASSWORD, "new_password": "another long password" });
    let cases = [
        (&ada.client, "password", password, "user_id", json!(admin.id)),
        (
            &ada.client,
            "password",
            json!({ "current_password": PASSWORD, "new_password": "another long password" }),
            "role",
            json!("admin"),
        ),
        (&admin.client, "role", json!({ "role": "admin" }), "email", json!("eve@example.org")),
    ];
    for (client, part, body, name, value) in cases {
        let path = format!("{}/{part}", ada.path());
        let refused = send(client, Method::PUT, &path, body, name, &value).await;
        assert_eq!(refused.invalid_fields(), [format!("/{name}")]);
    }
    assert_eq!(row(&app, &ada).await, before);
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    mut body: Value,
    name: &str,
    value: &Value,
) -> Answer {
    body[name] = value.clone();
    client.call(method, path).json(&body).send().await
}

/// The user as it is stored, with what no answer tells.
async fn row(app: &App, person: &Person) -> Model {
    let database = app.connection().await;
    let row = store::find(&database, person.id.parse().unwrap()).await.unwrap().unwrap();
    database.close().await;
    row
}

//! `PUT /users/{id}/role`

use belvedere_entity::user::{Column, Entity, Role};
use chassis::testing::{Answer, Client};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, Person};

#[tokio::test]
async fn administrators_give_roles_and_the_sessions_end() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let promoted = give(&admin.client, &ada.id, json!("admin")).await.expect(200);
    assert_eq!(promoted.json()["role"], "admin");
    assert_eq!(promoted.header("etag"), "\"2\"");
    ada.client.get("/users/me").send().await.problem(401);
    let again = app.signed_in(&ada.email).await;
    let _ = again.get("/users").send().await.expect(200);
    let demoted = give(&admin.client, &ada.id, json!("user")).await.expect(200);
    assert_eq!(demoted.json()["role"], "user");
    again.get("/users").send().await.problem(401);
    let again = app.signed_in(&ada.email).await;
    again.get("/users").send().await.problem(403);
}

#[tokio::test]
async fn the_role_that_the_user_has_changes_nothing() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let before = ada.client.get(&ada.path()).send().await.expect(200);
    let same = give(&admin.client, &ada.id, json!("user")).await.expect(200);
    assert_eq!((same.json(), same.header("etag")), (before.json(), "\"1\""));
    let _ = ada.client.get("/users/me").send().await.expect(200);
}

#[tokio::test]
async fn a_role_is_one_of_two_words() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    for role in [json!("root"), json!("Admin"), json!(""), json!(null), json!(1), json!(["admin"])]
    {
        let refused = give(&admin.client, &ada.id, role).await;
        assert_eq!(refused.invalid_fields(), ["/role"]);
    }
    let path = format!("{}/role", ada.path());
    let refused = admin.client.put(&path).json(&json!({ "rank": 1 }));
    assert_eq!(refused.send().await.invalid_fields(), ["/role", "/rank"]);
}

#[tokio::test]
async fn nobody_else_gives_roles() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    for id in [&ada.id, &admin.id, &Uuid::now_v7().to_string()] {
        give(&ada.client, id, json!("admin")).await.problem(403);
        give(&app.client, id, json!("admin")).await.problem(401);
    }
    let nobody = Uuid::now_v7().to_string();
    give(&admin.client, &nobody, json!("user")).await.problem(404);
    let me = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["role"], "user");
}

/// A token says who somebody is; what they may do is asked each time.
#[tokio::test]
async fn a_role_counts_from_the_moment_that_the_database_has_it() {
    let app = App::start().await;
    let ada = app.person().await;
    let list = || ada.client.get("/users").send();
    list().await.problem(403);
    store(&app, &ada, Role::Admin).await;
    let _ = list().await.expect(200);
    store(&app, &ada, Role::User).await;
    list().await.problem(403);
}

/// Writes the role past the service, so that the token stays valid.
async fn store(app: &App, person: &Person, role: Role) {
    let database = app.connection().await;
    let id: Uuid = person.id.parse().unwrap();
    let update = Entity::update_many()
        .col_expr(Column::Role, sea_orm::sea_query::Expr::value(role))
        .filter(Column::Id.eq(id));
    assert_eq!(update.exec(&database).await.unwrap().rows_affected, 1);
    database.close().await;
}

async fn give(client: &Client, id: &str, role: Value) -> Answer {
    let call = client.put(&format!("/users/{id}/role"));
    call.json(&json!({ "role": role })).send().await
}

//! `DELETE /users/{id}`

use crate::support::{App, PASSWORD};

#[tokio::test]
async fn a_deleted_user_is_gone_at_once_with_its_tokens() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let deleted = ada.client.delete(&ada.path()).send().await.expect(204);
    assert!(deleted.body.is_empty());
    for target in [ada.path(), "/users/me".to_owned()] {
        let refused = ada.client.get(&target).send().await;
        refused.problem(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    app.log_in(&ada.email, PASSWORD).await.problem(401);
    admin.client.get(&ada.path()).send().await.problem(404);
    admin.client.delete(&ada.path()).send().await.problem(404);
}

#[tokio::test]
async fn administrators_delete_others() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let _ = admin.client.delete(&ada.path()).send().await.expect(204);
    ada.client.get("/users/me").send().await.problem(401);
}

#[tokio::test]
async fn the_address_of_a_deleted_user_is_free_and_its_token_is_not_the_next_ones() {
    let app = App::start().await;
    let ada = app.person().await;
    let _ = ada.client.delete(&ada.path()).send().await.expect(204);
    let next = app.register(&ada.email).await.expect(201).json();
    assert_ne!(next["id"], ada.id);
    ada.client.get("/users/me").send().await.problem(401);
}

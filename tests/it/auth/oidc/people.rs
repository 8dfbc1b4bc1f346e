//! Who the bearers are: administrators by claim, users by the link of their subject.

use belvedere::users::model::Role;
use serde_json::{Value, json};
use tokio::join;

use super::{app_of, verified};
use crate::support::issuer::Issuer;
use crate::support::new_user;

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn an_administrator_by_claim_needs_no_user() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let admin = app.outside_admin(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let read = admin.get(&format!("/users/{id}")).send().await.expect(200);
    assert_eq!(read.json()["email"], ADA);
    admin.get("/users/me").send().await.problem(404);
    let deleted = admin.delete(&format!("/users/{id}")).send().await.expect(204);
    let lines = app.witness.lines_of(deleted.header("x-request-id"));
    let event = lines.iter().find(|line| line["event.name"] == "user_deleted").unwrap();
    assert_eq!((&event["actor.id"], &event["target.id"]), (&Value::Null, &json!(id)));
    let line = app.witness.request_line(deleted.header("x-request-id"));
    assert_eq!(line["user.id"], Value::Null);
}

#[tokio::test]
async fn a_bearer_without_user_may_do_nothing_that_users_may() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let stranger = app.bearer(&issuer, json!({ "sub": "eve" })).await;
    stranger.get("/users").send().await.problem(403);
    stranger.post("/users").json(&new_user("eve@example.org")).send().await.problem(403);
    stranger.get("/users/me").send().await.problem(404);
    stranger.get(&format!("/users/{id}")).send().await.problem(404);
    stranger.delete(&format!("/users/{id}")).send().await.problem(404);
}

#[tokio::test]
async fn a_subject_is_linked_once_by_its_verified_address_and_known_by_itself_from_then_on() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let ada = app.bearer(&issuer, verified("ada-1", "ADA@Example.org")).await;
    let me = ada.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["id"], json!(id));
    let lines = app.witness.lines_of(me.header("x-request-id"));
    let events: Vec<&Value> = lines.iter().filter(|line| line["event.name"].is_string()).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event.name"], "authn_identity_linked");
    assert_eq!((&events[0]["actor.id"], &events[0]["target.id"]), (&json!(id), &json!(id)));
    assert_eq!(app.witness.request_line(me.header("x-request-id"))["user.id"], json!(id));
    app.witness.assert_silent_about(&["ada-1", "ADA@Example.org", ADA]);

    // Both addresses change, and the subject stays who it is.
    let change = ada.patch(&format!("/users/{id}")).json(&json!({ "email": "a@example.org" }));
    let _ = change.send().await.expect(200);
    for claims in [json!({ "sub": "ada-1" }), verified("ada-1", "l@example.org")] {
        let again = app.bearer(&issuer, claims).await.get("/users/me").send().await.expect(200);
        assert_eq!(again.json()["id"], json!(id));
        let lines = app.witness.lines_of(again.header("x-request-id"));
        assert!(!lines.iter().any(|line| line["event.name"].is_string()));
    }
}

#[tokio::test]
async fn another_subject_with_the_same_address_stays_a_stranger() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    app.created(&issuer, ADA).await;
    let first = app.bearer(&issuer, verified("ada-1", ADA)).await;
    let _ = first.get("/users/me").send().await.expect(200);
    for subject in ["ada-2", "ADA-1", "ada-1 "] {
        let other = app.bearer(&issuer, verified(subject, ADA)).await;
        other.get("/users/me").send().await.problem(404);
    }
}

#[tokio::test]
async fn an_address_that_is_not_verified_links_nobody() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    app.created(&issuer, ADA).await;
    for claims in [
        json!({ "sub": "eve", "email": ADA }),
        json!({ "sub": "eve", "email": ADA, "email_verified": false }),
        json!({ "sub": "eve", "email": ADA, "email_verified": "true" }),
        verified("eve", "nobody@example.org"),
        verified("eve", "no address"),
    ] {
        let eve = app.bearer(&issuer, claims).await;
        eve.get("/users/me").send().await.problem(404);
    }
}

#[tokio::test]
async fn two_requests_at_once_link_one_subject_once() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let ada = app.bearer(&issuer, verified("ada-1", ADA)).await;
    let me = || ada.get("/users/me").send();
    let (a, b, c, d) = join!(me(), me(), me(), me());
    for answer in [a, b, c, d] {
        assert_eq!(answer.expect(200).json()["id"], json!(id));
    }
    let linked = [("event", "authn_identity_linked")];
    assert!((app.witness.metric("auth_events_total", &linked) - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_deleted_user_is_nobody_and_may_be_linked_anew() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let ada = app.bearer(&issuer, verified("ada-1", ADA)).await;
    let _ = ada.get("/users/me").send().await.expect(200);
    let _ = ada.delete(&format!("/users/{id}")).send().await.expect(204);
    ada.get("/users/me").send().await.problem(404);
    let again = app.created(&issuer, ADA).await;
    let me = ada.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["id"], json!(again));
}

#[tokio::test]
async fn a_user_that_is_disabled_is_kept_out_whatever_the_issuer_says() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    let ada = app.bearer(&issuer, verified("ada-1", ADA)).await;
    let _ = ada.get("/users/me").send().await.expect(200);
    let admin = app.outside_admin(&issuer).await;
    for (status, answer) in [("disabled", 401), ("active", 200)] {
        let set = admin.put(&format!("/users/{id}/status")).json(&json!({ "status": status }));
        let _ = set.send().await.expect(200);
        let _ = ada.get("/users/me").send().await.expect(answer);
    }
}

#[tokio::test]
async fn the_token_alone_says_who_is_an_administrator() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, ADA).await;
    app.set_row_role(&id, Role::Admin).await;
    let ada = app.bearer(&issuer, verified("ada-1", ADA)).await;
    let _ = ada.get("/users/me").send().await.expect(200);
    ada.get("/users").send().await.problem(403);
    let promoted = json!({ "sub": "ada-1", "roles": ["admin"] });
    let promoted = app.bearer(&issuer, promoted).await;
    let _ = promoted.get("/users").send().await.expect(200);
    let me = promoted.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["id"], json!(id));
}

#[tokio::test]
async fn administrators_without_a_user_share_no_idempotency_keys() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let create = async |subject: &str| {
        let claims = json!({ "sub": subject, "roles": "admin" });
        let admin = app.bearer(&issuer, claims).await;
        let call = admin.post("/users").json(&new_user(ADA));
        call.header("idempotency-key", "one-and-the-same").send().await
    };
    let first = create("root").await.expect(201);
    let again = create("root").await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.json(), again.json());
    // The key is theirs, so it is a new request, and the address is taken.
    create("boss").await.problem(409);
}

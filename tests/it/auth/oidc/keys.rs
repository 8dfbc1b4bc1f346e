//! The keys of the issuer: how they are found, how they change, and what holds while they cannot be had.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpSocket;

use super::{app_of, trust};
use crate::support::issuer::Issuer;
use crate::support::{App, eventually};

#[tokio::test]
async fn tokens_of_each_algorithm_are_accepted_and_a_new_key_costs_one_question() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let old = app.outside_admin(&issuer).await;
    let _ = old.get("/users").send().await.expect(200);
    let asked = issuer.asked().await;

    issuer.rotate("RS256", true).await;
    issuer.rotate("EdDSA", true).await;
    for key in ["key-1", "key-2"] {
        let recipe = json!({ "key": key, "claims": { "roles": "admin" } });
        let client = app.client.with_token(issuer.token_with(recipe).await);
        let _ = client.get("/users").send().await.expect(200);
    }
    let _ = old.get("/users").send().await.expect(200);
    assert_eq!(issuer.asked().await, asked + 1);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_not_believed_once_that_is_known() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let old = app.outside_admin(&issuer).await;
    let _ = old.get("/users").send().await.expect(200);
    issuer.rotate("ES256", false).await;
    let new = app.outside_admin(&issuer).await;
    let _ = new.get("/users").send().await.expect(200);
    old.get("/users").send().await.problem(401);
}

#[tokio::test]
async fn made_up_keys_do_not_have_the_issuer_asked_again_and_again() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let _ = app.outside_admin(&issuer).await.get("/users").send().await.expect(200);
    let (asked, started) = (issuer.asked().await, std::time::Instant::now());
    for number in 0..50 {
        let recipe = json!({ "header": { "kid": format!("made-up-{number}") } });
        let client = app.client.with_token(issuer.token_with(recipe).await);
        client.get("/users").send().await.problem(401);
    }
    // Once at first, and again for every ten seconds that a slow machine takes.
    let most = 1 + started.elapsed().as_secs() / 10;
    assert!(issuer.asked().await - asked <= most);
}

#[tokio::test]
async fn an_issuer_that_comes_after_the_service_is_found() {
    // Bound without listening: it refuses, and nobody else takes it.
    let place = TcpSocket::new_v4().unwrap();
    place.set_reuseaddr(true).unwrap();
    place.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = place.local_addr().unwrap();
    let app = App::with(|settings| trust(settings, format!("http://{address}"))).await;
    // Issued elsewhere, since there is no issuer yet: what it says is not reached.
    let elsewhere = Issuer::start().await;
    let early = app.outside_admin(&elsewhere).await.get("/users").send().await;
    early.problem(503);
    assert_eq!(early.header("retry-after"), "5");
    let line = app.witness.request_line(early.header("x-request-id"));
    assert_eq!(line["error.type"], "issuer_unavailable");
    assert!(app.service.health().is_ready(), "what needs no token is served");
    app.client.get("/users").send().await.problem(401);

    drop(place);
    let issuer = Issuer::start_at(address).await;
    let admin = app.outside_admin(&issuer).await;
    let accepted = async || admin.get("/users").send().await.status == 200;
    eventually("the issuer is found", accepted).await;
    for outcome in ["success", "failure"] {
        let labels = [("outcome", outcome)];
        assert!(app.witness.metric("oidc_keys_refresh_total", &labels) > 0.0, "{outcome}");
    }
    assert!(app.witness.metric("oidc_keys_last_success_timestamp_seconds", &[]) > 0.0);
}

#[tokio::test]
async fn keys_outlive_their_issuer() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let admin = app.outside_admin(&issuer).await;
    let unknown = issuer.token_with(json!({ "header": { "kid": "unknown" } })).await;
    let _ = admin.get("/users").send().await.expect(200);
    issuer.kill();
    // A key that is not known cannot be asked for, and those that are known stay.
    app.client.with_token(unknown).get("/users").send().await.problem(401);
    let _ = admin.get("/users").send().await.expect(200);
}

#[tokio::test]
async fn documents_that_are_none_are_no_keys_and_end_with_their_cause() {
    for (document, how) in [
        ("discovery", "garbage"),
        ("discovery", "huge"),
        ("discovery", "failing"),
        ("discovery", "moved"),
        ("discovery", "another"),
        ("discovery", "hanging"),
        ("jwks", "garbage"),
        ("jwks", "huge"),
        ("jwks", "moved"),
        ("jwks", "hanging"),
    ] {
        let issuer = Issuer::start().await;
        issuer.behave(document, how).await;
        let app = app_of(&issuer).await;
        let admin = app.outside_admin(&issuer).await;
        admin.get("/users").send().await.problem(503);
        issuer.behave(document, "well").await;
        let accepted = async || admin.get("/users").send().await.status == 200;
        eventually(&format!("{document} is no longer {how}"), accepted).await;
    }
}

#[tokio::test]
async fn documents_that_are_none_leave_the_keys_as_they_are() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let admin = app.outside_admin(&issuer).await;
    let _ = admin.get("/users").send().await.expect(200);
    issuer.behave("jwks", "garbage").await;
    issuer.rotate("ES256", true).await;
    let new = app.outside_admin(&issuer).await;
    new.get("/users").send().await.problem(401);
    let _ = admin.get("/users").send().await.expect(200);
}

#[tokio::test]
async fn each_service_accepts_the_tokens_of_its_own_issuer() {
    let (one, two) = (Issuer::start().await, Issuer::start().await);
    assert_ne!(one.address(), two.address());
    let (first, second) = (app_of(&one).await, app_of(&two).await);
    for (app, own, other) in [(&first, &one, &two), (&second, &two, &one)] {
        let _ = app.outside_admin(own).await.get("/users").send().await.expect(200);
        app.outside_admin(other).await.get("/users").send().await.problem(401);
        // Both call their first key alike.
        let pretending = app.bearer(other, json!({ "iss": own.name(), "roles": "admin" })).await;
        pretending.get("/users").send().await.problem(401);
    }
}

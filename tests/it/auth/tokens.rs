//! The `Authorization` header: which tokens are known, and what is said of those that are not. What
//! stands in a token is tested beside the code.

use std::sync::Arc;

use belvedere::auth::AuthMode;
use chassis::settings::Secret;
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, PASSWORD, new_user};

/// The key pair of RFC 8037, appendix A.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

#[tokio::test]
async fn a_request_without_a_token_is_asked_for_one() {
    let app = App::start().await;
    let token = app.token().await;
    for authorization in ["", "Bearer", "Basic YTpi", &token, &format!("Token {token}")] {
        let mut call = app.client.get("/users/me");
        if !authorization.is_empty() {
            call = call.header("authorization", authorization);
        }
        let refused = call.send().await;
        refused.problem(401);
        // RFC 6750, section 3.1: no error code for a caller that does not know of tokens.
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{authorization}");
    }
    let twice = app.client.with_token(&token).get("/users/me");
    let twice = twice.header("authorization", &format!("Bearer {token}"));
    twice.send().await.problem(401);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_called_invalid_and_no_more() {
    let app = App::start().await;
    let token = app.token().await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bad = [
        "x".to_owned(),
        "a.b.c".to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{token}x"),
        format!("{signed}."),
        format!("{}.{signature}", signed.to_uppercase()),
        format!("{token} {token}"),
        "x".repeat(5000),
    ];
    let mut details = Vec::new();
    for token in bad {
        let refused = app.client.with_token(&token).get("/users/me").send().await;
        details.push(refused.problem(401)["detail"].clone());
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{token}");
    }
    details.dedup();
    assert_eq!(details, ["the access token is not valid"]);
}

#[tokio::test]
async fn the_scheme_is_known_in_whatever_case() {
    let app = App::start().await;
    let token = app.token().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let call = app.client.get("/users/me");
        let call = call.header("authorization", &format!("{scheme} {token}"));
        let _ = call.send().await.expect(200);
    }
}

#[tokio::test]
async fn services_accept_each_others_tokens_when_they_share_a_key() {
    let app = App::with(with_key).await;
    let ada = app.person().await;
    let token = app.log_in(&ada.email, PASSWORD).await.expect(200).json();
    let token = token["access_token"].as_str().unwrap();
    let replica = App::on(Arc::clone(&app.database), with_key).await;
    let me = replica.client.with_token(token).get("/users/me").send().await;
    assert_eq!(me.expect(200).json()["id"], ada.id);
    // The one that made its own key at start knows nobody's tokens but its own.
    let stranger = App::on(Arc::clone(&app.database), |_| {}).await;
    let refused = stranger.client.with_token(token).get("/users/me");
    let refused = refused.send().await;
    refused.problem(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
}

#[tokio::test]
async fn a_token_is_for_the_audience_and_of_the_issuer_that_the_settings_name() {
    let app = App::with(with_key).await;
    let token = app.token().await;
    for change in [
        |settings: &mut belvedere::settings::Settings| settings.auth.audience = "other".into(),
        |settings: &mut belvedere::settings::Settings| settings.auth.issuer = "other".into(),
    ] {
        let other = App::on(Arc::clone(&app.database), |settings| {
            with_key(settings);
            change(settings);
        })
        .await;
        let refused = other.client.with_token(&token).get("/users/me");
        refused.send().await.problem(401);
    }
}

#[tokio::test]
async fn without_authentication_everyone_is_an_administrator_and_nobody_in_particular() {
    let app = App::with(|settings| settings.auth.mode = AuthMode::Off).await;
    let created = app.register("ada@example.org").await.expect(201);
    let place = created.header("location");
    let list = app.client.get("/users").send().await.expect(200);
    assert_eq!(list.json()["items"], json!([created.json()]));
    app.client.get("/users/me").send().await.problem(404);
    let role = app.client.put(&format!("{place}/role"));
    let _ = role.json(&json!({ "role": "admin" })).send().await.expect(200);
    let passwords = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    let password = app.client.put(&format!("{place}/password"));
    password.json(&passwords).send().await.problem(403);
    // What a client sends along out of habit is not looked at.
    let stray = app.client.with_token("x").get(place);
    let _ = stray.send().await.expect(200);
    let _ = app.client.delete(place).send().await.expect(204);
}

impl App {
    /// A token of somebody.
    async fn token(&self) -> String {
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let created = self.client.post("/users").json(&new_user(&email));
        let _ = created.send().await.expect(201);
        let answer = self.log_in(&email, PASSWORD).await.expect(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

fn with_key(settings: &mut belvedere::settings::Settings) {
    settings.auth.signing_key = Some(Secret::new(KEY));
}

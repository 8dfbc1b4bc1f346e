//! What is refused where an outside issuer vouches for callers: tokens that are not for us, and all that
//! belongs to tokens and passwords of our own.

use chassis::testing::Client;
use serde_json::json;

use super::{app_of, verified};
use crate::support::issuer::Issuer;
use crate::support::process::Binary;
use crate::support::{App, PASSWORD, new_user};

#[tokio::test]
async fn tokens_that_are_not_for_us_are_called_invalid_and_no_more() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    // Of a service that issues its own.
    let local = App::start().await.person().await;
    let mut tokens = vec![local.client.token().unwrap().to_owned(), "x".to_owned()];
    for recipe in [
        json!({ "claims": { "aud": "account" } }),
        json!({ "claims": { "aud": null } }),
        json!({ "claims": { "iss": "http://127.0.0.1:1" } }),
        json!({ "claims": { "exp": 1 } }),
        json!({ "claims": { "sub": null } }),
        json!({ "claims": { "at_hash": "x" } }),
        json!({ "header": { "typ": "id+jwt" } }),
        json!({ "header": { "crit": ["b64"] } }),
    ] {
        tokens.push(issuer.token_with(recipe).await);
    }
    for token in tokens {
        let refused = app.client.with_token(&token).get("/users/me").send().await;
        assert_eq!(refused.problem(401)["detail"], "the access token is not valid");
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        let lines = app.witness.lines_of(refused.header("x-request-id"));
        assert!(!lines.iter().any(|line| line["event.name"].is_string()), "a stranger is no event");
    }
    let none = app.client.get("/users/me").send().await;
    none.problem(401);
    assert_eq!(none.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_token_called_jwt_and_one_for_several_audiences_are_accepted() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    for recipe in [
        json!({ "header": { "typ": "JWT" }, "claims": { "roles": "admin" } }),
        json!({ "header": { "typ": null }, "claims": { "roles": "admin" } }),
        json!({ "claims": { "roles": "admin", "aud": ["account", "belvedere"] } }),
    ] {
        let client = app.client.with_token(issuer.token_with(recipe).await);
        let _ = client.get("/users").send().await.expect(200);
    }
}

#[tokio::test]
async fn there_are_no_logins_passwords_and_roles_of_our_own() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, "ada@example.org").await;
    let login = app.log_in("ada@example.org", PASSWORD).await;
    let detail = login.problem(403)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&issuer.name()), "{detail}");

    let ada = app.bearer(&issuer, verified("ada-1", "ada@example.org")).await;
    let passwords = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    let change = ada.put(&format!("/users/{id}/password")).json(&passwords);
    change.send().await.problem(403);
    let admin = app.outside_admin(&issuer).await;
    let role = admin.put(&format!("/users/{id}/role")).json(&json!({ "role": "admin" }));
    role.send().await.problem(403);
}

#[tokio::test]
async fn there_are_no_sessions_and_keys_of_our_own() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    let id = app.created(&issuer, "ada@example.org").await;
    let token = json!({ "refresh_token": "x" });
    for path in ["/auth/refresh", "/auth/logout"] {
        app.client.post(path).json(&token).send().await.problem(403);
    }
    let ada = app.bearer(&issuer, verified("ada-1", "ada@example.org")).await;
    ada.get("/users/me/sessions").send().await.problem(403);
    ada.delete(&format!("/users/me/sessions/{id}")).send().await.problem(403);
    // Its tokens are the issuer's: to say that they have ended would be a lie.
    ada.delete(&format!("/users/{id}/sessions")).send().await.problem(403);
    let keys = app.client.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(keys.json(), json!({ "keys": [] }));
}

#[tokio::test]
async fn nobody_registers_an_address_that_may_be_somebody_elses() {
    let issuer = Issuer::start().await;
    let app = app_of(&issuer).await;
    app.register("ada@example.org").await.problem(401);
    let eve = app.bearer(&issuer, json!({ "sub": "eve" })).await;
    eve.post("/users").json(&new_user("ada@example.org")).send().await.problem(403);
}

#[tokio::test]
async fn production_wants_an_issuer_that_can_be_trusted_and_no_signing_key() {
    let binary = |issuer: &str| {
        Binary::new()
            .variable("APP_ENVIRONMENT", "production")
            .variable("APP_AUTH__MODE", "oidc")
            .variable("APP_AUTH__OIDC_ISSUER", issuer)
    };
    binary("https://id.example.com/realms/one").run(&["config"]).await.expect(0);
    for issuer in ["", "http://id.example.com", "id.example.com"] {
        let end = binary(issuer).run(&["serve"]).await.expect(2);
        end.complains_of(&["auth.oidc_issuer: expected the https URL of an issuer"]);
    }
    let odd = binary("https://id.example.com")
        .variable("APP_AUTH__OIDC_CA_FILE", "missing.pem")
        .variable("APP_AUTH__OIDC_ROLE_CLAIM", "two words");
    odd.run(&["serve"]).await.expect(2).complains_of(&[
        "auth.oidc_ca_file: expected the path of a PEM file with certificates (",
        "No such file",
        "auth.oidc_role_claim: expected a text that is not empty, without spaces",
    ]);
}

/// The binary as it runs, which starts without keys and tells of them.
#[tokio::test]
async fn the_binary_in_production_waits_for_the_keys_and_accepts_the_issuers_tokens() {
    let issuer = Issuer::start().await;
    issuer.behave("jwks", "failing").await;
    let binary = Binary::with_database()
        .await
        .variable("APP_ENVIRONMENT", "production")
        .variable("APP_AUTH__MODE", "oidc")
        .variable("APP_AUTH__OIDC_ISSUER", issuer.name())
        .variable("APP_AUTH__OIDC_ROLE_CLAIM", "realm_access.roles")
        .variable("APP_AUTH__OIDC_ADMIN_ROLE", "directory-admin")
        .variable("APP_DATABASE__MIGRATE_ON_START", "true");
    let mut process = binary.serve();
    let address = process.ready().await;
    let client = Client::new(([127, 0, 0, 1], address.port()).into());
    let failed = process.line("the keys of the issuer cannot be fetched").await;
    assert_eq!(failed["level"], "WARN");
    assert_eq!(
        failed["error"],
        "the keys cannot be fetched: the answer is 500 Internal Server Error"
    );
    issuer.behave("jwks", "well").await;
    assert_eq!(process.line("the keys of the issuer are known").await["keys"], 1);
    let claims = json!({ "realm_access": { "roles": ["directory-admin"] } });
    let admin = client.with_token(issuer.token(claims).await);
    let _ = admin.get("/users").send().await.expect(200);
    let other = client.with_token(issuer.token(json!({ "roles": "directory-admin" })).await);
    other.get("/users").send().await.problem(403);
    process.stop().await.expect(0);
}

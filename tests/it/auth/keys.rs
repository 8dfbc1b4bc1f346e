//! `/.well-known/jwks.json`, and keys that rotate while others verify and replicas run.

use std::sync::Arc;

use belvedere::settings::Settings;
use chassis::settings::Secret;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::App;
use crate::support::process::signing_key;

#[tokio::test]
async fn another_service_verifies_tokens_with_the_published_keys_alone() {
    let app = App::start().await;
    let ada = app.person().await;
    let answer = app.client.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.json();
    let key = &keys["keys"][0];
    for (member, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
        assert_eq!(key[member], value);
    }
    // Nothing but the public part.
    let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);

    let claims = verified(&ada.access_token, &keys).unwrap();
    assert_eq!(claims["sub"], ada.id);
    assert!(verified(&format!("{}x", ada.access_token), &keys).is_none());
}

/// Each step is a rolling restart: old and new run side by side, and nobody is signed out.
#[tokio::test]
async fn keys_rotate_without_anybody_noticing() {
    let (old, new) = (signing_key(), signing_key());
    let with = |signing: &str, others: &[&str]| {
        let signing = Secret::new(signing);
        let others: Vec<Secret> = others.iter().map(|key| Secret::new(*key)).collect();
        move |settings: &mut Settings| {
            settings.auth.signing_key = Some(signing);
            settings.auth.previous_keys = Some(others);
        }
    };
    let first = App::with(with(&old, &[])).await;
    let on = |change| App::on(Arc::clone(&first.database), change);
    let listed = on(with(&old, &[&new])).await;
    let signing = on(with(&new, &[&old])).await;
    let last = on(with(&new, &[])).await;
    for (before, after) in [(&first, &listed), (&listed, &signing), (&signing, &last)] {
        for (issuer, verifier) in [(before, after), (after, before)] {
            let ada = issuer.person().await;
            let there = verifier.client.with_token(&ada.access_token);
            assert_eq!(there.get("/users/me").send().await.expect(200).json()["id"], ada.id);
            let keys = verifier.client.get("/.well-known/jwks.json").send().await.expect(200);
            assert!(verified(&ada.access_token, &keys.json()).is_some());
            let body = json!({ "refresh_token": ada.refresh_token });
            let next = verifier.client.post("/auth/refresh").json(&body).send().await;
            assert_eq!(next.expect(200).json()["token_type"], "Bearer");
        }
    }
    // Not in one step: who does not know the key takes it for nobody's.
    let ada = last.person().await;
    let refused = first.client.with_token(&ada.access_token).get("/users/me").send().await;
    refused.problem(401);
}

/// As a service elsewhere would, with a library of its own choice and the set of keys.
fn verified(token: &str, keys: &Value) -> Option<Value> {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid)?).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["belvedere"]);
    validation.set_issuer(&["belvedere"]);
    jsonwebtoken::decode(token, &key, &validation).ok().map(|token| token.claims)
}

//! `POST /auth/login`

use serde_json::json;

use crate::support::{App, PASSWORD, without_ids};

#[tokio::test]
async fn a_login_is_answered_with_a_token_and_its_time() {
    let app = App::with(|settings| {
        settings.auth.access_ttl = std::time::Duration::from_secs(77);
    })
    .await;
    let ada = app.person().await;
    let answer = app.log_in(&ada.email, PASSWORD).await.expect(200);
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(77)));
    // RFC 6749, section 5.1
    assert_eq!(answer.header("cache-control"), "no-store");
    let bearer = app.client.with_token(body["access_token"].as_str().unwrap());
    let me = bearer.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["id"], ada.id);
}

#[tokio::test]
async fn nobody_learns_from_a_login_who_has_an_account() {
    let app = App::start().await;
    let ada = app.person().await;
    let wrong = app.log_in(&ada.email, "not the password").await;
    let body = without_ids(&wrong, 401);
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    for (email, password) in [
        ("eve@example.org", PASSWORD),
        ("eve@example.org", ""),
        ("no address", PASSWORD),
        ("", ""),
        ("\0", "\0"),
        (ada.email.as_str(), ""),
        (ada.email.as_str(), "A quiet heron by the weir"),
        (ada.email.as_str(), "a quiet heron by the weir "),
        (&format!(" {}", ada.email), PASSWORD),
        (&"x".repeat(10_000), PASSWORD),
    ] {
        let answer = app.log_in(email, password).await;
        assert_eq!(without_ids(&answer, 401), body, "{email:?} {password:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn an_unknown_address_costs_a_hash_like_a_known_one() {
    let app = App::start().await;
    let ada = app.person().await;
    let verified = || {
        let labels = [("operation", "verify")];
        app.witness.metric("password_hash_duration_seconds", &labels)
    };
    for email in [ada.email.as_str(), "eve@example.org", "no address"] {
        let before = verified();
        app.log_in(email, "not the password").await.problem(401);
        assert!((verified() - before - 1.0).abs() < f64::EPSILON, "{email}");
    }
}

#[tokio::test]
async fn an_address_signs_in_in_whatever_case() {
    let app = App::start().await;
    let _ = app.register("Ada@Example.org").await.expect(201);
    for email in ["ada@example.org", "ADA@EXAMPLE.ORG", "Ada@Example.org"] {
        let _ = app.log_in(email, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_no_pair_of_texts_is_not_acceptable() {
    let app = App::start().await;
    for (body, pointers) in [
        (json!({}), &["/email", "/password"][..]),
        (json!({ "email": 7, "password": null }), &["/email", "/password"]),
        (json!({ "email": "a@b.org", "password": "x", "otp": 1 }), &["/otp"]),
        (json!(["a@b.org", "x"]), &[""]),
    ] {
        let refused = app.client.post("/auth/login").json(&body).send().await;
        assert_eq!(refused.invalid_fields(), pointers);
    }
}

#[tokio::test]
async fn a_login_leaves_no_trace_of_what_was_typed() {
    let app = App::with(|settings| settings.log.level = "trace".to_owned()).await;
    let ada = app.person().await;
    app.log_in(&ada.email, "canary in a coal mine").await.problem(401);
    app.log_in("canary@example.org", PASSWORD).await.problem(401);
    let token = app.log_in(&ada.email, PASSWORD).await.expect(200).json();
    let token = token["access_token"].as_str().unwrap();
    app.witness.assert_silent_about(&["canary", PASSWORD, &ada.email, token]);
}

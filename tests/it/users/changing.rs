//! `PUT` and `PATCH /users/{id}`: what they change, and in which form.

use serde_json::{Value, json};

use crate::support::{App, Person};

#[tokio::test]
async fn replacing_empties_what_is_left_out() {
    let app = App::start().await;
    let ada = filled(&app).await;
    let replaced = ada.client.put(&ada.path());
    let replaced = replaced.json(&json!({ "name": "Ada King", "email": "king@example.org" }));
    let replaced = replaced.send().await.expect(200);
    let user = replaced.json();
    assert_eq!((&user["name"], &user["email"]), (&json!("Ada King"), &json!("king@example.org")));
    assert_eq!((&user["phone_number"], &user["address"]), (&Value::Null, &Value::Null));
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(found.json(), user);
    assert_eq!(found.header("etag"), replaced.header("etag"));
}

#[tokio::test]
async fn replacing_needs_what_every_user_has() {
    let app = App::start().await;
    let ada = app.person().await;
    for (body, pointers) in [
        (json!({}), &["/name", "/email"][..]),
        (json!({ "name": null, "email": "ada@example.org" }), &["/name"]),
        (json!({ "name": "Ada", "email": 7, "address": "\n" }), &["/email", "/address"]),
    ] {
        let refused = ada.client.put(&ada.path()).json(&body).send().await;
        assert_eq!(refused.invalid_fields(), pointers);
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_removes() {
    let app = App::start().await;
    let ada = filled(&app).await;
    let patch = async |body: Value| {
        let patch = ada.client.patch(&ada.path()).json(&body);
        patch.send().await.expect(200).json()
    };
    let before = patch(json!({})).await;
    for (change, member, value) in [
        (json!({ "name": "Ada King" }), "name", json!("Ada King")),
        (json!({ "email": "k@example.org" }), "email", json!("k@example.org")),
        (json!({ "phone_number": null }), "phone_number", json!(null)),
        (json!({ "address": "Ockham" }), "address", json!("Ockham")),
    ] {
        let mut expected = patch(json!({})).await;
        expected[member] = value;
        let changed = patch(change).await;
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected);
    }
    let after = patch(json!({})).await;
    assert_eq!(after["created_at"], before["created_at"]);
    assert_eq!(after["role"], before["role"]);
}

#[tokio::test]
async fn a_patch_cannot_remove_what_every_user_has_or_set_what_is_read_only() {
    let app = App::start().await;
    let ada = app.person().await;
    for (field, value) in [
        ("name", json!(null)),
        ("email", json!(null)),
        ("name", json!("")),
        ("address", json!({ "city": null })),
        ("id", json!(ada.id)),
        ("role", json!("admin")),
        ("role", json!(null)),
        ("created_at", json!("2026-01-01T00:00:00Z")),
        ("updated_at", json!(null)),
        ("password", json!("a very long password")),
        ("version", json!(7)),
    ] {
        for method in ["PUT", "PATCH"] {
            let mut body = json!({ "name": "Ada", "email": ada.email });
            body[field] = value.clone();
            let call = ada.client.call(method.parse().unwrap(), &ada.path());
            let refused = call.json(&body).send().await;
            assert_eq!(refused.invalid_fields(), [format!("/{field}")], "{method} {value}");
        }
    }
    let found = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(found.header("etag"), "\"1\"");
}

#[tokio::test]
async fn a_change_moves_the_version_and_the_time_and_an_empty_one_neither() {
    let app = App::start().await;
    let ada = app.person().await;
    let first = ada.client.get(&ada.path()).send().await.expect(200);
    let empty = ada.client.patch(&ada.path()).json(&json!({})).send().await;
    let empty = empty.expect(200);
    assert_eq!((empty.json(), empty.header("etag")), (first.json(), "\"1\""));
    let put = json!({ "name": "Ada", "email": ada.email });
    let put = ada.client.put(&ada.path()).json(&put).send().await.expect(200);
    let patch = ada.client.patch(&ada.path()).json(&json!({ "name": "A" }));
    let patch = patch.send().await.expect(200);
    assert_eq!((put.header("etag"), patch.header("etag")), ("\"2\"", "\"3\""));
    let [first, put, patch] = [first, put, patch].map(|answer| answer.json());
    let time = |user: &Value| user["updated_at"].as_str().unwrap().to_owned();
    // Written alike, they compare as texts.
    assert!(time(&first) < time(&put) && time(&put) < time(&patch));
    assert_eq!(first["created_at"], patch["created_at"]);
}

#[tokio::test]
async fn an_address_of_somebody_else_is_a_conflict_and_changes_nothing() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let body = json!({ "name": "Eve", "email": ada.email.to_uppercase() });
    for method in ["PUT", "PATCH"] {
        let call = eve.client.call(method.parse().unwrap(), &eve.path());
        let problem = call.json(&body).send().await.problem(409);
        assert_eq!(problem["type"], "/problems/address-taken");
    }
    let found = eve.client.get(&eve.path()).send().await.expect(200);
    assert_eq!((found.header("etag"), &found.json()["email"]), ("\"1\"", &json!(eve.email)));
    // One's own address in another spelling is no conflict.
    let own = json!({ "email": eve.email.to_uppercase() });
    let changed = eve.client.patch(&eve.path()).json(&own).send().await;
    assert_eq!(changed.expect(200).json()["email"], eve.email.to_uppercase());
    let _ = app.signed_in(&eve.email).await;
}

#[tokio::test]
async fn a_patch_is_a_merge_patch_or_plain_json() {
    let app = App::start().await;
    let ada = app.person().await;
    for content_type in [
        "application/merge-patch+json",
        "Application/Merge-Patch+JSON; charset=UTF-8",
        "application/json",
        "application/json;charset=\"utf-8\"",
    ] {
        let patch = ada.client.patch(&ada.path());
        let answer = patch.body(content_type, "{\"name\":\"Ada\"}").send().await;
        let _ = answer.expect(200);
    }
    for content_type in [
        "application/json-patch+json",
        "application/json; charset=iso-8859-1",
        "application/x-www-form-urlencoded",
        "text/json",
        "json",
    ] {
        let patch = ada.client.patch(&ada.path());
        let refused = patch.body(content_type, "{\"name\":\"Ada\"}").send().await;
        refused.problem(415);
        assert_eq!(
            refused.header("accept-patch"),
            "application/merge-patch+json, application/json"
        );
    }
}

#[tokio::test]
async fn a_replacement_is_plain_json_only() {
    let app = App::start().await;
    let ada = app.person().await;
    let body = json!({ "name": "Ada", "email": ada.email }).to_string();
    let put = |content_type| ada.client.put(&ada.path()).body(content_type, body.clone());
    let _ = put("application/json; charset=utf-8").send().await.expect(200);
    let refused = put("application/merge-patch+json").send().await;
    refused.problem(415);
    assert_eq!(refused.header("accept"), "application/json");
    assert_eq!(refused.header("accept-patch"), "");
}

#[tokio::test]
async fn administrators_change_others() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let patch = admin.client.patch(&ada.path()).json(&json!({ "name": "Ada King" }));
    let _ = patch.send().await.expect(200);
    let put = json!({ "name": "Ada", "email": "a@example.org" });
    let _ = admin.client.put(&ada.path()).json(&put).send().await.expect(200);
    // Whose token still works, for neither a password nor a role has changed.
    let me = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["email"], "a@example.org");
}

/// Somebody with a phone number and an address.
async fn filled(app: &App) -> Person {
    let ada = app.person().await;
    let body = json!({ "phone_number": "+442071838750", "address": "London" });
    let patched = ada.client.patch(&ada.path()).json(&body).send().await;
    let user = patched.expect(200).json();
    assert_eq!(
        (&user["phone_number"], &user["address"]),
        (&body["phone_number"], &body["address"])
    );
    ada
}

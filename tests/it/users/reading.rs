//! `GET /users/{id}` and `GET /users/me`

use serde_json::json;
use uuid::Uuid;

use crate::support::{App, without_ids};

#[tokio::test]
async fn a_user_is_read_by_itself_and_by_administrators() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let own = ada.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(own.json()["id"], ada.id);
    assert_eq!(own.json()["email"], ada.email);
    let me = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(me.json(), own.json());
    assert_eq!(me.header("etag"), own.header("etag"));
    let other = admin.client.get(&ada.path()).send().await.expect(200);
    assert_eq!(other.json(), own.json());
    let me = admin.client.get("/users/me").send().await.expect(200);
    assert_eq!(me.json()["id"], admin.id);
}

#[tokio::test]
async fn somebody_elses_user_is_like_one_that_does_not_exist() {
    let app = App::start().await;
    let (ada, eve, admin) = (app.person().await, app.person().await, app.admin().await);
    let nobody = format!("/users/{}", Uuid::now_v7());
    let missing = without_ids(&eve.client.get(&nobody).send().await, 404);
    for hidden in [ada.path(), admin.path()] {
        let answer = eve.client.get(&hidden).send().await;
        assert_eq!(without_ids(&answer, 404), missing);
        // Not even a version that somebody knows tells the one from the other.
        let known = eve.client.get(&hidden).header("if-none-match", "*");
        assert_eq!(without_ids(&known.send().await, 404), missing);
    }
    let unseen = admin.client.get(&nobody).send().await;
    assert_eq!(without_ids(&unseen, 404), missing);
}

#[tokio::test]
async fn somebody_elses_user_cannot_be_told_from_none_by_writing_either() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let nobody = format!("/users/{}", Uuid::now_v7());
    let change = json!({ "name": "Eve", "email": ada.email });
    let password = json!({ "current_password": "x", "new_password": "short" });
    let attempts = |path: &str| {
        [
            eve.client.put(path).json(&change),
            eve.client.patch(path).json(&change),
            eve.client.patch(path).header("if-match", "\"99\"").json(&json!({})),
            eve.client.delete(path),
            eve.client.delete(path).header("if-match", "\"99\""),
            eve.client.put(&format!("{path}/password")).json(&password),
        ]
    };
    for (hidden, missing) in attempts(&ada.path()).into_iter().zip(attempts(&nobody)) {
        let (hidden, missing) = (hidden.send().await, missing.send().await);
        assert_eq!(without_ids(&hidden, 404), without_ids(&missing, 404));
    }
    let _ = ada.client.get("/users/me").send().await.expect(200);
}

#[tokio::test]
async fn a_version_that_the_caller_has_is_not_sent_again() {
    let app = App::start().await;
    let ada = app.person().await;
    let patch = ada.client.patch(&ada.path()).json(&json!({ "name": "Ada" }));
    assert_eq!(patch.send().await.expect(200).header("etag"), "\"2\"");
    for path in [ada.path(), "/users/me".to_owned()] {
        for known in ["\"2\"", "W/\"2\"", "\"1\", \"2\"", "W/\"1\" ,, W/\"2\"", "*"] {
            let read = ada.client.get(&path).header("if-none-match", known);
            let answer = read.send().await.expect(304);
            assert_eq!(answer.header("etag"), "\"2\"", "{known}");
            assert!(answer.body.is_empty());
        }
        for other in ["\"1\"", "\"02\"", "\"1\", \"3\"", "\"x\""] {
            let read = ada.client.get(&path).header("if-none-match", other);
            let _ = read.send().await.expect(200);
        }
        let two_lines = ada.client.get(&path).header("if-none-match", "\"1\"");
        let answer = two_lines.header("if-none-match", "\"2\"").send().await;
        let _ = answer.expect(304);
        let read = ada.client.get(&path).header("if-none-match", "2");
        read.send().await.problem(400);
    }
}

/// What every operation says of an id that is none.
const MALFORMED: &str = "must be a UUID, such as 01a1fd8c-697b-7c1e-9d53-2b6f0a4e7d11";

#[tokio::test]
async fn what_is_no_id_is_a_bad_request() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    for id in ["7", "none", "00000000-0000-0000-0000-00000000000g", "%00", "me%2f"] {
        let path = format!("/users/{id}");
        let problem = admin.get(&path).send().await.problem(400);
        assert_eq!(problem["detail"], format!("parameter user_id: {MALFORMED}"), "{id}");
        admin.delete(&path).send().await.problem(400);
    }
    for (call, name) in [
        (admin.put("/users/me/password").json(&json!({})), "user_id"),
        (admin.put("/users/me/role").json(&json!({ "role": "user" })), "user_id"),
        (admin.get("/users/me/status"), "user_id"),
        (admin.delete("/users/7/sessions"), "user_id"),
        (admin.delete("/users/me/sessions/7"), "session_id"),
    ] {
        let problem = call.send().await.problem(400);
        assert_eq!(problem["detail"], format!("parameter {name}: {MALFORMED}"));
    }
}

#[tokio::test]
async fn a_user_has_one_place() {
    let app = App::start().await;
    let ada = app.person().await;
    let id: Uuid = ada.id.parse().unwrap();
    let upper = ada.client.get(&format!("/users/{}", ada.id.to_uppercase()));
    assert_eq!(upper.send().await.expect(200).json()["id"], ada.id);
    let braced = format!("%7B{id}%7D");
    for other in [id.simple().to_string(), id.urn().to_string(), braced] {
        for call in [
            ada.client.get(&format!("/users/{other}")),
            ada.client.delete(&format!("/users/{other}")),
            ada.client.delete(&format!("/users/me/sessions/{other}")),
        ] {
            call.send().await.problem(400);
        }
    }
    let _ = ada.client.get(&ada.path()).send().await.expect(200);
}

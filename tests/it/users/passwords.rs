//! `PUT /users/{id}/password`

use chassis::testing::Answer;
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, PASSWORD, Person, without_ids};

const NEXT: &str = "seven quiet lamps under the bridge";

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_ends_every_session() {
    let app = App::start().await;
    let ada = app.person().await;
    let elsewhere = app.signed_in(&ada.email).await;
    let changed = change(&ada, &ada.id, PASSWORD, NEXT).await.expect(204);
    assert!(changed.body.is_empty());
    for ended in [&ada.client, &elsewhere] {
        let refused = ended.get("/users/me").send().await;
        refused.problem(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    app.log_in(&ada.email, PASSWORD).await.problem(401);
    let _ = app.log_in(&ada.email, NEXT).await.expect(200);
}

#[tokio::test]
async fn a_new_password_ends_nobody_elses_session() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let _ = change(&ada, &ada.id, PASSWORD, NEXT).await.expect(204);
    let _ = eve.client.get("/users/me").send().await.expect(200);
    let _ = app.signed_in(&eve.email).await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_it_is_said_at_once() {
    let app = App::start().await;
    let ada = app.person().await;
    let (current, new) = ("/current_password", "/new_password");
    let cases = [
        (json!({ "current_password": "x", "new_password": NEXT }), &[current][..]),
        (json!({ "current_password": "", "new_password": NEXT }), &[current]),
        (json!({ "current_password": PASSWORD.to_uppercase(), "new_password": NEXT }), &[current]),
        (json!({ "current_password": PASSWORD, "new_password": "fourteen chars" }), &[new]),
        (json!({ "current_password": PASSWORD, "new_password": "x".repeat(257) }), &[new]),
        (json!({ "current_password": PASSWORD }), &[new]),
        (json!({ "new_password": NEXT }), &[current]),
        (json!({ "current_password": "x", "new_password": "short" }), &[new, current]),
        (json!({ "current_password": "x" }), &[new, current]),
        (json!({ "current_password": 7, "new_password": null }), &[current, new]),
        (
            json!({ "current_password": "x", "new_password": NEXT, "hint": "x" }),
            &[current, "/hint"],
        ),
        (json!({}), &[current, new]),
    ];
    for (body, pointers) in cases {
        let path = format!("{}/password", ada.path());
        let refused = ada.client.put(&path).json(&body).send().await;
        assert_eq!(refused.invalid_fields(), pointers);
    }
    // The old password and the session have outlived it all.
    let _ = ada.client.get("/users/me").send().await.expect(200);
    let _ = app.signed_in(&ada.email).await;
}

#[tokio::test]
async fn nobody_changes_the_password_of_somebody_else() {
    let app = App::start().await;
    let (ada, eve, admin) = (app.person().await, app.person().await, app.admin().await);
    let nobody = Uuid::now_v7().to_string();
    let missing = without_ids(&change(&eve, &nobody, PASSWORD, NEXT).await, 404);
    let hidden = without_ids(&change(&eve, &ada.id, PASSWORD, NEXT).await, 404);
    assert_eq!(hidden, missing);
    // An administrator may know that the user exists, and no more.
    change(&admin, &ada.id, PASSWORD, NEXT).await.problem(403);
    let _ = app.signed_in(&ada.email).await;
}

#[tokio::test]
async fn the_length_of_a_new_password_is_the_operators() {
    let app = App::with(|settings| settings.password.min_length = 20).await;
    let ada = app.person().await;
    let refused = change(&ada, &ada.id, PASSWORD, "nineteen by a weir.").await;
    assert_eq!(refused.json()["errors"][0]["detail"], "must have 20 to 256 characters");
    let _ = change(&ada, &ada.id, PASSWORD, "twenty by this weir.").await.expect(204);
}

#[tokio::test]
async fn a_new_password_is_not_what_everybody_knows_of_the_user() {
    let app = App::start().await;
    let ada = app.person().await;
    for new in [ada.email.as_str(), "Lovelace, Ada Lovelace", "belvedere 2026 belvedere"] {
        let refused = change(&ada, &ada.id, PASSWORD, new).await;
        assert_eq!(refused.invalid_fields(), ["/new_password"], "{new}");
        let detail = refused.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("must not be made of the "), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_new_passwords_at_once_one_counts() {
    let app = App::start().await;
    let ada = app.person().await;
    let (first, second) = tokio::join!(
        change(&ada, &ada.id, PASSWORD, "the first of two passwords"),
        change(&ada, &ada.id, PASSWORD, "the second of two passwords"),
    );
    // The other has lost its proof, or its session, on the way.
    let (winner, loser) = match first.status.as_u16() {
        204 => ("the first of two passwords", second),
        _ => ("the second of two passwords", first),
    };
    assert!([401, 422].contains(&loser.status.as_u16()), "{}", loser.text());
    let _ = app.log_in(&ada.email, winner).await.expect(200);
}

async fn change(who: &Person, id: &str, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    let call = who.client.put(&format!("/users/{id}/password"));
    call.json(&body).send().await
}

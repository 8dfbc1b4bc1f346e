//! Ways around the rules that have worked elsewhere: other places for a token, other spellings
//! of a path or an id.

use chassis::testing::Answer;
use poem::http::{HeaderMap, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, without_ids};

/// A path that names a user.
type Path = fn(&str) -> String;

/// In capitals and percent-encoded: both are read as the same id.
const SPELLINGS: [Path; 2] = [str::to_uppercase, |id| id.replacen('-', "%2D", 1)];

/// Without the hyphens, as a URN and in braces: no ids here, whoever's they would be.
const OTHER_FORMS: [Path; 4] = [
    |id| id.replace('-', ""),
    |id| format!("urn:uuid:{id}"),
    |id| format!("{{{id}}}"),
    |id| format!("%7B{id}%7D"),
];

#[tokio::test]
async fn head_and_options_tell_strangers_nothing_about_users() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let nobody = format!("/users/{}", Uuid::now_v7());
    for path in [ada.path().as_str(), &nobody, "/users/me", "/users"] {
        let head = app.client.call(Method::HEAD, path).send().await;
        assert_eq!((head.status.as_u16(), head.body.len()), (401, 0), "{path}");
    }
    let head = async |path: &str| told(eve.client.call(Method::HEAD, path).send().await);
    assert_eq!(head(&ada.path()).await, head(&nobody).await);
    for client in [&app.client, &eve.client] {
        let options = async |path: &str| told(client.call(Method::OPTIONS, path).send().await);
        assert_eq!(options(&ada.path()).await, options(&nobody).await);
    }
}

#[tokio::test]
async fn a_token_counts_in_its_header_alone() {
    let app = App::start().await;
    let ada = app.person().await;
    let token = ada.client.token().unwrap();
    for name in ["access_token", "token", "authorization", "bearer", "jwt"] {
        let path = format!("{}?{name}={token}", ada.path());
        app.client.get(&path).send().await.problem(401);
        let cookie = format!("{name}={token}");
        app.client.get(&ada.path()).header("cookie", &cookie).send().await.problem(401);
    }
    for name in ["proxy-authorization", "x-authorization", "x-access-token", "x-auth-token"] {
        let call = app.client.get(&ada.path()).header(name, &format!("Bearer {token}"));
        call.send().await.problem(401);
    }
    let form = app.client.delete(&ada.path());
    let form = form.body("application/x-www-form-urlencoded", format!("access_token={token}"));
    form.send().await.problem(401);
}

#[tokio::test]
async fn a_user_is_the_same_however_its_id_is_spelt() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    for spell in SPELLINGS {
        let path = format!("/users/{}", spell(&ada.id));
        let own = ada.client.get(&path).send().await.expect(200).json();
        assert_eq!(own["id"], ada.id, "{path}");
        let refused = eve.client.get(&path).send().await;
        let none = eve.client.get(&format!("/users/{}", spell(&nobody()))).send().await;
        assert_eq!(without_ids(&refused, 404), without_ids(&none, 404), "{path}");
        let change = eve.client.patch(&path).json(&json!({ "name": "Eve" })).send().await;
        assert_eq!(without_ids(&change, 404), without_ids(&none, 404), "{path}");
    }
    for form in OTHER_FORMS {
        let path = |id: &str| format!("/users/{}", form(id));
        let none = without_ids(&eve.client.get(&path(&nobody())).send().await, 400);
        for client in [&ada.client, &eve.client] {
            let refused = client.get(&path(&ada.id)).send().await;
            assert_eq!(without_ids(&refused, 400), none);
        }
    }
}

/// Dots and encoded slashes are not resolved: a path that a proxy reads in another way leads nowhere.
#[tokio::test]
async fn no_path_leads_from_ones_own_user_to_another() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let (own, other) = (&eve.id, &ada.id);
    for path in [
        format!("/users/{own}/../{other}"),
        format!("/users/me/../{other}"),
        format!("/users/./{other}"),
        format!("/users//{other}"),
        format!("//users/{other}"),
        format!("/USERS/{other}"),
        format!("/users/{own}/../../users/{other}"),
        format!("/users/%2e%2e/users/{other}"),
        format!("/users/{own}%2F..%2F{other}"),
        format!("/users/{own}%5C..%5C{other}"),
        format!("/users/me%2F..%2F{other}"),
        format!("/users/{other}%00"),
        format!("/users/{other}%20"),
        format!("/users/{other};{own}"),
        format!("/users/{other};/me"),
        format!("/users/{own},{other}"),
        format!("/users/{other}?user_id={own}&id={own}"),
        format!("/users/{other}#{own}").replace('#', "%23"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            let answer = eve.client.call(method.clone(), &path).send().await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{method} {path}: {answer:?}");
        }
    }
    assert_eq!(ada.client.get("/users/me").send().await.expect(200).json()["id"], *other);
}

#[tokio::test]
async fn guessed_ids_are_answered_alike() {
    let app = App::start().await;
    let (ada, admin, eve) = (app.person().await, app.admin().await, app.person().await);
    let close_to_own =
        format!("{}{}", &eve.id[..35], if eve.id.ends_with('0') { '1' } else { '0' });
    let ids = [
        ada.id,
        admin.id,
        nobody(),
        close_to_own,
        Uuid::nil().to_string(),
        Uuid::max().to_string(),
        Uuid::from_u128(1).to_string(),
    ];
    let calls: [(Method, &str, Option<Value>); 6] = [
        (Method::GET, "", None),
        (Method::HEAD, "", None),
        (Method::DELETE, "", None),
        (Method::PATCH, "", Some(json!({ "name": "Eve" }))),
        (Method::PUT, "", Some(json!({ "name": "Eve", "email": "eve@example.org" }))),
        (Method::PUT, "/password", Some(json!({ "current_password": "x", "new_password": "y" }))),
    ];
    for (method, part, body) in calls {
        let mut answers = Vec::new();
        for id in &ids {
            let mut call = eve.client.call(method.clone(), &format!("/users/{id}{part}"));
            if let Some(body) = &body {
                call = call.json(body);
            }
            answers.push(told(call.send().await));
        }
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{method} {part}: {answers:?}");
        assert_eq!(answers[0].0, 404);
    }
}

#[tokio::test]
async fn what_is_no_id_is_refused_before_anybody_is_looked_for() {
    let app = App::start().await;
    let (eve, admin) = (app.person().await, app.admin().await);
    for id in [
        "0",
        "-1",
        "*",
        "null",
        "undefined",
        "me%00",
        "%27%20OR%201=1--",
        "%F0%9F%A6%89",
        &"a".repeat(4000),
    ] {
        let path = format!("/users/{id}");
        let refused = eve.client.get(&path).send().await;
        let same = admin.client.get(&path).send().await;
        assert_eq!(without_ids(&refused, 400), without_ids(&same, 400), "{path}");
        app.client.get(&path).send().await.problem(401);
    }
}

fn nobody() -> String {
    Uuid::now_v7().to_string()
}

/// All that an answer tells: without what names its request, and without times.
fn told(answer: Answer) -> (u16, HeaderMap, Value) {
    let status = answer.status.as_u16();
    let body = if answer.body.is_empty() { Value::Null } else { without_ids(&answer, status) };
    let mut headers = answer.headers;
    for name in ["x-request-id", "server-timing", "date", "content-length"] {
        headers.remove(name);
    }
    (status, headers, body)
}

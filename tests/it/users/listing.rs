//! `GET /users`, page by page.

use chassis::testing::{Answer, Client};
use serde_json::{Value, json};

use crate::support::App;

#[tokio::test]
async fn only_administrators_see_the_list() {
    let app = App::start().await;
    let ada = app.person().await;
    app.client.get("/users").send().await.problem(401);
    ada.client.get("/users").send().await.problem(403);
    // Not even one's own entry.
    let own = format!("/users?email={}", ada.email);
    ada.client.get(&own).send().await.problem(403);
}

#[tokio::test]
async fn a_page_has_twenty_users_unless_the_caller_says_otherwise() {
    let app = App::start().await;
    let (admin, created) = directory(&app, 22).await;
    let page = admin.get("/users").send().await.expect(200);
    // The administrator is the first of them.
    assert_eq!(ids(&page)[1..], created[..19]);
    assert!(page.json()["next"].is_string());
    for (limit, entries) in [("1", 1), ("22", 22), ("23", 23), ("100", 23)] {
        let page = admin.get(&format!("/users?limit={limit}")).send().await;
        assert_eq!(ids(&page.expect(200)).len(), entries, "limit {limit}");
    }
}

#[tokio::test]
async fn the_last_page_says_that_it_is_the_last() {
    let app = App::start().await;
    let (admin, _) = directory(&app, 3).await;
    for limit in ["4", "5"] {
        let page = admin.get(&format!("/users?limit={limit}")).send().await;
        let page = page.expect(200);
        assert_eq!(page.json()["next"], Value::Null, "limit {limit}");
        assert!(!page.headers.contains_key("link"));
    }
}

#[tokio::test]
async fn pages_show_everybody_once_also_while_others_register() {
    let app = App::start().await;
    let (admin, created) = directory(&app, 7).await;
    let mut seen = Vec::new();
    let mut target = Some("/users?limit=2".to_owned());
    let mut newcomers = 0;
    while let Some(path) = target {
        let page = admin.get(&path).send().await.expect(200);
        seen.extend(ids(&page));
        if newcomers < 3 {
            let email = format!("newcomer{newcomers}@example.org");
            let newcomer = app.register(&email).await.expect(201);
            newcomers += 1;
            assert_eq!(newcomer.json()["email"], email);
        }
        target = next_link(&page);
    }
    // In the order of their creation, the newcomers last.
    assert_eq!(seen.len(), 1 + 7 + 3);
    assert_eq!(seen[1..8], created);
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct, seen);
}

#[tokio::test]
async fn a_page_stays_where_it_is_when_its_last_user_is_deleted() {
    let app = App::start().await;
    let (admin, created) = directory(&app, 4).await;
    let first = admin.get("/users?limit=2").send().await.expect(200);
    let last = ids(&first).pop().unwrap();
    let deleted = admin.delete(&format!("/users/{last}")).send().await;
    let _ = deleted.expect(204);
    let second = admin.get(&next_link(&first).unwrap()).send().await;
    assert_eq!(ids(&second.expect(200)), created[1..3]);
}

#[tokio::test]
async fn the_link_and_the_cursor_lead_to_the_same_page_with_the_same_filters() {
    let app = App::start().await;
    let (admin, created) = directory(&app, 3).await;
    let _ = app.register("x+%26&q=@example.org").await;
    let first = admin.get("/users?q=USER&limit=2").send().await.expect(200);
    assert_eq!(ids(&first), created[..2]);
    let link = next_link(&first).unwrap();
    assert!(link.contains("&q=USER"), "{link}");
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    let by_cursor = format!("/users?after={cursor}&limit=2&q=user");
    for target in [link, by_cursor] {
        let second = admin.get(&target).send().await.expect(200);
        assert_eq!(ids(&second), created[2..]);
        assert_eq!(second.json()["next"], Value::Null);
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_a_bad_request() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    for cursor in ["x", "%00", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "null"] {
        let page = admin.get(&format!("/users?after={cursor}")).send().await;
        let problem = page.problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("parameter after: "), "{detail}");
    }
    // Nobody is after the last that there could be.
    let end = admin.get("/users?after=_____________________w").send().await;
    assert_eq!(end.expect(200).json(), json!({ "items": [], "next": null }));
}

#[tokio::test]
async fn a_limit_that_is_no_number_is_told_from_one_out_of_range() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let limited = |limit: &str| admin.get(&format!("/users?limit={limit}")).send();
    for limit in ["0", "101", "-1", "99999999999999999999"] {
        assert_eq!(limited(limit).await.invalid_fields(), ["/limit"], "{limit}");
    }
    for limit in ["abc", "", "1.5", "2x"] {
        let problem = limited(limit).await.problem(400);
        assert_eq!(problem["detail"], "parameter limit: must be an integer");
    }
}

/// An administrator, and so many users after it, oldest first.
async fn directory(app: &App, users: usize) -> (Client, Vec<String>) {
    let admin = app.admin().await.client;
    let mut created = Vec::new();
    for number in 0..users {
        let answer = app.register(&format!("user{number}@example.org")).await;
        created.push(id(&answer.expect(201).json()));
    }
    (admin, created)
}

fn ids(page: &Answer) -> Vec<String> {
    page.json()["items"].as_array().unwrap().iter().map(id).collect()
}

fn id(user: &Value) -> String {
    user["id"].as_str().unwrap().to_owned()
}

/// The target of `Link: <…>; rel="next"`.
fn next_link(page: &Answer) -> Option<String> {
    let link = page.headers.get("link")?.to_str().unwrap();
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.expect("a link to the next page").to_owned())
}

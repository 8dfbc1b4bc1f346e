//! `X-Request-Id`: a caller's own is kept where it is safe on a log line, and else replaced.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::support::App;

#[tokio::test]
async fn a_callers_id_is_kept_on_the_answer_the_line_and_the_problem() {
    let app = App::start().await;
    let longest = "x".repeat(128);
    for id in ["7", "A.b_c-9", "...", longest.as_str()] {
        let answer = app.client.get("/nowhere").header("x-request-id", id).send().await;
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.problem(404)["request_id"], id);
        assert_eq!(app.witness.request_line(id)["request_id"], id);
    }
}

#[tokio::test]
async fn an_unsafe_id_is_replaced_everywhere() {
    let app = App::start().await;
    let too_long = "x".repeat(129);
    for id in [
        "",
        "two words",
        "tab\there",
        "bär",
        "id\u{2028}",
        "a/b",
        "{\"a\":1}",
        "a;b",
        "%0d%0a",
        too_long.as_str(),
    ] {
        let answer = app.client.get("/nowhere").header("x-request-id", id).send().await;
        let given: Uuid = answer.headers["x-request-id"].to_str().unwrap().parse().unwrap();
        assert_eq!(given.get_version_num(), 7, "{id}");
        assert_eq!(answer.problem(404)["request_id"], given.to_string());
        app.witness.request_line(&given.to_string());
        assert!(id.is_empty() || !format!("{:?}", app.witness.lines()).contains(id));
    }
}

#[tokio::test]
async fn an_operators_probe_has_one_too() {
    let app = App::start().await;
    let probe = |id: &'static str| app.client.get("/livez").header("x-request-id", id).send();
    assert_eq!(probe("mine").await.header("x-request-id"), "mine");
    let replaced = probe("not mine").await;
    assert!(Uuid::parse_str(replaced.header("x-request-id")).is_ok());
}

#[tokio::test]
async fn no_two_requests_share_one_that_was_made() {
    let app = App::start().await;
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        let answer = app.client.get("/").send().await;
        assert!(ids.insert(answer.header("x-request-id").to_owned()));
    }
}

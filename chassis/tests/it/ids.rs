//! What callers say about themselves: request ids, traces, agents, queries. Decent ones are kept,
//! hostile ones leave no mark.

use chassis::testing::Answer;
use opentelemetry::trace::SpanId;
use serde_json::Value;
use uuid::Uuid;

use crate::support::App;
use crate::support::raw::Raw;

const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

#[tokio::test]
async fn a_request_id_that_is_safe_is_kept() {
    let app = App::start().await;
    let longest = "a".repeat(128);
    for id in ["a", "A.b_c-9", &longest] {
        let answer = with_headers(&app, &format!("x-request-id: {id}")).await;
        assert_eq!(answer.header("x-request-id"), id);
        app.witness.request_line(id);
    }
}

#[tokio::test]
async fn a_hostile_request_id_is_replaced_and_never_repeated() {
    let app = App::start().await;
    let long = "a".repeat(129);
    for id in [
        "",
        "hostile id",
        "hostile\"id",
        "hostile\tid",
        "<script>hostile</script>",
        "hostile-\u{e9}",
        "${jndi:ldap://hostile}",
        &long,
    ] {
        let answer = with_headers(&app, &format!("x-request-id: {id}")).await;
        let given = answer.header("x-request-id");
        assert_eq!(Uuid::parse_str(given).unwrap().get_version_num(), 7, "{id}");
        app.witness.request_line(given);
    }
    app.witness.assert_silent_about(&["hostile", &long]);
}

#[tokio::test]
async fn a_callers_trace_is_continued() {
    let app = App::start().await;
    let answer = with_headers(&app, &format!("traceparent: 00-{IDS}-01")).await;
    let trace_id = &IDS[..32];
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["trace_id"], trace_id);
    let spans = app.witness.spans_of(trace_id);
    assert_eq!(spans[0].parent_span_id.to_string(), &IDS[33..]);
    assert!(answer.header("server-timing").contains(trace_id));
}

#[tokio::test]
async fn a_callers_trace_is_not_believed_where_that_is_switched_off() {
    let app = App::with(|settings| settings.stack.tracing.trust_incoming = false).await;
    with_headers(&app, &format!("traceparent: 00-{IDS}-01")).await;
    assert!(app.witness.spans_of(&IDS[..32]).is_empty());
    assert_eq!(app.witness.spans().len(), 1);
}

#[tokio::test]
async fn a_hostile_traceparent_starts_a_trace_of_our_own() {
    let app = App::start().await;
    let upper = IDS.to_uppercase();
    let zeros = "0".repeat(32);
    for (i, hostile) in [
        String::new(),
        "00".to_owned(),
        "00-".repeat(10_000),
        format!("00-{upper}-01"),
        format!("ff-{IDS}-01"),
        format!("00-{IDS}-01-more"),
        format!("00-{IDS}-\u{e9}1"),
        format!("00-{zeros}-b7ad6b7169203331-01"),
        format!("00-{IDS}-01\r\ntraceparent: 00-{IDS}-01"),
        format!("00-{IDS}-01, 00-{IDS}-01"),
        "' OR 1=1 --".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let id = format!("trace-{i}");
        let answer =
            with_headers(&app, &format!("x-request-id: {id}\r\ntraceparent: {hostile}")).await;
        let line = app.witness.request_line(&id);
        let trace_id = line["trace_id"].as_str().unwrap();
        assert_ne!(trace_id, &IDS[..32], "{hostile}");
        let span = &app.witness.spans_of(trace_id)[0];
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{hostile}");
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_hostile_user_agent_stays_within_its_field() {
    let app = App::start().await;
    let agent = "\u{1b}[2J\"}{\"level\":\"FATAL\"";
    // hyper refuses control characters other than a tab; the rest arrives.
    let refused = raw_with_headers(&app, &format!("user-agent: {agent}")).await;
    assert!(refused.rest().await.starts_with(b"HTTP/1.1 400"));

    let agent = "\t\"}{\"level\":\"FATAL\" \u{e9}";
    with_headers(&app, &format!("x-request-id: ua\r\nuser-agent: {agent}")).await;
    let line = app.witness.request_line("ua");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["user_agent.original"], agent.trim());
}

#[tokio::test]
async fn the_query_stands_nowhere_in_the_telemetry() {
    let app = App::start().await;
    let get = app.client.get("/echo/a?token=hush-hush&times=1");
    let answer = get.send().await.expect(200);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["url.path"], "/echo/a");
    assert_eq!(line["url.query"], Value::Null);
    app.witness.assert_silent_about(&["hush-hush"]);
}

async fn raw_with_headers(app: &App, headers: &str) -> Raw {
    let mut connection = app.raw().await;
    connection.send(format!("GET /plain HTTP/1.1\r\nhost: site\r\n{headers}\r\n\r\n")).await;
    connection
}

async fn with_headers(app: &App, headers: &str) -> Answer {
    raw_with_headers(app, headers).await.answer().await
}

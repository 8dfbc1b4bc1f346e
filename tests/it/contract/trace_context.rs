//! A caller's trace goes on here: `traceparent` (W3C Trace Context) in, and its ids everywhere.

use opentelemetry::trace::{SpanId, SpanKind, TraceId};

use super::server_timing::ServerTiming;
use crate::support::App;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[tokio::test]
async fn a_callers_trace_is_continued_in_the_line_the_spans_and_the_answer() {
    let app = App::start().await;
    let person = app.person().await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let call = person.client.get("/users/me");
    let answer = call.header("traceparent", &traceparent).send().await;
    let timing = ServerTiming::of(&answer);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!((timing.trace_id.as_str(), timing.flags.as_str()), (TRACE, "01"));
    assert_eq!((&line["trace_id"], &line["trace_flags"]), (&TRACE.into(), &"01".into()));
    assert_eq!(line["span_id"], timing.span_id);
    let spans = app.witness.spans_of(TRACE);
    let server = spans.iter().find(|s| s.span_kind == SpanKind::Server).unwrap();
    assert_eq!(server.parent_span_id, SpanId::from_hex(SPAN).unwrap());
    assert!(server.parent_span_is_remote);
    assert_eq!(server.span_context.span_id().to_string(), timing.span_id);
    assert_eq!(spans.len(), 2, "the statement is in the same trace");
}

#[tokio::test]
async fn a_problem_names_the_callers_trace() {
    let app = App::start().await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let call = app.client.get("/nowhere");
    let answer = call.header("traceparent", &traceparent).send().await;
    assert_eq!(answer.problem(404)["trace_id"], TRACE);
}

#[tokio::test]
async fn a_callers_decision_not_to_sample_is_followed() {
    let app = App::start().await;
    let traceparent = format!("00-{TRACE}-{SPAN}-00");
    let call = app.client.get("/");
    let answer = call.header("traceparent", &traceparent).send().await;
    let timing = ServerTiming::of(&answer);
    assert_eq!((timing.trace_id.as_str(), timing.flags.as_str()), (TRACE, "00"));
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!((&line["trace_id"], &line["trace_flags"]), (&TRACE.into(), &"00".into()));
    assert!(app.witness.spans_of(TRACE).is_empty());
}

#[tokio::test]
async fn a_malformed_parent_starts_a_new_trace() {
    let app = App::start().await;
    for malformed in [
        String::new(),
        "nonsense".to_owned(),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}"),
        "00-".repeat(3000),
    ] {
        let call = app.client.get("/");
        let answer = call.header("traceparent", &malformed).send().await.expect(200);
        assert_new_trace(&app, &ServerTiming::of(&answer).trace_id);
    }
    assert!(app.witness.spans_of(TRACE).is_empty());
}

#[tokio::test]
async fn two_parents_are_none() {
    let app = App::start().await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let call = app.client.get("/").header("traceparent", &traceparent);
    let answer = call.header("traceparent", &traceparent).send().await;
    assert_new_trace(&app, &ServerTiming::of(&answer).trace_id);
}

#[tokio::test]
async fn strangers_are_not_believed_where_the_operator_says_so() {
    let app = App::with(|settings| settings.tracing.trust_incoming = false).await;
    let traceparent = format!("00-{TRACE}-{SPAN}-00");
    let call = app.client.get("/");
    let answer = call.header("traceparent", &traceparent).send().await;
    let timing = ServerTiming::of(&answer);
    assert_new_trace(&app, &timing.trace_id);
    assert_eq!(timing.flags, "01", "nor is their wish not to be seen");
}

#[track_caller]
fn assert_new_trace(app: &App, trace_id: &str) {
    assert_ne!(trace_id, TRACE);
    assert_ne!(TraceId::from_hex(trace_id).unwrap(), TraceId::INVALID);
    let spans = app.witness.spans_of(trace_id);
    let server = spans.iter().find(|s| s.span_kind == SpanKind::Server).unwrap();
    assert_eq!(server.parent_span_id, SpanId::INVALID);
}

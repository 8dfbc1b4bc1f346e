//! Exemplars: from a bucket of a histogram to the trace and the request that fell into it.

use super::exposition::Exposition;
use super::server_timing::ServerTiming;
use crate::support::{App, PASSWORD};

/// An incoming trace that its caller has not sampled.
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The exemplars of one family, of all its buckets.
async fn exemplars(app: &App, family: &str) -> Vec<(String, String)> {
    let mut exposition = Exposition::scrape_open(app).await;
    exposition.families.remove(family).unwrap().exemplars.into_iter().collect()
}

#[tokio::test]
async fn a_request_its_statements_and_its_hashing_are_found_by_their_trace_and_request_id() {
    let app = App::start().await;
    let person = app.person().await;
    let answer = app.log_in(&person.email, PASSWORD).await.expect(200);
    let timing = ServerTiming::of(&answer);
    let spans = app.witness.spans_of(&timing.trace_id);
    for (family, series, span) in [
        ("http_server_request_duration_seconds", "http_route=\"/auth/login\"", "POST /auth/login"),
        ("db_client_operation_duration_seconds", "db_operation_name=\"SELECT\",", "SELECT users"),
        ("password_hash_duration_seconds", "operation=\"verify\"", "password verify"),
    ] {
        let span = spans.iter().find(|found| found.name == span).expect(span);
        let labels = format!(
            "{{trace_id=\"{}\",span_id=\"{}\",request_id=\"{}\"}} ",
            timing.trace_id,
            span.span_context.span_id(),
            answer.header("x-request-id")
        );
        let exemplars = exemplars(&app, family).await;
        let of_series = |(name, exemplar): &(String, String)| {
            name.contains(series) && exemplar.starts_with(&labels)
        };
        assert!(exemplars.iter().any(of_series), "{labels} in {exemplars:?}");
    }
}

#[tokio::test]
async fn an_answer_of_every_kind_has_its_exemplar_and_lies_in_its_bucket() {
    let app = App::with(|settings| settings.server.max_in_flight = 0).await;
    let shed = app.client.get("/users/me").send().await.expect(503);
    let exemplars = exemplars(&app, "http_server_request_duration_seconds").await;
    assert_eq!(exemplars.len(), 1, "{exemplars:?}");
    let (series, exemplar) = &exemplars[0];
    assert!(series.contains("error_type=\"overload\""), "{series}");
    assert!(exemplar.contains(&ServerTiming::of(&shed).trace_id), "{exemplar}");
    let bound = series.split_once("le=\"").unwrap().1.trim_end_matches("\"}");
    let value = exemplar.split(' ').nth(1).unwrap();
    assert!(value.parse::<f64>().unwrap() <= bound.parse().unwrap(), "{series} {exemplar}");
}

#[tokio::test]
async fn a_trace_that_nobody_keeps_is_no_exemplar() {
    let app = App::start().await;
    let call = app.client.get("/").header("traceparent", UNSAMPLED);
    let _ = call.send().await.expect(200);
    let exemplars = exemplars(&app, "http_server_request_duration_seconds").await;
    assert!(exemplars.is_empty(), "{exemplars:?}");
}

#[tokio::test]
async fn a_long_request_id_is_left_out_and_the_trace_stays() {
    let app = App::start().await;
    let id = "x".repeat(100);
    let answer = app.client.get("/").header("x-request-id", &id).send().await.expect(200);
    let exemplars = exemplars(&app, "http_server_request_duration_seconds").await;
    let exemplar = &exemplars[0].1;
    assert!(exemplar.contains(&ServerTiming::of(&answer).trace_id), "{exemplar}");
    assert!(!exemplar.contains("request_id"), "{exemplar}");
}

//! What goes wrong inside: the caller learns that it did, the operator learns why.

use opentelemetry::trace::Status;
use serde_json::Value;

use crate::support::App;
use crate::support::site::{CAUSES, PANIC};

const DURATION: &str = "http_server_request_duration_seconds";

#[tokio::test]
async fn a_panic_is_a_problem_and_the_connection_lives_on() {
    let app = App::start().await;
    let mut connection = app.raw().await;

    connection.get("/panic", "p-1").await;
    let answer = connection.answer().await;
    let problem = answer.problem(500);
    assert_eq!(problem["type"], "/problems/internal-error");
    assert_eq!(problem["instance"], "/panic");
    assert!(!answer.text().contains("cogwheel"), "{problem}");

    connection.get("/echo/fine", "p-2").await;
    let _ = connection.answer().await.expect(200);
}

#[tokio::test]
async fn a_panic_is_told_by_line_span_and_metrics_with_the_ids_of_the_answer() {
    let app = App::start().await;
    let answer = app.client.get("/panic").send().await;
    let problem = answer.problem(500);

    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["error.type"], "panic");
    assert_eq!(line["error"], format!("panicked: {PANIC}"));
    assert_eq!(line["http.response.status_code"], 500);
    assert_eq!(line["http.route"], "/panic");
    assert_eq!(line["trace_id"], problem["trace_id"]);

    let trace_id = problem["trace_id"].as_str().unwrap();
    let spans = app.witness.spans_of(trace_id);
    assert_eq!(spans[0].name, "GET /panic");
    assert!(matches!(spans[0].status, Status::Error { .. }));

    let labels =
        [("http_route", "/panic"), ("http_response_status_code", "500"), ("error_type", "panic")];
    assert_eq!(app.witness.metric(DURATION, &labels), 1.0);
    assert_eq!(app.active_requests(), 0.0);
}

#[tokio::test]
async fn what_a_panic_formats_into_its_message_is_told_to_nobody() {
    let app = App::start().await;
    let answer = app.client.get("/panic?about=ada%40example.org").send().await;
    answer.problem(500);
    assert!(!answer.text().contains("ada@") && !answer.text().contains("ada%"));
    app.witness.assert_silent_about(&["ada@example.org", "ada%40example.org"]);
}

#[tokio::test]
async fn only_the_log_tells_the_chain_of_causes() {
    let app = App::start().await;
    let answer = app.client.get("/fail").send().await;
    answer.problem(500);
    for cause in CAUSES {
        assert!(!answer.text().contains(cause), "{}", answer.text());
    }
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["error"], CAUSES.join(": "));
    assert_eq!(line["error.type"], "500");
}

#[tokio::test]
async fn a_bare_error_of_a_handler_becomes_a_problem() {
    let app = App::start().await;
    let problem = app.client.get("/bare").send().await.problem(409);
    assert_eq!(problem["type"], "/problems/conflict");
}

#[tokio::test]
async fn the_callers_own_mistakes_are_no_errors_of_the_service() {
    let app = App::start().await;
    let answer = app.client.delete("/echo/hello").send().await;
    let problem = answer.problem(404);
    assert_eq!(problem["detail"], "no note says hello");

    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["error.type"], Value::Null);
    let labels = [("http_response_status_code", "404"), ("error_type", "")];
    assert_eq!(app.witness.metric(DURATION, &labels), 1.0);
}

#[tokio::test]
async fn a_bad_parameter_is_named_as_the_document_names_it() {
    let app = App::start().await;
    let answer = app.client.get("/echo/a?times=300").send().await;
    let detail = answer.problem(400)["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("parameter times: "), "{detail}");
    assert!(!detail.contains("u8"), "{detail}");
}

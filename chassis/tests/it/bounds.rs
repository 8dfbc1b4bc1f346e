//! What one request may take of time and room, and what is left when it is given up.

use std::time::Duration;

use serde_json::Value;

use crate::support::{App, GET, eventually, in_time};

const SHED: &str = "http_server_shed_requests_total";

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_and_answered_503() {
    let app = impatient().await;
    let answer = app.client.get("/slow").send().await;
    app.gate.departure().await;

    let problem = answer.problem(503);
    assert_eq!(problem["type"], "/problems/unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["error.type"], "timeout");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(app.witness.metric(SHED, &[("reason", "timeout")]), 1.0);
    assert_eq!(app.active_requests(), 0.0);
}

#[tokio::test]
async fn a_body_that_does_not_come_takes_too_long_as_well() {
    let app = impatient().await;
    let mut connection = app.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json\r\n\
             content-length: 100\r\n\r\n{\"text\":",
        )
        .await;
    let answer = connection.answer().await;
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn requests_beyond_the_limit_in_flight_are_answered_503_at_once() {
    let app = App::with(|settings| settings.stack.server.max_in_flight = 1).await;
    let mut first = app.raw().await;
    first.get("/slow", "first").await;
    app.gate.arrival().await;
    assert_eq!(app.active_requests(), 1.0);

    let answer = app.client.get("/echo/a").send().await;
    let problem = answer.problem(503);
    assert_eq!(problem["detail"], "too many requests are in flight");
    assert_eq!(answer.header("retry-after"), "1");
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["error.type"], "overload");
    assert_eq!(app.witness.metric(SHED, &[("reason", "in_flight")]), 1.0);
    // The operator must see what goes on just then.
    let _ = app.client.get("/livez").send().await.expect(200);

    app.gate.open();
    let _ = first.answer().await.expect(200);
    let _ = app.client.get("/echo/a").send().await.expect(200);
    assert_eq!(app.active_requests(), 0.0);
}

#[tokio::test]
async fn a_panic_gives_its_place_back() {
    let app = App::with(|settings| settings.stack.server.max_in_flight = 1).await;
    let _ = app.client.get("/panic").send().await.expect(500);
    let _ = app.client.get("/echo/a").send().await.expect(200);
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_once_and_without_a_status() {
    let app = App::with(|settings| settings.stack.server.max_in_flight = 1).await;
    let mut connection = app.raw().await;
    connection.get("/slow", "gone").await;
    app.gate.arrival().await;
    drop(connection);
    app.gate.departure().await;
    assert_client_disconnected(&app, "gone").await;
    let _ = app.client.get("/echo/a").send().await.expect(200);
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_told_the_same_way() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let request = connection.request(GET, "/slow").header("x-request-id", "gone");
    let request = tokio::spawn(connection.begin(request));
    app.gate.arrival().await;
    request.abort();
    app.gate.departure().await;
    assert_client_disconnected(&app, "gone").await;

    // Only the stream is gone.
    let request = connection.request(GET, "/echo/a");
    let _ = connection.send(request, "").await.expect(200);
}

#[tokio::test]
async fn a_flood_of_abandoned_requests_leaves_nothing_behind() {
    let app = App::start().await;
    for _ in 0..50 {
        let mut connection = app.raw().await;
        connection.get("/slow", "flood").await;
        app.gate.arrival().await;
    }
    for _ in 0..50 {
        app.gate.departure().await;
    }
    eventually("no active request", || app.active_requests() == 0.0).await;
    eventually("no connection", || app.connections() == 0.0).await;
    let _ = in_time("a request", app.client.get("/echo/a").send()).await.expect(200);
}

async fn impatient() -> App {
    App::with(|settings| settings.stack.server.request_timeout = Duration::from_millis(100)).await
}

async fn assert_client_disconnected(app: &App, request_id: &str) {
    app.told(request_id).await;
    eventually("no active request", || app.active_requests() == 0.0).await;
    let line = app.witness.request_line(request_id);
    assert_eq!(line["error.type"], "client_disconnected");
    assert_eq!(line["http.response.status_code"], Value::Null);
    assert_eq!(line["level"], "INFO");
    let labels = [("error_type", "client_disconnected"), ("http_response_status_code", "")];
    let told = app.witness.metric("http_server_request_duration_seconds", &labels);
    assert_eq!(told, 1.0);
}

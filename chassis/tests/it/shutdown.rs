//! The end of a listener: what was begun is finished, what idles is closed, nothing takes for ever.

use std::time::Duration;

use chassis::lifecycle::Outcome;
use serde_json::Value;
use tokio::time::sleep;

use crate::support::raw::{Raw, request};
use crate::support::{App, GET, PATIENCE, eventually, in_time};

/// Time that a test can wait for to be up.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_request_in_flight_is_finished_while_nobody_else_can_connect() {
    let mut app = App::start().await;
    let mut connection = app.raw().await;
    connection.get("/slow", "in-flight").await;
    app.gate.arrival().await;

    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    app.gate.open();
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    connection.closed_silently().await;
    assert_eq!(ended(stopped).await, Outcome::Complete);
    app.witness.request_line("in-flight");
}

#[tokio::test]
async fn idle_connections_are_closed_without_waiting_for_their_time() {
    let mut app = forbearing().await;
    let mut used = app.raw().await;
    used.get("/plain", "used").await;
    let _ = used.answer().await.expect(200);
    let unused = app.raw().await;
    let mut http2 = app.http2().await;
    let get = http2.request(GET, "/plain");
    let _ = http2.send(get, "").await.expect(200);

    let stopped = app.stop(PATIENCE);
    used.closed_silently().await;
    unused.closed_silently().await;
    http2.closed().await;
    assert_eq!(ended(stopped).await, Outcome::Complete);
    assert_eq!(app.connections(), 0.0);
}

#[tokio::test]
async fn a_kept_connection_is_told_to_close_as_soon_as_the_end_is_announced() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.get("/plain", "before").await;
    assert_eq!(connection.answer().await.header("connection"), "");

    app.announce_end();
    connection.get("/plain", "after").await;
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    connection.closed_silently().await;
    // New ones still come.
    let answer = app.client.get("/plain").send().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn a_request_that_is_on_its_way_on_a_kept_connection_is_answered() {
    let mut app = App::start().await;
    let mut connection = app.raw().await;
    connection.get("/plain", "before").await;
    let _ = connection.answer().await.expect(200);

    connection.slip(&request("GET", "/plain", "on-its-way"));
    let stopped = app.stop(PATIENCE);
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn connections_that_wait_in_the_queue_are_answered() {
    let mut app = App::start().await;
    let address = app.client.address();
    let get = request("GET", "/plain", "queued");
    let queued: Vec<_> = (0..20).map(|_| Raw::queued(address, &get)).collect();
    let stopped = app.stop(PATIENCE);
    for mut connection in queued {
        let _ = connection.answer().await.expect(200);
    }
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn connections_that_wait_for_a_place_are_answered() {
    let mut app = App::with(|settings| settings.stack.server.max_connections = 1).await;
    let mut first = app.raw().await;
    first.get("/slow", "first").await;
    app.gate.arrival().await;
    let mut waiting = app.raw().await;
    waiting.get("/plain", "waiting").await;

    let stopped = app.stop(PATIENCE);
    let _ = waiting.answer().await.expect(200);
    app.refuses().await;
    app.gate.open();
    let _ = first.answer().await.expect(200);
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn what_is_pipelined_behind_the_last_answer_is_left_untouched() {
    let mut app = App::start().await;
    let mut connection = app.raw().await;
    let both = request("GET", "/slow", "last") + &request("GET", "/plain", "untouched");
    connection.send(both).await;
    app.gate.arrival().await;
    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    app.gate.open();
    let answer = connection.answer().await.expect(200);
    // RFC 9112, section 9.6: the client may safely send it again elsewhere.
    assert_eq!(answer.header("connection"), "close");
    connection.closed_silently().await;
    assert_eq!(ended(stopped).await, Outcome::Complete);
    assert!(app.witness.lines_of("untouched").is_empty());
}

#[tokio::test]
async fn half_of_a_header_holds_nothing_up_and_counts_as_nothing() {
    let mut app = forbearing().await;
    let mut half = app.raw().await;
    half.send("GET /plain HTTP/1.1\r\nho").await;
    let mut later = app.raw().await;
    later.get("/plain", "before").await;
    let _ = later.answer().await.expect(200);
    later.send("GET /plain HTTP/1.1\r\nho").await;

    assert_eq!(ended(app.stop(SHORT)).await, Outcome::Complete);
    half.closed_silently().await;
    later.closed_silently().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_holds_nothing_up_even_without_time_to_drain() {
    let mut app = forbearing().await;
    let silent = app.raw().await;
    eventually("the connection", || app.connections() == 1.0).await;
    assert_eq!(ended(app.stop(Duration::ZERO)).await, Outcome::Complete);
    silent.closed_silently().await;
}

#[tokio::test]
async fn half_of_a_header_may_be_completed_while_there_is_time() {
    let mut app = forbearing().await;
    let mut connection = app.raw().await;
    connection.send("GET /plain HTTP/1.1\r\nho").await;
    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    connection.send("st: site\r\n\r\n").await;
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn a_body_that_is_still_coming_is_waited_for() {
    let mut app = App::start().await;
    let mut connection = app.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json\r\n\
             content-length: 14\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
    // The handler reads.
    assert_eq!(connection.answer().await.status, 100);
    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    connection.send("{\"text\":\"hey\"}").await;
    let _ = connection.answer().await.expect(200);
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_timeout_is_cut_off() {
    let mut app = App::start().await;
    let mut connection = app.raw().await;
    connection.get("/slow", "cut").await;
    app.gate.arrival().await;

    assert_eq!(ended(app.stop(SHORT)).await, Outcome::CutOff);
    assert_cut_off(&app, "cut");
    connection.closed_silently().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_until_the_drain_timeout_is_cut_off() {
    // Also where there is no time to linger.
    for timeout in [SHORT, SHORT / 4] {
        let mut app = App::start().await;
        let mut connection = Raw::narrow(app.client.address()).await;
        let body = format!("{{\"text\":\"{}\"}}", "x".repeat(900_000));
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        let id = "x-request-id: untaken";
        let length = format!("content-length: {}", body.len());
        let request = format!("{head}{id}\r\n{length}\r\n\r\n{body}");
        // More than the kernel takes for a client that does not read.
        let sending =
            tokio::spawn(async move { (connection.send(request.repeat(8)).await, connection) });
        let (mut before, mut now) = (0, 0);
        while now == 0 || now > before {
            sleep(Duration::from_millis(50)).await;
            (before, now) = (now, app.witness.lines_of("untaken").len());
        }
        assert!(now < 8, "the kernel takes them all");
        assert_eq!(app.active_requests(), 0.0);
        assert_eq!(ended(app.stop(timeout)).await, Outcome::CutOff);
        sending.abort();
    }
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_timeout_is_cut_off() {
    let mut app = App::start().await;
    let mut connection = app.http2().await;
    let get = connection.request(GET, "/slow").header("x-request-id", "cut");
    let answer = connection.begin(get);
    app.gate.arrival().await;

    assert_eq!(ended(app.stop(SHORT)).await, Outcome::CutOff);
    assert_cut_off(&app, "cut");
    connection.closed().await;
    drop(answer);
}

#[tokio::test]
async fn streams_in_flight_are_finished() {
    let mut app = App::start().await;
    let mut connection = app.http2().await;
    let get = connection.request(GET, "/slow");
    let answer = tokio::spawn(connection.begin(get));
    app.gate.arrival().await;
    let stopped = app.stop(PATIENCE);
    app.refuses().await;
    app.gate.open();
    assert_eq!(answer.await.unwrap(), 200);
    connection.closed().await;
    assert_eq!(ended(stopped).await, Outcome::Complete);
}

#[tokio::test]
async fn a_listener_without_connections_ends_at_once() {
    let mut app = App::start().await;
    assert_eq!(ended(app.stop(Duration::ZERO)).await, Outcome::Complete);
    app.refuses().await;
}

async fn ended(stopped: tokio::task::JoinHandle<Outcome>) -> Outcome {
    in_time("the end", stopped).await.unwrap()
}

/// By the time that the listener has ended, for the log ends soon after.
#[track_caller]
fn assert_cut_off(app: &App, request_id: &str) {
    let line = app.witness.request_line(request_id);
    assert_eq!(line["http.response.status_code"], Value::Null);
    assert_eq!(app.active_requests(), 0.0);
}

/// Gives headers and idle connections more time than any test has.
async fn forbearing() -> App {
    App::with(|settings| {
        settings.stack.server.header_read_timeout = Duration::from_hours(1);
    })
    .await
}

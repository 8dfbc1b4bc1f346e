//! Connections: slow ones, silent ones, too many of them, and the two protocols.

use std::time::Duration;

use poem::http::Version;
use tokio::time::sleep;

use crate::support::raw::{Raw, request};
use crate::support::{App, GET, eventually};

const HTTP2_PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn headers_that_drip_are_cut_off() {
    let app = strict().await;
    let mut connection = app.raw().await;
    connection.send("GET /plain HTTP/1.1\r\n").await;
    eventually("the connection", || app.connections() == 1.0).await;
    // Each byte comes long before the time for all of them is up.
    while app.connections() > 0.0 {
        connection.send("x").await;
        sleep(Duration::from_millis(10)).await;
    }
    connection.closed_silently().await;
    assert!(app.witness.lines().is_empty());
}

#[tokio::test]
async fn connections_that_say_nothing_or_too_little_are_closed() {
    let app = strict().await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n", "G", "GET /plain", "\r\n"] {
        let mut connection = app.raw().await;
        connection.send(start).await;
        connection.closed_silently().await;
    }
    eventually("no connection", || app.connections() == 0.0).await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let app = strict().await;
    let mut connection = app.raw().await;
    connection.get("/plain", "only").await;
    let _ = connection.answer().await.expect(200);
    connection.closed_silently().await;
}

#[tokio::test]
async fn an_http2_client_that_answers_no_ping_is_closed() {
    let app = strict().await;
    let mut connection = app.raw().await;
    // The preface and empty settings, and nothing ever after.
    connection.send(HTTP2_PREFACE).await;
    connection.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    connection.rest().await;
    eventually("no connection", || app.connections() == 0.0).await;
}

#[tokio::test]
async fn an_http2_client_that_only_answers_pings_is_sent_away() {
    let app = strict().await;
    let mut idle = app.http2().await;
    let request = idle.request(GET, "/plain");
    let _ = idle.send(request, "").await.expect(200);
    idle.sent_away().await;
    eventually("no connection", || app.connections() == 0.0).await;
}

#[tokio::test]
async fn an_http2_client_that_waits_for_an_answer_is_not_idle() {
    let app = strict().await;
    let mut waiting = app.http2().await;
    let request = waiting.request(GET, "/slow");
    let answer = tokio::spawn(waiting.begin(request));
    app.gate.arrival().await;
    for _ in 0..3 {
        header_time_passes(&app).await;
    }
    app.gate.open();
    assert_eq!(answer.await.unwrap(), 200);
}

#[tokio::test]
async fn the_time_for_headers_is_not_the_time_for_handlers_and_bodies() {
    let app = strict().await;
    let mut waiting = app.raw().await;
    waiting.get("/slow", "waiting").await;
    app.gate.arrival().await;
    let mut sending = app.raw().await;
    sending
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\nx-request-id: sending\r\n\
             content-type: application/json\r\ncontent-length: 14\r\n\r\n{\"text\"",
        )
        .await;
    header_time_passes(&app).await;

    sending.send(":\"hey\"}").await;
    let _ = sending.answer().await.expect(200);
    app.gate.open();
    let _ = waiting.answer().await.expect(200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let app = App::with(|settings| settings.stack.server.max_connections = 2).await;
    let mut first = app.raw().await;
    first.get("/slow", "early").await;
    let mut second = app.http2().await;
    let slow = second.request(GET, "/slow");
    let slow = tokio::spawn(second.begin(slow));
    for _ in 0..2 {
        app.gate.arrival().await;
    }
    let mut third = app.raw().await;
    third.get("/plain", "third").await;
    for _ in 0..20 {
        let again = second.request(GET, "/plain");
        let _ = second.send(again, "").await.expect(200);
        assert_eq!(app.connections(), 2.0);
    }
    assert!(app.witness.lines_of("third").is_empty());

    drop(first);
    let _ = third.answer().await.expect(200);
    assert_eq!(app.connections(), 2.0);
    app.gate.open();
    assert_eq!(slow.await.unwrap(), 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    let many: String =
        (0..20).map(|i| request("GET", &format!("/echo/{i}"), "pipelined")).collect();
    connection.send(many).await;
    for i in 0..20 {
        let answer = connection.answer().await.expect(200);
        assert_eq!(answer.json()["text"], i.to_string());
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.send("GET /plain HTTP/1.0\r\nx-request-id: old\r\n\r\n").await;
    assert_eq!(connection.answer().await.expect(200).text(), "plain");
    connection.closed_silently().await;
    app.witness.request_line("old");
}

#[tokio::test]
async fn headers_of_a_proxy_that_adds_many_are_taken_over_http2_too() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let get = connection.request(GET, "/plain").header("x-large", "x".repeat(40_000));
    assert_eq!(connection.begin(get).await, 200);
}

#[tokio::test]
async fn http2_is_spoken_to_those_who_know_it() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let first = connection.request(GET, "/slow").version(Version::HTTP_2);
    let first = tokio::spawn(connection.begin(first));
    let second = connection.request(GET, "/slow");
    let second = tokio::spawn(connection.begin(second));
    // Both at once, on one connection.
    app.gate.arrival().await;
    app.gate.arrival().await;
    assert_eq!(app.connections(), 1.0);
    app.gate.open();
    app.gate.open();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));

    let request = connection.request(GET, "/plain");
    let answer = connection.send(request, "").await.expect(200);
    let trace_id = app.witness.request_line(answer.header("x-request-id"))["trace_id"].clone();
    let span = &app.witness.spans_of(trace_id.as_str().unwrap())[0];
    let version = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "network.protocol.version");
    assert_eq!(version.unwrap().value.as_str(), "2");
}

#[tokio::test]
async fn a_preface_in_pieces_is_still_understood() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    for piece in HTTP2_PREFACE.as_bytes().chunks(5) {
        connection.send(piece).await;
        tokio::task::yield_now().await;
    }
    connection.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    // A frame of settings is the first thing that a server says.
    assert_eq!(connection.bytes(9).await[3], 4);
}

#[tokio::test]
async fn a_method_that_begins_like_the_preface_is_http_1() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.send("P").await;
    tokio::task::yield_now().await;
    connection.send("RI * HTTP/1.1\r\nhost: site\r\nx-request-id: p\r\n\r\n").await;
    connection.answer().await.problem(404);
}

/// Gives headers so little time that a test can wait for its end.
async fn strict() -> App {
    App::with(|settings| {
        settings.stack.server.header_read_timeout = Duration::from_millis(200);
    })
    .await
}

/// A connection that begins now and says nothing is closed when the time is up.
async fn header_time_passes(app: &App) {
    Raw::connect(app.client.address()).await.closed_silently().await;
}

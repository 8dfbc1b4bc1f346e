//! Clients that want to use up the service: it bounds what each costs, and serves the others meanwhile.

use std::time::Duration;

use crate::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING,
    REFUSED_STREAM, RST_STREAM, SETTINGS, connect, fields, frame, get, text,
};
use crate::support::http2::Http2;
use crate::support::raw::{Raw, request};
use crate::support::{App, GET, PATIENCE, eventually, in_time};

/// `SETTINGS_INITIAL_WINDOW_SIZE`
const INITIAL_WINDOW: u16 = 4;

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let app = App::start().await;
    let mut connection = connect(&app, &[]).await;
    let cancel = 8_u32.to_be_bytes();
    let flood: Vec<u8> = (0..2000)
        .map(|i| 2 * i + 1)
        .flat_map(|stream| [get(stream, "/slow"), frame(RST_STREAM, 0, stream, &cancel)].concat())
        .collect();
    connection.send(flood).await;
    assert_eq!(connection.goaway().await, ENHANCE_YOUR_CALM);
    eventually("the end of all requests", || app.active_requests() == 0.0).await;
    assert_served(&app).await;
}

#[tokio::test]
async fn streams_beyond_a_hundred_are_refused_and_the_others_answered() {
    let app = App::start().await;
    let mut connection = connect(&app, &[]).await;
    let streams: Vec<u32> = (0..101).map(|i| 2 * i + 1).collect();
    let many: Vec<u8> = streams.iter().flat_map(|stream| get(*stream, "/slow")).collect();
    connection.send(many).await;
    let refused = connection.frame().await;
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 201));
    assert_eq!(refused.code(0), REFUSED_STREAM);
    for _ in 0..100 {
        app.gate.arrival().await;
    }
    assert_served(&app).await;
    (0..100).for_each(|_| app.gate.open());
    let mut answered = 0;
    while answered < 100 {
        let frame = connection.frame().await;
        answered += usize::from(frame.flags & END_STREAM != 0);
    }
}

#[tokio::test]
async fn headers_that_are_continued_for_ever_end_the_connection() {
    let app = App::start().await;
    let mut connection = connect(&app, &[]).await;
    connection.send(frame(HEADERS, END_STREAM, 1, &fields("GET", "/plain"))).await;
    // A literal that is never remembered, again and again.
    let more: Vec<u8> = [&[0x10][..], &text("x-flood"), &text(&"x".repeat(100))].concat();
    let more = frame(CONTINUATION, 0, 1, &more.repeat(100));
    connection.send(more.repeat(1000)).await;
    let rest = connection.rest().await;
    assert!(!rest.windows(4).any(|four| four == [0, 0, HEADERS, END_HEADERS]));
    eventually("no connection", || app.connections() == 0.0).await;
    assert_eq!(app.active_requests(), 0.0);
    assert_served(&app).await;
}

#[tokio::test]
async fn a_few_bytes_that_unpack_to_many_headers_are_refused() {
    let app = App::start().await;
    let mut connection = connect(&app, &[]).await;
    // Remembered once in the table, at index 62, and asked for 16,000 times: 2 MB in one frame.
    let bomb = [&[0x40][..], &text("x-bomb"), &text(&"x".repeat(120)), &[0xbe; 16_000]].concat();
    let head = [fields("GET", "/plain"), bomb].concat();
    connection.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
    assert_eq!(connection.goaway().await, ENHANCE_YOUR_CALM);
    assert_eq!(app.witness.metric("http_server_request_duration_seconds", &[]), 0.0);
    assert_served(&app).await;
}

#[tokio::test]
async fn pings_and_settings_are_answered_as_long_as_the_answers_are_taken() {
    let app = App::start().await;
    let mut connection = connect(&app, &[]).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(1000);
    connection.send([pings, settings, get(1, "/plain")].concat()).await;
    let mut answers = 0;
    loop {
        let frame = connection.frame().await;
        match frame.kind {
            PING => answers += usize::from(frame.flags & ACK != 0),
            DATA if frame.flags & END_STREAM != 0 => break,
            _ => {}
        }
    }
    assert_eq!(answers, 1000);
    assert_served(&app).await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_to_its_pings_is_cut_off() {
    let app = stalling_shortly().await;
    let mut connection = Raw::narrow(app.client.address()).await;
    connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    connection.send(frame(SETTINGS, 0, 0, &[])).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    // Until the service reads no more, because what it would say is not taken.
    while app.connections() > 0.0 {
        connection.send_for(Duration::from_millis(20), &pings).await;
    }
    assert_served(&app).await;
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_for_its_answers_is_cut_off() {
    let app = stalling_shortly().await;
    let mut connection = connect(&app, &[(INITIAL_WINDOW, 0)]).await;
    let many: Vec<u8> = (0..100).flat_map(|i| get(2 * i + 1, "/plain")).collect();
    connection.send(many).await;
    for _ in 0..100 {
        assert_eq!(connection.frame().await.kind, HEADERS);
    }
    assert_served(&app).await;
    connection.rest().await;
    eventually("no connection", || app.connections() == 0.0).await;
}

#[tokio::test]
async fn an_http2_client_with_a_window_of_one_byte_is_cut_off() {
    let app = impatient().await;
    let mut connection = connect(&app, &[(INITIAL_WINDOW, 1)]).await;
    let many: Vec<u8> = (0..10).flat_map(|i| get(2 * i + 1, "/plain")).collect();
    connection.send(many).await;
    in_time("a connection with a shut window", connection.answers_pings()).await;
    eventually("no connection", || app.connections() == 0.0).await;
    assert_served(&app).await;
}

#[tokio::test]
async fn an_http2_client_that_does_not_hear_that_it_shall_go_is_cut_off() {
    let app = impatient().await;
    let mut connection = connect(&app, &[]).await;
    in_time("a connection that stays", connection.only_keeps_alive()).await;
    eventually("no connection", || app.connections() == 0.0).await;
    assert_served(&app).await;
}

#[tokio::test]
async fn an_http1_client_that_reads_no_answers_is_cut_off() {
    let app = stalling_shortly().await;
    let mut connection = Raw::narrow(app.client.address()).await;
    let large = request("GET", &format!("/echo/{}?times=200", "a".repeat(1000)), "never-read");
    let many = large.repeat(50);
    eventually("the connection", || app.connections() == 1.0).await;
    while app.connections() > 0.0 {
        connection.send_for(Duration::from_millis(20), many.as_bytes()).await;
    }
    assert_eq!(app.active_requests(), 0.0);
    assert_served(&app).await;
}

#[tokio::test]
async fn a_head_without_an_end_is_refused_before_it_is_large() {
    let app = App::start().await;
    let line = "x".repeat(100_000);
    let lines = "x-flood: y\r\n".repeat(10_000);
    for (head, status) in [
        (format!("GET /plain HTTP/1.1\r\nx: {line}"), 431),
        (format!("GET /plain HTTP/1.1\r\n{lines}"), 431),
        (format!("GET /plain HTTP/1.1\r\n{}\r\n\r\n", "x: y\r\n".repeat(101)), 431),
        (format!("GET /{line}"), 431),
        (format!("GET /{} HTTP/1.1\r\n\r\n", &line[..66_000]), 414),
    ] {
        let mut connection = app.raw().await;
        connection.send(&head).await;
        let problem = connection.answer().await.problem(status);
        let slug = if status == 414 { "uri-too-long" } else { "headers-too-large" };
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        let _ = app.client.get(&format!("/problems/{slug}")).send().await.expect(200);
    }
    assert_served(&app).await;
}

#[tokio::test]
async fn over_http2_too_large_headers_are_refused_with_a_problem() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let large = |connection: &Http2, times: usize| {
        let mut request = connection.request(GET, "/plain");
        for number in 0..times {
            request = request.header(format!("x-flood-{number}"), "x".repeat(10_000));
        }
        request
    };
    let request = large(&connection, 7);
    let problem = connection.send(request, "").await.problem(431);
    assert_eq!(problem["type"], "/problems/headers-too-large");
    assert_eq!(problem["detail"], "the headers must not exceed 65536 bytes");
    let request = large(&connection, 6);
    let _ = connection.send(request, "").await.expect(200);
}

#[tokio::test]
async fn a_flood_of_pipelined_requests_is_one_request_after_the_other() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection.send(request("GET", "/slow", "first")).await;
    app.gate.arrival().await;
    connection
        .send_for(
            Duration::from_millis(50),
            request("GET", "/slow", "more").repeat(5000).as_bytes(),
        )
        .await;
    assert_served(&app).await;
    assert_eq!(app.active_requests(), 1.0);
}

#[tokio::test]
async fn hundreds_of_idle_and_half_spoken_connections_keep_nobody_out() {
    let app = App::start().await;
    let mut held = Vec::new();
    for i in 0..300 {
        let mut connection = app.raw().await;
        let start = ["", "G", "GET /plain HTTP/1.1\r\nx: ", "PRI * HTTP/2.0\r\n"][i % 4];
        connection.send(start).await;
        held.push(connection);
    }
    eventually("all of them", || app.connections() == 300.0).await;
    assert_served(&app).await;
    assert_eq!(app.active_requests(), 0.0);
    drop(held);
    eventually("none of them", || app.connections() == 0.0).await;
}

/// Gives clients so little time to take their answers that a test can wait for its end.
async fn stalling_shortly() -> App {
    App::with(|settings| {
        settings.write_stall = Some(Duration::from_millis(200));
        // Pings that are not answered end a connection too, and shall not be what is seen here.
        settings.stack.server.header_read_timeout = 2 * PATIENCE;
    })
    .await
}

/// Sends idle clients away at once, and waits for none of them.
async fn impatient() -> App {
    App::with(|settings| {
        settings.write_stall = Some(Duration::from_millis(200));
        settings.stack.server.header_read_timeout = Duration::from_millis(500);
    })
    .await
}

async fn assert_served(app: &App) {
    let _ = app.client.get("/plain").send().await.expect(200);
}

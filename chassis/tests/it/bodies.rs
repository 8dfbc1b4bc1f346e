//! Request bodies: how much of them is read, and in which encoding and media type.

use chassis::testing::Answer;
use poem::http::Method;

use crate::support::App;
use crate::support::frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, RST_STREAM};
use crate::support::http2::Http2;
use crate::support::raw::Raw;

const MIB: usize = 1024 * 1024;
const JSON: &str = "application/json";

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let app = App::start().await;
    let _ = echo(&app, &note_of(MIB)).await.expect(200);
    let problem = echo(&app, &note_of(MIB + 1)).await.problem(413);
    assert_eq!(problem["type"], "/problems/content-too-large");
    assert_eq!(problem["detail"], "the body must not exceed 1048576 bytes");
}

#[tokio::test]
async fn a_body_of_twice_the_limit_is_refused_with_its_length_and_without() {
    let app = App::start().await;
    let body = note_of(2 * MIB);
    echo(&app, &body).await.problem(413);

    let mut connection = app.raw().await;
    send_chunked(&mut connection, &body).await;
    let problem = connection.answer().await.problem(413);
    assert_eq!(problem["detail"], "the body must not exceed 1048576 bytes");
}

#[tokio::test]
async fn a_chunked_body_of_exactly_the_limit_passes() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    send_chunked(&mut connection, &note_of(MIB)).await;
    let _ = connection.answer().await.expect(200);
}

#[tokio::test]
async fn http2_bodies_have_the_same_limit() {
    let app = App::start().await;
    let mut connection = app.http2().await;
    let request =
        |connection: &Http2| connection.request(Method::POST, "/echo").header("content-type", JSON);

    let announced = request(&connection);
    connection.send(announced, note_of(2 * MIB)).await.problem(413);
    let streamed = request(&connection);
    connection.stream(streamed, note_of(2 * MIB).as_bytes()).await.problem(413);
    let exact = request(&connection);
    let _ = connection.stream(exact, note_of(MIB).as_bytes()).await.expect(200);
}

/// Clients lose the answer when its stream is reset while they send, although they must not.
#[tokio::test]
async fn over_http2_a_body_that_nobody_wants_is_sent_to_its_end_without_a_reset() {
    let app = App::start().await;
    let mut connection = frames::connect(&app, &[]).await;
    let post = frames::fields("POST", "/nowhere");
    connection.send(frames::frame(HEADERS, END_HEADERS, 1, &post)).await;
    while connection.frame().await.flags & END_STREAM == 0 {}
    let piece = [0; 16 * 1024];
    connection.send(frames::frame(DATA, 0, 1, &piece)).await;
    connection.send(frames::frame(DATA, END_STREAM, 1, &piece)).await;

    connection.send(frames::get(3, "/plain")).await;
    let next = connection.frame().await;
    assert_eq!((next.kind, next.stream), (HEADERS, 3));
}

#[tokio::test]
async fn over_http2_a_body_that_nobody_wants_does_not_come_for_ever() {
    let app = App::start().await;
    let mut connection = frames::connect(&app, &[]).await;
    let post = frames::fields("POST", "/nowhere");
    connection.send(frames::frame(HEADERS, END_HEADERS, 1, &post)).await;
    let reset = loop {
        let frame = connection.frame().await;
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!((reset.stream, reset.code(0)), (1, NO_ERROR));
}

#[tokio::test]
async fn a_client_that_asks_first_is_spared_sending_too_much() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: 2097152\r\n\r\n",
        )
        .await;
    connection.answer().await.problem(413);
}

#[tokio::test]
async fn compressed_bodies_are_refused_with_a_hint() {
    let app = App::start().await;
    for encodings in [
        &["gzip"][..],
        &["br"],
        &["identity, gzip"],
        &["gzip, gzip, gzip"],
        &["identity", "gzip"],
        &["\u{e9}"],
        &[""],
    ] {
        let mut call = app.client.post("/echo").body(JSON, note_of(20));
        for encoding in encodings {
            call = call.header("content-encoding", encoding);
        }
        let answer = call.send().await;
        answer.problem(415);
        assert_eq!(answer.header("accept-encoding"), "identity");
    }
    let _ = app
        .client
        .post("/echo")
        .header("content-encoding", "identity")
        .body(JSON, note_of(20))
        .send()
        .await
        .expect(200);
}

#[tokio::test]
async fn another_media_type_is_refused_with_a_hint() {
    let app = App::start().await;
    let wrong = [
        "text/plain",
        "application/json; charset=iso-8859-1",
        "application/merge-patch+json",
        "application/x-www-form-urlencoded",
        "json",
        ";",
    ];
    for content_type in wrong {
        let post = app.client.post("/echo").body(content_type, note_of(20));
        let answer = post.send().await;
        answer.problem(415);
        assert_eq!(answer.header("accept"), JSON, "{content_type}");
    }
    let answer = app.client.post("/echo").send().await;
    answer.problem(415);
    assert_eq!(answer.header("accept"), JSON);
    let twice = app.client.post("/echo").body(JSON, note_of(20)).header("content-type", JSON);
    twice.send().await.problem(415);

    let answer = app.client.patch("/echo").body("text/plain", "").send().await;
    answer.problem(415);
    assert_eq!(answer.header("accept-patch"), "application/merge-patch+json, application/json");
    for content_type in ["Application/JSON", "application/json; charset=UTF-8"] {
        let post = app.client.post("/echo").body(content_type, note_of(20));
        let _ = post.send().await.expect(200);
    }
}

#[tokio::test]
async fn the_size_of_bodies_is_measured_as_they_are_read() {
    let app = App::start().await;
    let _ = echo(&app, &note_of(300)).await.expect(200);
    let size = |name| {
        let families = app.witness.metrics().gather();
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap().get_metric()[0].get_histogram().get_sample_sum()
    };
    assert_eq!(size("http_server_request_body_size_bytes"), 300.0);
    assert_eq!(size("http_server_response_body_size_bytes"), 300.0);
}

async fn echo(app: &App, body: &str) -> Answer {
    let post = app.client.post("/echo").body(JSON, body.to_owned());
    post.send().await
}

/// A valid note of so many bytes as JSON.
fn note_of(bytes: usize) -> String {
    let (before, after) = ("{\"text\":\"", "\"}");
    let text = "a".repeat(bytes - before.len() - after.len());
    format!("{before}{text}{after}")
}

async fn send_chunked(connection: &mut Raw, body: &str) {
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n",
        )
        .await;
    let mut message = Vec::new();
    for chunk in body.as_bytes().chunks(MIB / 8) {
        message.extend(format!("{:x}\r\n", chunk.len()).bytes());
        message.extend([chunk, b"\r\n"].concat());
    }
    message.extend(b"0\r\n\r\n");
    connection.send(message).await;
}

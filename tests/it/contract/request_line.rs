//! The one line that tells a request's outcome, and the ids on every line inside a request.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::server_timing::ServerTiming;
use super::tour::{Stop, small_bodies, spoil_the_hashes, tour};
use crate::support::{App, PASSWORD, eventually};

/// The fields of every request line, in the order in which people read them.
const ALWAYS: [&str; 18] = [
    "timestamp",
    "level",
    "message",
    "target",
    "service.name",
    "service.version",
    "deployment.environment.name",
    "request_id",
    "trace_id",
    "span_id",
    "trace_flags",
    "http.request.method",
    "url.path",
    "http.response.status_code",
    "duration_ms",
    "client.address",
    "db.queries",
    "db.duration_ms",
];

#[tokio::test]
async fn it_has_every_field_in_its_json_type() {
    let app = App::start().await;
    let person = app.person().await;
    let call = person.client.get("/users/me?page=1").header("user-agent", "kestrel/1.0 \"q\"");
    let answer = call.send().await;
    let line = app.witness.request_line(answer.header("x-request-id"));
    for (field, value) in [
        ("level", "INFO"),
        ("message", "request"),
        ("target", "chassis::http"),
        ("service.name", "belvedere"),
        ("service.version", "0.0.0-test"),
        ("deployment.environment.name", "development"),
        ("trace_flags", "01"),
        ("http.request.method", "GET"),
        ("http.route", "/users/me"),
        ("url.path", "/users/me"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "kestrel/1.0 \"q\""),
        ("user.id", person.id.as_str()),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["db.queries"], 1);
    assert!(line["duration_ms"].is_number() && line["db.duration_ms"].is_number());
    let timing = ServerTiming::of(&answer);
    assert_eq!(line["trace_id"], timing.trace_id);
    assert_eq!(line["span_id"], timing.span_id);
    let beside = ["http.route", "user_agent.original", "user.id"];
    assert_eq!(fields(&line), ALWAYS.into_iter().chain(beside).collect());
}

#[tokio::test]
async fn what_is_not_known_is_left_out() {
    let app = App::start().await;
    let answer = app.client.get("/nowhere?page=1").send().await;
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["url.path"], "/nowhere");
    assert_eq!(line["http.route"], "");
    assert_eq!(fields(&line), ALWAYS.into_iter().chain(["http.route"]).collect());
}

#[tokio::test]
async fn there_is_exactly_one_for_each_request_and_it_agrees_with_the_answer() {
    let app = App::with(small_bodies).await;
    let stops = tour(&app).await;
    for stop in &stops {
        // Witness::request_line has failed already where there is none or a second one.
        let line = app.witness.request_line(stop.answer.header("x-request-id"));
        assert_eq!(line["http.response.status_code"], stop.status());
        let level = if stop.status() < 500 { "INFO" } else { "ERROR" };
        assert_eq!(line["level"], level, "{}", stop.name());
        assert_eq!(line.get("error.type").is_some(), stop.status() >= 500, "{}", stop.name());
    }
    let heads: Vec<&Stop> =
        stops.iter().filter(|stop| stop.line["http.request.method"] == "HEAD").collect();
    assert_eq!(heads.len(), 1, "HEAD stays HEAD on its line");
}

#[tokio::test]
async fn every_line_inside_a_request_has_its_ids() {
    // Each statement is slow now, and tells so in the middle of its request.
    let app = App::with(|settings| settings.database.slow_query = std::time::Duration::ZERO).await;
    app.person().await;
    let answer = app.log_in("nobody@example.org", "wrong").await.expect(401);
    let lines = app.witness.lines_of(answer.header("x-request-id"));
    let messages: BTreeSet<&str> = lines.iter().filter_map(|l| l["message"].as_str()).collect();
    let told = ["request", "security event", "slow database statement"];
    assert_eq!(messages, BTreeSet::from(told));
    let timing = ServerTiming::of(&answer);
    for line in &lines {
        assert_eq!(line["trace_id"], timing.trace_id, "{line}");
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16, "{line}");
        assert_eq!(line["trace_flags"], timing.flags, "{line}");
    }
    let in_a_trace = |line: &&Value| line.get("trace_id").is_some();
    let lines = app.witness.lines();
    for line in lines.iter().filter(in_a_trace) {
        let background = line["db.collection.name"] != "users" && line["message"] != "request";
        assert!(line.get("request_id").is_some() || background, "{line}");
    }
}

#[tokio::test]
async fn a_fault_of_the_service_names_its_type_and_its_causes() {
    let app = App::start().await;
    let person = app.person().await;
    spoil_the_hashes(&app).await;
    let answer = app.log_in(&person.email, PASSWORD).await;
    let problem = answer.problem(500);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["error.type"], "500");
    let causes = line["error"].as_str().unwrap();
    let chain = "the password could not be processed: a stored password hash is malformed: ";
    assert!(causes.starts_with(chain), "{causes}");
    // The caller learns where to look for them, and nothing else.
    assert_eq!(problem["trace_id"], line["trace_id"]);
    assert!(!answer.text().contains("hash"), "{problem}");
}

#[tokio::test]
async fn a_refusal_to_protect_the_service_names_its_type() {
    let app = App::with(|settings| settings.server.max_in_flight = 0).await;
    let answer = app.client.get("/").send().await.expect(503);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["error.type"], "overload");
}

#[tokio::test]
async fn an_unknown_method_stays_off_the_line() {
    let app = App::start().await;
    let method = Method::from_bytes(b"FROBNICATE").unwrap();
    let answer = app.client.call(method, "/users").send().await.expect(405);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["http.request.method"], "_OTHER");
}

#[tokio::test]
async fn a_client_that_went_away_is_told_too() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(app.client.address()).await.unwrap();
    let head = "POST /users HTTP/1.1\r\nhost: a\r\nx-request-id: gone\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let active = async || {
        let labels = [("http_request_method", "POST")];
        app.witness.metric("http_server_active_requests", &labels) > 0.0
    };
    eventually("the request has begun", active).await;
    drop(stream);
    eventually("its line is there", async || !app.witness.lines_of("gone").is_empty()).await;
    let line = app.witness.request_line("gone");
    assert_eq!(line["http.route"], "/users");
    assert!(!active().await);
}

fn fields(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

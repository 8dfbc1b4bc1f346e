//! Spans, after OpenTelemetry's semantic conventions: their names, attributes, status and parents.

use std::collections::BTreeMap;

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use poem::http::Method;

use super::server_timing::ServerTiming;
use super::tour::{small_bodies, spoil_the_hashes, tour};
use crate::support::{App, PASSWORD};

/// Names of earlier conventions, which dashboards no longer know.
const OUTDATED: [&str; 8] = [
    "http.method",
    "http.status_code",
    "http.target",
    "http.url",
    "net.peer.name",
    "db.system",
    "db.statement",
    "db.name",
];

#[tokio::test]
async fn the_server_span_is_named_by_its_route_and_has_the_conventions_attributes() {
    let app = App::start().await;
    let person = app.person().await;
    let path = format!("/users/{}", person.id);
    let call = person.client.get(&format!("{path}?page=1"));
    let answer = call.header("user-agent", "kestrel/1.0").send().await;
    let spans = app.witness.spans_of(&ServerTiming::of(&answer).trace_id);
    let span = server(&spans);
    assert_eq!(span.name, "GET /users/{user_id}");
    assert_eq!(span.status, Status::Unset);
    let mut attributes = attributes(span);
    // The client's port is any.
    let port = attributes.remove("network.peer.port");
    assert!(matches!(port, Some(Value::I64(1..=65535))), "{port:?}");
    let expected: [(&str, Value); 12] = [
        ("request_id", answer.header("x-request-id").to_owned().into()),
        ("http.request.method", "GET".into()),
        ("http.route", "/users/{user_id}".into()),
        ("url.path", path.into()),
        ("url.scheme", "http".into()),
        ("http.response.status_code", 200.into()),
        ("client.address", "127.0.0.1".into()),
        ("network.peer.address", "127.0.0.1".into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "127.0.0.1".into()),
        ("server.port", i64::from(app.client.address().port()).into()),
        ("user_agent.original", "kestrel/1.0".into()),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(attributes, BTreeMap::from(expected));
}

#[tokio::test]
async fn the_span_lasts_as_long_as_the_line_says() {
    let app = App::start().await;
    let answer = app.client.get("/").send().await.expect(200);
    let spans = app.witness.spans_of(&ServerTiming::of(&answer).trace_id);
    let span = server(&spans);
    let lasted = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64() * 1e3;
    let line = app.witness.request_line(answer.header("x-request-id"));
    let told = line["duration_ms"].as_f64().unwrap();
    // Lines are rounded to microseconds.
    assert!((lasted - told).abs() < 0.001, "{lasted} {told}");
}

#[tokio::test]
async fn a_path_without_a_route_names_no_span() {
    let app = App::start().await;
    let frobnicate = Method::from_bytes(b"FROBNICATE").unwrap();
    for (method, path, name, original) in [
        (Method::GET, "/nowhere", "GET", None),
        (frobnicate.clone(), "/nowhere", "HTTP", Some("FROBNICATE")),
        (frobnicate, "/users", "HTTP /users", Some("FROBNICATE")),
        (Method::HEAD, "/", "HEAD /", None),
    ] {
        let answer = app.client.call(method, path).send().await;
        let spans = app.witness.spans_of(&ServerTiming::of(&answer).trace_id);
        let span = server(&spans);
        assert_eq!(span.name, name);
        let attributes = attributes(span);
        assert_eq!(attributes.contains_key("http.route"), path != "/nowhere");
        let sent = attributes.get("http.request.method_original");
        assert_eq!(sent.map(Value::as_str).as_deref(), original);
    }
}

#[tokio::test]
async fn only_faults_of_the_service_are_errors() {
    let app = App::with(small_bodies).await;
    for stop in tour(&app).await {
        let spans = app.witness.spans_of(&ServerTiming::of(&stop.answer).trace_id);
        let span = server(&spans);
        let fault = stop.status() >= 500;
        assert_eq!(matches!(span.status, Status::Error { .. }), fault, "{}", stop.name());
        assert_eq!(span.status == Status::Unset, !fault, "{}", stop.name());
        let attributes = attributes(span);
        assert_eq!(attributes.contains_key("error.type"), fault, "{}", stop.name());
        let status = i64::from(stop.status());
        assert_eq!(attributes["http.response.status_code"], status.into());
        for outdated in OUTDATED {
            assert!(spans.iter().all(|s| !self::attributes(s).contains_key(outdated)));
        }
    }
}

#[tokio::test]
async fn a_fault_has_the_same_type_on_the_span_as_on_the_line() {
    let app = App::start().await;
    let person = app.person().await;
    spoil_the_hashes(&app).await;
    let answer = app.log_in(&person.email, PASSWORD).await.expect(500);
    let line = app.witness.request_line(answer.header("x-request-id"));
    let spans = app.witness.spans_of(&ServerTiming::of(&answer).trace_id);
    let error_type = &attributes(server(&spans))["error.type"];
    assert_eq!(error_type.as_str(), line["error.type"].as_str().unwrap());
    let verify = spans.iter().find(|span| span.name == "password verify").unwrap();
    assert!(matches!(verify.status, Status::Error { .. }));
}

#[tokio::test]
async fn a_statement_is_a_client_span_with_placeholders_for_values() {
    let app = App::start().await;
    let answer = app.register("ada@example.org").await.expect(201);
    let spans = app.witness.spans_of(&ServerTiming::of(&answer).trace_id);
    let insert = spans.iter().find(|span| span.name == "INSERT users").unwrap();
    assert_eq!(insert.span_kind, SpanKind::Client);
    assert_eq!(insert.status, Status::Unset);
    let attributes = attributes(insert);
    assert_eq!(attributes["db.operation.name"].as_str(), "INSERT");
    assert_eq!(attributes["db.collection.name"].as_str(), "users");
    let text = attributes["db.query.text"].as_str();
    assert!(text.starts_with("INSERT INTO ") && !text.contains("ada"), "{text}");
    let system = attributes["db.system.name"].as_str();
    let placeholder = match app.database.url().split_once(':').unwrap().0 {
        "postgres" => {
            assert_eq!(system, "postgresql");
            "($1, $2, "
        }
        "mysql" => {
            assert!(["mysql", "mariadb"].contains(&&*system), "{system}");
            "(?, ?, "
        }
        scheme => {
            assert_eq!(system, scheme);
            "(?, ?, "
        }
    };
    assert!(text.contains(placeholder), "{text}");
}

#[tokio::test]
async fn statements_and_hashing_are_children_of_the_request() {
    let app = App::start().await;
    let person = app.person().await;
    let registered = app.register("ada@example.org").await.expect(201);
    let login = app.log_in(&person.email, PASSWORD).await.expect(200);
    for (answer, name, children) in [
        (registered, "POST /users", &["INSERT users", "password hash"][..]),
        (
            login,
            "POST /auth/login",
            &[
                "BEGIN",
                "COMMIT",
                "INSERT login_failures",
                "INSERT refresh_tokens",
                "INSERT sessions",
                "SELECT login_failures",
                "SELECT sessions",
                "SELECT users",
                "UPDATE login_failures",
                "password verify",
            ],
        ),
    ] {
        let timing = ServerTiming::of(&answer);
        let spans = app.witness.spans_of(&timing.trace_id);
        let server = server(&spans);
        assert_eq!(server.name, name);
        assert_eq!(server.span_context.span_id().to_string(), timing.span_id);
        assert_eq!(server.parent_span_id, SpanId::INVALID);
        let mut below: Vec<&str> = spans
            .iter()
            .filter(|span| span.parent_span_id == server.span_context.span_id())
            .map(|span| span.name.as_ref())
            .collect();
        below.sort_unstable();
        assert_eq!(below, children);
        assert_eq!(spans.len(), 1 + children.len(), "and nothing else: {spans:?}");
        let hashing = spans.iter().find(|span| span.name.starts_with("password ")).unwrap();
        assert_eq!(hashing.span_kind, SpanKind::Internal);
    }
}

#[track_caller]
fn server(spans: &[SpanData]) -> &SpanData {
    let of_server = |span: &&SpanData| span.span_kind == SpanKind::Server;
    let found: Vec<&SpanData> = spans.iter().filter(of_server).collect();
    assert_eq!(found.len(), 1, "{spans:?}");
    found[0]
}

fn attributes(span: &SpanData) -> BTreeMap<String, Value> {
    let pairs = span.attributes.iter();
    let pairs = pairs.map(|pair| (pair.key.to_string(), pair.value.clone()));
    pairs.collect()
}

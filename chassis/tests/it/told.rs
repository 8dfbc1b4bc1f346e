//! What spans and lines say of a request beside its ids: never an address or a token that callers put
//! where it does not belong; the host and the methods that operators know.

use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;
use poem::http::Method;

use crate::support::App;

const WEB_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
const OPAQUE: &str = "bvr_q7Zt0hX-3kPm_W9sLd2RvYc8BnJ4fGaUe6TiOoKxEyA";
const METHODS: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.clone())
}

#[tokio::test]
async fn neither_the_line_nor_the_span_repeats_a_token_in_the_path() {
    let app = App::start().await;
    for (path, told) in [
        (format!("/x/{OPAQUE}"), "/x/[redacted]"),
        (format!("/echo/{OPAQUE}"), "/echo/[redacted]"),
        (format!("/x/Bearer%20{WEB_TOKEN}"), "/x/[redacted]"),
        (format!("/reset-{}", WEB_TOKEN.replace('.', "%2E")), "/[redacted]"),
        ("/echo/ada%2540example.org".to_owned(), "/echo/[redacted]"),
    ] {
        let answer = app.client.get(&path).send().await;
        let line = app.witness.request_line(answer.header("x-request-id"));
        assert_eq!(line["url.path"], told);
        let spans = app.witness.spans_of(line["trace_id"].as_str().unwrap());
        assert_eq!(attribute(&spans[0], "url.path"), Some(told.into()));
    }
    app.witness.assert_silent_about(&[OPAQUE, "eyJ", "example.org"]);
}

#[tokio::test]
async fn neither_the_line_nor_the_span_repeats_an_address_in_the_user_agent() {
    let app = App::start().await;
    let get = app.client.get("/plain").header("user-agent", "bot (+mailto:ada@example.org)");
    let answer = get.send().await.expect(200);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["user_agent.original"], "bot (+mailto:[redacted])");
    app.witness.assert_silent_about(&["example.org"]);
}

#[tokio::test]
async fn a_method_is_known_where_operators_say_so_and_in_no_other_service() {
    let app = App::with(|settings| settings.variables = &[(METHODS, "GET, PURGE,patch")]).await;
    let default = App::start().await;
    for (app, method, told) in [
        (&app, "PURGE", "PURGE"),
        (&app, "GET", "GET"),
        (&app, "PATCH", "_OTHER"),
        (&app, "POST", "_OTHER"),
        (&default, "PURGE", "_OTHER"),
        (&default, "PATCH", "PATCH"),
    ] {
        let answer = app.client.call(Method::from_bytes(method.as_bytes()).unwrap(), "/plain");
        let answer = answer.send().await;
        let line = app.witness.request_line(answer.header("x-request-id"));
        assert_eq!(line["http.request.method"], told);
        let span = &app.witness.spans_of(line["trace_id"].as_str().unwrap())[0];
        assert_eq!(attribute(span, "http.request.method"), Some(told.to_owned().into()));
        let original = (told == "_OTHER").then(|| method.to_owned().into());
        assert_eq!(attribute(span, "http.request.method_original"), original);
        let name = if told == "_OTHER" { "HTTP" } else { told };
        assert_eq!(span.name, format!("{name} /plain"));
        let labels = [("http_request_method", told)];
        assert!(app.witness.metric("http_server_request_duration_seconds", &labels) > 0.0);
        assert_eq!(app.witness.metric("http_server_active_requests", &labels), 0.0);
    }
}

#[tokio::test]
async fn the_span_names_the_host_that_a_trusted_proxy_was_asked_for() {
    let trusting = |settings: &mut crate::support::Settings| {
        settings.stack.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    };
    let (trusting, strict) = (App::with(trusting).await, App::start().await);
    for (app, host) in [(&trusting, "::1"), (&strict, "127.0.0.1")] {
        let get = app.client.get("/plain").header("forwarded", "for=192.0.2.1;host=\"[::1]:81\"");
        let _ = get.send().await.expect(200);
        let span = &app.witness.spans()[0];
        assert_eq!(attribute(span, "server.address"), Some(host.into()));
        let is_forwarded = attribute(span, "server.port") == Some(81.into());
        assert_eq!(is_forwarded, host == "::1");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_parsed_has_its_peer_on_the_span() {
    let app = App::start().await;
    let mut connection = app.raw().await;
    let peer = connection.stream().local_addr().unwrap();
    connection.send("no HTTP at all\r\n\r\n").await;
    assert!(connection.rest().await.starts_with(b"HTTP/1.1 400"));
    let span = &app.witness.spans()[0];
    assert_eq!(attribute(span, "network.peer.address"), Some("127.0.0.1".into()));
    assert_eq!(attribute(span, "network.peer.port"), Some(i64::from(peer.port()).into()));
}

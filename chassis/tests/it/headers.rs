//! The headers that every answer carries, whoever gave it: handlers, layers, hyper, or the operator's
//! endpoints; over plain HTTP and over TLS. What they say is pinned by the service's tests.

use std::time::Duration;

use chassis::http::quota::Rate;
use chassis::testing::Answer;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::support::raw::Raw;
use crate::support::tls::Authority;
use crate::support::{App, Settings};

const EVERYWHERE: [&str; 9] = [
    "cache-control",
    "content-security-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
];
const ORIGIN: &str = "https://app.example.org";

/// A head and what it is answered.
const ASKED: [(&str, u16); 18] = [
    ("GET /plain HTTP/1.1\r\nhost: site", 200),
    ("GET /plain HTTP/1.0", 200),
    ("OPTIONS /plain HTTP/1.1\r\nhost: site", 204),
    ("GET /problems/not-found HTTP/1.1\r\nhost: site", 200),
    ("GET /problems/not-found HTTP/1.1\r\nhost: site\r\nif-none-match: *", 304),
    ("GET /nowhere HTTP/1.1\r\nhost: site", 404),
    ("GET /echo/%FF HTTP/1.1\r\nhost: site", 400),
    ("BREW /plain HTTP/1.1\r\nhost: site", 405),
    ("GET /plain HTTP/1.1\r\nhost: site\r\naccept: image/png", 406),
    ("GET /bare HTTP/1.1\r\nhost: site", 409),
    ("GET /fail HTTP/1.1\r\nhost: site", 500),
    ("GET /panic HTTP/1.1\r\nhost: site", 500),
    ("GET /livez HTTP/1.1\r\nhost: site", 200),
    ("DELETE /metrics HTTP/1.1\r\nhost: site", 405),
    ("PUT /log-level HTTP/1.1\r\nhost: site\r\ncontent-length: 0", 415),
    ("GET /plain HTTP/1.1\r\nbro ken", 400),
    ("GET /plain HTTP/9.9\r\nhost: site", 400),
    ("POST /echo HTTP/1.1\r\nhost: site\r\ncontent-length: -1", 400),
];

fn allowing(settings: &mut Settings) {
    settings.stack.server.cors_allowed_origins = vec![ORIGIN.to_owned()];
}

fn impatient(settings: &mut Settings) {
    settings.stack.server.request_timeout = Duration::from_millis(100);
}

fn full(settings: &mut Settings) {
    settings.stack.server.max_in_flight = 0;
}

fn stingy(settings: &mut Settings) {
    settings.stack.rate_limit.default = Rate::per_minute(1);
}

fn narrow(settings: &mut Settings) {
    settings.stack.server.body_limit = "1B".parse().unwrap();
}

#[tokio::test]
async fn every_answer_has_them_once() {
    let authority = Authority::new();
    let (plain, secure) = (App::with(allowing).await, authority.start_with(allowing).await);
    let long = format!("GET /{} HTTP/1.1\r\nhost: site", "x".repeat(70_000));
    let large = format!("GET / HTTP/1.1\r\nhost: site\r\nx-large: {}", "x".repeat(600_000));
    let preflight = format!(
        "OPTIONS /plain HTTP/1.1\r\nhost: site\r\norigin: {ORIGIN}\r\naccess-control-request-method: GET"
    );
    let more = [(&*long, 414), (&*large, 431), (&*preflight, 204)];
    for (head, status) in ASKED.into_iter().chain(more) {
        let shown = &head[..head.len().min(60)];
        assert_common(shown, &ask(plain.raw().await, head, status).await, false);
        assert_common(shown, &ask(authority.raw(&secure).await, head, status).await, true);
    }
}

#[tokio::test]
async fn refusals_of_the_layers_have_them_too() {
    let authority = Authority::new();
    let post =
        "POST /echo HTTP/1.1\r\nhost: site\r\ncontent-type: application/json\r\ncontent-length: 9";
    for (change, head, times, status) in [
        (impatient as fn(&mut Settings), "GET /slow HTTP/1.1\r\nhost: site", 1, 503),
        (full, "GET /plain HTTP/1.1\r\nhost: site", 1, 503),
        (stingy, "GET /plain HTTP/1.1\r\nhost: site", 2, 429),
        (narrow, post, 1, 413),
    ] {
        let (plain, secure) = (App::with(change).await, authority.start_with(change).await);
        for _ in 1..times {
            let _ = ask(plain.raw().await, head, 200).await;
            let _ = ask(authority.raw(&secure).await, head, 200).await;
        }
        assert_common(head, &ask(plain.raw().await, head, status).await, false);
        assert_common(head, &ask(authority.raw(&secure).await, head, status).await, true);
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Raw<S>,
    head: &str,
    status: u16,
) -> Answer {
    connection.send(format!("{head}\r\n\r\n")).await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, status, "{}: {}", &head[..head.len().min(60)], answer.text());
    answer
}

#[track_caller]
fn assert_common(what: &str, answer: &Answer, secure: bool) {
    let count = |name: &str| answer.headers.get_all(name).iter().count();
    for name in EVERYWHERE.into_iter().chain(["x-request-id", "date"]) {
        assert_eq!(count(name), 1, "{what}: {name}");
    }
    assert_eq!(count("strict-transport-security"), usize::from(secure), "{what}");
    for name in ["server", "x-powered-by", "location"] {
        assert_eq!(count(name), 0, "{what}: {name}");
    }
}

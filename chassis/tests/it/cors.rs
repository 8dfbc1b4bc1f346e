//! What pages of other origins may do.

use std::time::Duration;

use chassis::testing::{Answer, Call};
use poem::http::Method;
use serde_json::json;

use crate::support::App;

const HOME: &str = "https://app.example.com";
const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_answers() {
    let app = open_to_home().await;
    let answer = from(HOME, app.client.get("/echo/a")).await.expect(200);
    assert_readable(&answer);
    let exposed = answer.header("access-control-expose-headers");
    for name in ["etag", "location", "retry-after", "x-request-id"] {
        assert!(exposed.split(", ").any(|header| header == name), "{name}");
    }
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_errors_too() {
    let app = App::with(|settings| {
        settings.stack.server.cors_allowed_origins = vec![HOME.to_owned()];
        settings.stack.server.request_timeout = Duration::from_millis(100);
        settings.stack.rate_limit.auth = "1/1h".parse().unwrap();
    })
    .await;
    let client = &app.client;
    let _ = client.post("/login").send().await.expect(200);
    for (call, status) in [
        (client.get("/nowhere"), 404),
        (client.post("/echo/a"), 405),
        (client.get("/plain").header("accept", "image/png"), 406),
        (client.post("/echo").json(&json!("a".repeat(2_000_000))), 413),
        (client.post("/echo"), 415),
        (client.post("/login"), 429),
        (client.get("/panic"), 500),
        (client.get("/slow"), 503),
    ] {
        let answer = from(HOME, call).await;
        answer.problem(status);
        assert_readable(&answer);
    }
}

#[tokio::test]
async fn a_page_of_any_other_origin_may_not_read_answers() {
    let app = open_to_home().await;
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "null",
        "*",
        "",
    ] {
        let answer = from(origin, app.client.get("/echo/a")).await.expect(200);
        assert_eq!(answer.header(ALLOWED), "", "{origin}");
        assert_eq!(answer.header("vary"), "origin");
        let answer = preflight(&app, origin, "/echo/a").await.expect(204);
        assert_eq!(answer.header(ALLOWED), "", "{origin}");
        assert_eq!(answer.header("access-control-allow-methods"), "");
    }
    let without = app.client.get("/echo/a").send().await;
    assert_eq!(without.header("vary"), "origin");
}

#[tokio::test]
async fn a_preflight_tells_methods_and_headers() {
    let app = open_to_home().await;
    let answer = preflight(&app, HOME, "/echo").await.expect(204);
    assert_readable(&answer);
    assert_eq!(answer.header("access-control-allow-methods"), "OPTIONS, PATCH, POST");
    let headers = answer.header("access-control-allow-headers");
    for name in ["authorization", "content-type", "if-match", "traceparent"] {
        assert!(headers.split(", ").any(|header| header == name), "{name}");
    }
    assert_eq!(answer.header("access-control-max-age"), "600");
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn preflights_cost_no_budget() {
    let app = App::with(|settings| {
        settings.stack.server.cors_allowed_origins = vec![HOME.to_owned()];
        settings.stack.rate_limit.default = "1/1h".parse().unwrap();
    })
    .await;
    for _ in 0..5 {
        let _ = preflight(&app, HOME, "/echo").await.expect(204);
    }
    let _ = from(HOME, app.client.get("/echo/a")).await.expect(200);
    let refused = from(HOME, app.client.get("/echo/a")).await;
    refused.problem(429);
    assert_readable(&refused);
    let exposed = refused.header("access-control-expose-headers");
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(exposed.split(", ").any(|header| header == name), "{name}");
        assert_ne!(refused.header(name), "", "{name}");
    }
    let _ = preflight(&app, HOME, "/echo").await.expect(204);
}

#[tokio::test]
async fn without_allowed_origins_nothing_is_said_about_them() {
    let app = App::start().await;
    let answer = from(HOME, app.client.get("/echo/a")).await.expect(200);
    for name in [ALLOWED, "access-control-expose-headers", "vary"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    let answer = preflight(&app, HOME, "/echo").await.expect(204);
    assert_eq!(answer.header(ALLOWED), "");
    assert_eq!(answer.header("allow"), "OPTIONS, PATCH, POST");
}

async fn open_to_home() -> App {
    App::with(|settings| settings.stack.server.cors_allowed_origins = vec![HOME.to_owned()]).await
}

async fn from(origin: &str, call: Call) -> Answer {
    call.header("origin", origin).send().await
}

async fn preflight(app: &App, origin: &str, path: &str) -> Answer {
    let call = app.client.call(Method::OPTIONS, path);
    let call = call.header("access-control-request-method", "POST");
    let call = call.header("access-control-request-headers", "content-type");
    from(origin, call).await
}

#[track_caller]
fn assert_readable(answer: &Answer) {
    assert_eq!(answer.header(ALLOWED), HOME);
    assert_eq!(answer.header("vary"), "origin");
}

//! The operator's endpoints: probes, health, metrics. The log level is in `log_level`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use poem::http::Method;
use serde_json::Value;

use crate::support::App;

#[tokio::test]
async fn what_cannot_be_parsed_on_their_own_listener_goes_untold() {
    let loopback = "127.0.0.1:0".parse().unwrap();
    let app = App::with(|settings| settings.ops.addr = Some(loopback)).await;
    let answer = app.ops_client.say(b"GARBAGE\r\n\r\n").await;
    assert_eq!(answer.problem(400)["trace_id"], Value::Null);
    assert!(app.witness.lines().is_empty() && app.witness.spans().is_empty());
    assert_eq!(app.witness.metric("http_server_request_duration_seconds", &[]), 0.0);
}

#[tokio::test]
async fn probes_follow_the_life_of_the_service() {
    let app = App::start().await;
    let database = app.health.register("database");
    assert_probes(&app, [200, 503, 503]).await;
    database.ready();
    assert_probes(&app, [200, 503, 503]).await;
    app.health.started();
    assert_probes(&app, [200, 200, 200]).await;
    database.not_ready("it went away");
    assert_probes(&app, [200, 503, 200]).await;
    database.ready();
    assert_probes(&app, [200, 200, 200]).await;
    app.health.start_draining();
    assert_probes(&app, [200, 503, 200]).await;
}

#[tokio::test]
async fn health_tells_the_state_of_each_check() {
    let app = App::start().await;
    let database = app.health.register("database");
    app.health.register("schema").ready();
    app.health.started();
    database.not_ready("no answer in time");

    let health = app.client.get("/health").send().await.expect(503).json();
    assert_eq!(health["status"], "not_ready");
    assert_eq!(health["version"], "1.2.3");
    assert!(health["uptime_seconds"].is_u64());
    let checks = &health["checks"];
    assert_eq!(checks["database"]["ready"], false);
    assert_eq!(checks["database"]["reason"], "no answer in time");
    assert!(checks["database"]["age_seconds"].as_f64().unwrap() < 20.0);
    assert_eq!(checks["schema"]["ready"], true);
    assert_eq!(checks["schema"].get("reason"), None);
    assert_eq!(app.witness.metric("readiness", &[("check", "schema")]), 1.0);
    assert_eq!(app.witness.metric("readiness", &[("check", "database")]), 0.0);

    database.ready();
    let answer = app.client.get("/health").send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.json()["status"], "ready");
}

#[tokio::test]
async fn the_operators_requests_are_no_api_traffic() {
    let app = App::with(|settings| {
        settings.stack.rate_limit.default = "1/1h".parse().unwrap();
        settings.stack.server.max_in_flight = 1;
    })
    .await;
    for path in ["/livez", "/readyz", "/startupz", "/health", "/metrics", "/metrics/"] {
        let answer = app.client.get(path).header("x-request-id", "scrape").send().await;
        assert_ne!(answer.status, 404, "{path}");
        assert_eq!(answer.header("x-request-id"), "scrape");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("ratelimit"), "");
    }
    assert!(app.witness.lines_of("scrape").is_empty());
    assert!(app.witness.spans().is_empty());
    let requests = app.witness.metric("http_server_request_duration_seconds", &[]);
    assert_eq!(requests, 0.0);
    let decisions = app.witness.metric("rate_limit_decisions_total", &[]);
    assert_eq!(decisions, 0.0);
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let app = App::start().await;
    let _ = app.client.get("/plain").send().await.expect(200);
    let answer = app.client.get("/metrics").send().await.expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    let text = answer.text();
    assert!(text.contains("http_server_request_duration_seconds_count{"));
    assert!(text.contains("http_route=\"/plain\""), "{text}");
}

#[tokio::test]
async fn the_operators_paths_know_their_methods() {
    let app = App::start().await;
    let answer = app.client.post("/metrics").send().await;
    answer.problem(405);
    assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    let answer = app.client.call(Method::OPTIONS, "/log-level").send().await;
    assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS, PUT");
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn a_listener_of_their_own_keeps_them_off_the_public_one() {
    let app = App::with(|settings| {
        settings.ops.addr = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    })
    .await;
    assert_ne!(app.client.address(), app.ops_client.address());
    for path in ["/metrics", "/livez", "/readyz", "/startupz", "/health", "/log-level"] {
        app.client.get(path).send().await.problem(404);
        let answer = app.ops_client.get(path).send().await;
        assert_ne!(answer.status, 404, "{path}");
    }
    app.ops_client.get("/plain").send().await.problem(404);
    let metrics = app.ops_client.get("/metrics").send().await.expect(200);
    assert!(metrics.text().contains("http_response_status_code=\"404\""));
}

#[tokio::test]
async fn probes_are_answered_while_requests_hang() {
    let app = App::with(|settings| {
        settings.stack.server.request_timeout = Duration::from_hours(1);
    })
    .await;
    let mut hanging = app.raw().await;
    hanging.get("/slow", "hanging").await;
    app.gate.arrival().await;
    let _ = app.client.get("/livez").send().await.expect(200);
    let metrics = app.client.get("/metrics").send().await.expect(200);
    let active = "http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"} 1";
    assert!(metrics.text().contains(active));
}

/// The answers of `/livez`, `/readyz` and `/startupz`.
async fn assert_probes(app: &App, expected: [u16; 3]) {
    let mut statuses = [0; 3];
    for (status, path) in statuses.iter_mut().zip(["/livez", "/readyz", "/startupz"]) {
        *status = app.ops_client.get(path).send().await.status.as_u16();
    }
    assert_eq!(statuses, expected);
}

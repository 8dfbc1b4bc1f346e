//! Nobody outside can make series: what strangers send never becomes a label.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanKind;
use poem::http::Method;

use super::exposition::Exposition;
use crate::support::{App, eventually};

/// Every path of the operator, and one that is the same but for its slash.
const OPERATORS: [&str; 7] =
    ["/metrics", "/livez", "/readyz", "/startupz", "/health", "/log-level", "/livez/"];

#[tokio::test]
async fn made_up_paths_methods_and_hosts_add_none() {
    let app = App::start().await;
    // The background checks have made their own series by then.
    eventually("ready", async || app.service.health().is_ready()).await;
    make_up(&app, 0).await;
    let before = Exposition::scrape(&app).await;
    for number in 1..=100 {
        make_up(&app, number).await;
    }
    let after = Exposition::scrape(&app).await;
    let new: BTreeSet<&str> = after.series().difference(&before.series()).copied().collect();
    assert_eq!(new, BTreeSet::new());
    for (method, status) in [("GET", "404"), ("_OTHER", "404"), ("GET", "401")] {
        let route = if status == "401" { "/users" } else { "" };
        let series = format!(
            "http_server_request_duration_seconds_count{{error_type=\"\",http_request_method=\"{method}\",http_response_status_code=\"{status}\",http_route=\"{route}\",url_scheme=\"http\"}}"
        );
        let added = after.value(&series) - before.value(&series);
        assert!((added - 100.0).abs() < 1e-9, "{series} {added}");
    }
}

#[tokio::test]
async fn the_ids_of_users_are_no_routes() {
    let app = App::start().await;
    for _ in 0..3 {
        let person = app.person().await;
        let path = format!("/users/{}/", person.id);
        let _ = person.client.get(&path).send().await.expect(200);
        let exposition = Exposition::scrape(&app).await;
        assert!(exposition.series().iter().all(|series| !series.contains(&person.id)));
    }
    let labels = [("http_route", "/users/{user_id}")];
    let count = app.witness.metric("http_server_request_duration_seconds", &labels);
    assert!((count - 3.0).abs() < 1e-9, "{count}");
}

#[tokio::test]
async fn the_operators_requests_are_no_traffic() {
    let app = App::start().await;
    let _ = app.client.get("/").send().await.expect(200);
    for path in OPERATORS {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE] {
            let call = app.client.call(method, path).header("x-request-id", "probe");
            call.send().await;
        }
    }
    let durations = app.witness.metric("http_server_request_duration_seconds", &[]);
    assert!((durations - 1.0).abs() < 1e-9, "{durations}");
    let exposition = Exposition::scrape(&app).await;
    for path in OPERATORS {
        let label = format!("\"{path}\"");
        assert!(exposition.series().iter().all(|series| !series.contains(&label)), "{path}");
    }
    let spans = app.witness.spans();
    let servers: Vec<_> = spans.iter().filter(|s| s.span_kind == SpanKind::Server).collect();
    assert_eq!(servers.len(), 1, "only the one that is traffic: {servers:?}");
    let lines = app.witness.lines();
    let requests = lines.iter().filter(|line| line["message"] == "request");
    assert_eq!(requests.count(), 1);
    assert!(app.witness.lines_of("probe").is_empty());
}

/// A path, a method and a host that nobody has seen before.
async fn make_up(app: &App, number: u32) {
    let path = format!("/made/up/{number}?and={number}");
    let _ = app.client.get(&path).send().await.expect(404);
    let method = Method::from_bytes(format!("MADE{number}").as_bytes()).unwrap();
    let _ = app.client.call(method, "/made-up").send().await.expect(404);
    let elsewhere = format!("http://made-up-{number}.example:{}/users", 1000 + number);
    let call = app.client.get(&elsewhere).header("user-agent", &path);
    let _ = call.header("x-forwarded-for", &format!("192.0.2.{number}")).send().await.expect(401);
}

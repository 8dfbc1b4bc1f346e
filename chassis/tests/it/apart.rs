//! Two services in one process: nothing of one shows in the other.

use serde_json::json;

use crate::support::App;

#[tokio::test]
async fn lines_spans_and_metrics_stay_with_their_service() {
    let (one, other) = (named("one").await, named("other").await);
    let hello = one.client.get("/echo/hello").header("x-request-id", "r-1");
    let bye = other.client.get("/plain").header("x-request-id", "r-2");
    let (hello, bye) = tokio::join!(hello.send(), bye.send());
    let _ = (hello.expect(200), bye.expect(200));
    other.client.get("/panic").send().await.problem(500);

    for (app, name, requests) in [(&one, "one", 1.0), (&other, "other", 2.0)] {
        let lines = app.witness.lines();
        assert!(lines.iter().all(|line| line["service.name"] == name));
        let told = app.witness.metric("http_server_request_duration_seconds", &[]);
        assert_eq!(told, requests, "{name}");
    }
    assert!(one.witness.lines_of("r-2").is_empty());
    assert!(other.witness.lines_of("r-1").is_empty());
    let names = |app: &App| -> Vec<_> {
        let spans = app.witness.spans();
        spans.iter().map(|span| span.name.to_string()).collect()
    };
    assert_eq!(names(&one), ["GET /echo/{text}"]);
    assert_eq!(names(&other), ["GET /plain", "GET /panic"]);
}

#[tokio::test]
async fn each_line_that_a_service_writes_is_counted_there() {
    let (one, other) = (named("one").await, named("other").await);
    one.client.get("/fail").send().await.problem(500);
    let errors = |app: &App| app.witness.metric("log_events_total", &[("level", "error")]);
    assert_eq!(errors(&one), 1.0);
    assert_eq!(errors(&other), 0.0);
}

#[tokio::test]
async fn http2_streams_stay_with_their_service() {
    let (one, other) = (named("one").await, named("other").await);
    for (app, id) in [(&one, "r-1"), (&other, "r-2")] {
        let mut connection = app.http2().await;
        let request = connection.request(crate::support::GET, "/plain");
        let request = request.header("x-request-id", id);
        let _ = connection.send(request, "").await.expect(200);
        app.witness.request_line(id);
    }
    assert!(one.witness.lines_of("r-2").is_empty());
    assert!(other.witness.lines_of("r-1").is_empty());
}

#[tokio::test]
async fn a_log_level_is_one_services() {
    let (one, other) = (named("one").await, named("other").await);
    let put = one.client.put("/log-level").json(&json!({ "filter": "off" }));
    let _ = put.send().await.expect(200);
    for app in [&one, &other] {
        let get = app.client.get("/plain").header("x-request-id", "r");
        let _ = get.send().await.expect(200);
    }
    assert!(one.witness.lines_of("r").is_empty());
    other.witness.request_line("r");
}

#[tokio::test]
async fn budgets_and_health_are_one_services() {
    let strict = |name| {
        App::with(move |settings| {
            settings.name = name;
            settings.stack.rate_limit.default = "1/1h".parse().unwrap();
        })
    };
    let (one, other) = (strict("one").await, strict("other").await);
    one.health.started();
    let _ = one.client.get("/plain").send().await.expect(200);
    one.client.get("/plain").send().await.problem(429);
    let _ = other.client.get("/plain").send().await.expect(200);
    let _ = one.client.get("/readyz").send().await.expect(200);
    let _ = other.client.get("/readyz").send().await.expect(503);
}

async fn named(name: &'static str) -> App {
    App::with(|settings| settings.name = name).await
}

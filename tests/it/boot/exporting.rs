//! Spans and log records on their way out of the binary, to collectors good and bad.

use std::time::Duration;

use chassis::testing::{Answer, Client, Collector};
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::nobody::{Hanging, Refusing};
use crate::support::process::Binary;

/// Whoever takes longer hangs.
const DEADLINE: Duration = Duration::from_mins(1);
const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

#[tokio::test]
async fn the_last_request_before_the_end_is_delivered() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await;
        let binary = Binary::with_database()
            .await
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let mut process = binary.serve();
        let line = process.line("ready").await;
        for signal in ["traces", "logs"] {
            let endpoint = line[signal].as_str().unwrap();
            assert!(endpoint.starts_with(&collector.url()), "{line}");
        }
        let client = Client::new(line["address"].as_str().unwrap().parse().unwrap());
        let trace_id = trace_id(&client.get("/").send().await.expect(200));
        process.stop().await.expect(0);
        let paths = match protocol {
            "grpc" => ["TraceService/Export", "LogsService/Export"],
            _ => ["/v1/traces", "/v1/logs"],
        };
        for path in paths {
            assert!(collector.knows(path, &trace_id), "{path} {trace_id}");
        }
    }
}

#[tokio::test]
async fn neither_requests_nor_the_end_wait_for_a_collector_that_hangs() {
    let collector = Hanging::new();
    serve_and_stop(&format!("http://{}", collector.address())).await;
}

#[tokio::test]
async fn neither_requests_nor_the_end_wait_for_a_collector_that_refuses() {
    let collector = Refusing::new();
    serve_and_stop(&format!("http://{}", collector.address())).await;
}

/// An hour for an attempt: whoever waited for the exporter would be taken for hanging. Spans are exported
/// at once, so that the exporter is stuck while requests come.
async fn serve_and_stop(collector: &str) {
    for protocol in PROTOCOLS {
        let binary = Binary::with_database()
            .await
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
            .variable("OTEL_BSP_SCHEDULE_DELAY", "1")
            .variable("OTEL_BLRP_SCHEDULE_DELAY", "1");
        let mut process = binary.serve();
        let client = Client::new(process.ready().await);
        let requests = async {
            for _ in 0..50 {
                let _ = client.get("/").send().await.expect(200);
            }
        };
        timeout(DEADLINE, requests).await.unwrap_or_else(|_| panic!("{protocol}: requests hang"));
        let lines = process.stop().await.expect(0).lines();
        for what in ["spans", "log records"] {
            let message = format!("the last {what} were not delivered");
            let told = lines.iter().find(|line| line["message"] == message.as_str());
            assert!(told.unwrap()["lost"].as_u64().unwrap() > 0, "{told:?}");
        }
    }
}

#[tokio::test]
async fn health_tells_of_a_failing_collector_and_stays_well() {
    let collector = Refusing::new();
    let endpoint = format!("http://me:s3cret@{}", collector.address());
    let binary = Binary::with_database()
        .await
        .variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{endpoint}/v1/traces?key=s3cret"))
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "1");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let _ = client.get("/").send().await.expect(200);
    eventually("a failure", async || {
        let health = client.get("/health").send().await.json();
        health["telemetry"]["traces"]["state"] == "failing"
    })
    .await;
    // The first checks may take a moment longer.
    eventually("ready", async || client.get("/readyz").send().await.status == 200).await;
    let answer = client.get("/health").send().await.expect(200);
    let telemetry = &answer.json()["telemetry"];
    assert_eq!(telemetry["logs"]["state"], "disabled");
    let traces = &telemetry["traces"];
    let address = collector.address().to_string();
    assert!(!answer.text().contains(&address), "strangers may read it: {traces}");
    assert_eq!((&traces["exported"], &traces["dropped"]), (&0.into(), &0.into()));
    assert!(traces["failed"].as_u64().unwrap() > 0, "{traces}");
    assert!(traces["last_success"].is_null());
    assert_eq!(traces["error"], "unreachable");
    process.stop().await.expect(0).is_silent_about(&["s3cret"]);
}

#[tokio::test]
async fn an_idle_service_without_its_collector_tells_that_once_and_nothing_of_how_it_tried() {
    let collector = Refusing::new();
    for protocol in PROTOCOLS {
        let binary = Binary::with_database()
            .await
            .variable("RUST_LOG", "trace")
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address()))
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "50")
            .variable("OTEL_BLRP_SCHEDULE_DELAY", "1")
            .variable("OTEL_TRACES_EXPORTER", "none");
        let mut process = binary.serve();
        let client = Client::new(process.ready().await);
        eventually("attempts", async || {
            let health = client.get("/health").send().await.json();
            health["telemetry"]["logs"]["state"] == "failing"
        })
        .await;
        let lines = process.stop().await.expect(0).lines();
        let told = lines.iter().filter(|line| line["message"] == "log records cannot be exported");
        assert_eq!(told.count(), 1, "{protocol}");
        for line in lines {
            let target = line["target"].as_str().unwrap();
            let inner = ["hyper_util::client", "h2", "rustls", "opentelemetry", "tonic"];
            assert!(!inner.iter().any(|of| target.starts_with(of)), "{protocol}: {line}");
        }
    }
}

#[tokio::test]
async fn a_console_is_for_both_signals_and_leaves_stdout_to_lines() {
    let binary = Binary::with_database()
        .await
        .variable("OTEL_TRACES_EXPORTER", "console")
        .variable("OTEL_LOGS_EXPORTER", "console");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let trace_id = trace_id(&client.get("/").send().await.expect(200));
    let end = process.stop().await.expect(0);
    let told = |kind: &str| {
        let lines = end.stderr.lines().filter(|line| line.contains(&trace_id));
        lines.filter(|line| line.contains(kind)).count()
    };
    assert_eq!(told("\"kind\":\"Server\""), 1, "{}", end.stderr);
    assert_eq!(told("\"message\":\"request\""), 1, "{}", end.stderr);
    assert!(end.lines().iter().all(|line| line.get("kind").is_none()));
}

/// The trace of an answer: `traceparent;desc="00-<trace id>-<span id>-<flags>"`.
fn trace_id(answer: &Answer) -> String {
    let (_, rest) = answer.header("server-timing").split_once("desc=\"00-").unwrap();
    rest[..32].to_owned()
}

//! Traces on their way out, to collectors good and bad.

use std::time::{Duration, Instant};

use chassis::testing::{Answer, Client};

use crate::support::collector::{Collector, Hanging, Refusing};
use crate::support::process::Binary;

#[tokio::test]
async fn the_last_request_before_the_end_is_delivered() {
    let collector = Collector::start().await;
    let binary =
        Binary::with_database().await.variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let mut process = binary.serve();
    let line = process.line("ready").await;
    assert_eq!(line["traces"], format!("{}/v1/traces", collector.url()));
    let client = Client::new(line["address"].as_str().unwrap().parse().unwrap());
    let trace_id = trace_id(&client.get("/").send().await.expect(200));
    process.stop().await.expect(0);
    assert!(collector.knows(&trace_id), "{trace_id}");
}

#[tokio::test]
async fn a_collector_that_hangs_costs_requests_nothing_and_the_end_five_seconds() {
    let collector = Hanging::new();
    serve_and_stop(&format!("http://{}", collector.address())).await;
}

#[tokio::test]
async fn a_collector_that_refuses_costs_requests_nothing_and_the_end_five_seconds() {
    let collector = Refusing::new();
    serve_and_stop(&format!("http://{}", collector.address())).await;
}

/// Spans are exported at once, so that the exporter is stuck while requests come.
async fn serve_and_stop(collector: &str) {
    for protocol in ["http/protobuf", "grpc"] {
        let binary = Binary::with_database()
            .await
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .variable("OTEL_BSP_SCHEDULE_DELAY", "1");
        let mut process = binary.serve();
        let client = Client::new(process.ready().await);
        let started = Instant::now();
        for _ in 0..50 {
            let _ = client.get("/").send().await.expect(200);
        }
        // The exporter waits ten seconds for each batch.
        assert!(started.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", started.elapsed());

        let asked = Instant::now();
        process.stop().await.expect(0);
        // Five seconds, and one for everything else on a slow machine.
        assert!(asked.elapsed() < Duration::from_secs(6), "{protocol}: {:?}", asked.elapsed());
    }
}

/// The trace of an answer: `traceparent;desc="00-<trace id>-<span id>-<flags>"`.
fn trace_id(answer: &Answer) -> String {
    let (_, rest) = answer.header("server-timing").split_once("desc=\"00-").unwrap();
    rest[..32].to_owned()
}

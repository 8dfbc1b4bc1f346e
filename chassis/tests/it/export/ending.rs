//! The end within the given time, whatever the collector does and wherever it is asked for.

use std::time::Duration;

use chassis::testing::{Collector, Mood};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};

use super::{DEADLINE, Exporting, PROTOCOLS, records, spans};

/// As the service has it.
const WITHIN: Duration = Duration::from_secs(4);
/// A collector would have longer, and nothing leaves before the end.
const PATIENT: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "30000"),
    ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "3600000"),
];

/// Runs on a runtime where a shutdown that needs another thread of it would wait for itself.
fn on_each_runtime(test: impl AsyncFn() + Copy + Send + Sync) {
    let bounded = async move || tokio::time::timeout(DEADLINE, test()).await.unwrap();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(bounded());
    let one_worker = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    one_worker.block_on(bounded());
}

/// A collector on threads of its own.
fn elsewhere(mood: Mood) -> (Runtime, Collector) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let collector = runtime.block_on(Collector::start());
    collector.set_mood(mood);
    (runtime, collector)
}

/// Asks for the end on a worker of the runtime, not on the thread that blocks on it.
async fn end(exporting: &Exporting) -> bool {
    let telemetry = exporting.telemetry.clone();
    tokio::spawn(async move { telemetry.shutdown(WITHIN).await }).await.unwrap()
}

#[test]
fn a_healthy_collector_gets_everything_at_the_end() {
    let (_runtime, collector) = elsewhere(Mood::Taking);
    let collector = &collector;
    on_each_runtime(async move || {
        for protocol in PROTOCOLS {
            let before = collector.deliveries().len();
            let exporting = Exporting::start(&collector.url(), protocol, &PATIENT);
            exporting.make(2_000);
            assert!(end(&exporting).await, "{protocol}");
            let deliveries = collector.deliveries().split_off(before);
            assert_eq!((spans(&deliveries).len(), records(&deliveries).len()), (2_000, 2_000));
        }
    });
}

#[test]
fn a_collector_that_answers_late_gets_everything_too() {
    let (_runtime, collector) = elsewhere(Mood::Late(Duration::from_millis(100)));
    let collector = &collector;
    on_each_runtime(async move || {
        for protocol in PROTOCOLS {
            let exporting = Exporting::start(&collector.url(), protocol, &PATIENT);
            exporting.make(10);
            assert!(end(&exporting).await, "{protocol}");
        }
    });
}

#[test]
fn what_a_hanging_collector_does_not_take_is_counted_and_told() {
    let (_runtime, collector) = elsewhere(Mood::Hanging);
    let url = &collector.url();
    on_each_runtime(async move || {
        join_all(PROTOCOLS.map(|protocol| gives_up(url, protocol))).await;
    });
}

#[test]
fn what_a_refusing_collector_does_not_take_is_counted_and_told() {
    let (_runtime, collector) = elsewhere(Mood::Refusing);
    let url = &collector.url();
    on_each_runtime(async move || {
        join_all(PROTOCOLS.map(|protocol| gives_up(url, protocol))).await;
    });
}

#[test]
fn what_nobody_takes_is_counted_and_told() {
    let (runtime, collector) = elsewhere(Mood::Taking);
    let url = &collector.url();
    let secure = &url.replace("http:", "https:");
    // TLS with somebody who does not know it.
    on_each_runtime(async move || {
        join_all(PROTOCOLS.map(|protocol| gives_up(secure, protocol))).await;
    });
    drop((collector, runtime));
    on_each_runtime(async move || {
        join_all(PROTOCOLS.map(|protocol| gives_up(url, protocol))).await;
    });
}

async fn gives_up(url: &str, protocol: &str) {
    let made = 700;
    let exporting = Exporting::start(url, protocol, &PATIENT);
    exporting.make(700);
    assert!(!end(&exporting).await);
    let (traces, logs) = (exporting.traces(), exporting.logs());
    assert_eq!(traces.failed, made, "{traces:?}");
    assert!(logs.failed >= made, "{logs:?}");
    assert_eq!((traces.queued, logs.queued), (0, 0));
    let lines = exporting.lines().await;
    let told = |message| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let spans = told("the last spans were not delivered");
    assert_eq!(spans.len(), 1, "{lines:#?}");
    assert_eq!(spans[0]["lost"], made);
    let records = told("the last log records were not delivered");
    assert_eq!(records.len(), 1, "{lines:#?}");
    assert!(records[0]["lost"].as_u64().unwrap() >= made);
}

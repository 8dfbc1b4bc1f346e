//! Collectors that are dead, hang, are late or refuse, and come back.

use std::time::Duration;

use chassis::telemetry::{ExportState, SignalStatus};
use chassis::testing::{Collector, Mood};
use futures_util::future::join_all;
use serde_json::Value;

use super::{DEADLINE, Exporting, PROTOCOLS};

const QUEUE: usize = 40;
const MADE: usize = 400;
/// Queues that are soon full, and a patience that a busy machine does not try.
const SMALL: [(&str, &str); 5] = [
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "40"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "40"),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10"),
];

/// What is wrong with a collector.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Dead,
    In(Mood),
}

#[tokio::test]
async fn whatever_the_collector_does_nothing_is_held_up_lost_unseen_or_told_twice() {
    let troubles = [
        Trouble::Dead,
        Trouble::In(Mood::Refusing),
        Trouble::In(Mood::Hanging),
        Trouble::In(Mood::Late(Duration::from_secs(10))),
    ];
    let days = PROTOCOLS.into_iter().flat_map(|p| troubles.map(|trouble| bad_day(p, trouble)));
    join_all(days).await;
}

async fn bad_day(protocol: &str, trouble: Trouble) {
    let mut collector = Some(Collector::start().await);
    let address = collector.as_ref().unwrap().address();
    let exporting = Exporting::start(&collector.as_ref().unwrap().url(), protocol, &SMALL);
    match trouble {
        Trouble::Dead => drop(collector.take()),
        Trouble::In(mood) => collector.as_ref().unwrap().set_mood(mood),
    }
    for _ in 0..MADE / 10 {
        exporting.make(10);
        let (traces, logs) = (exporting.traces(), exporting.logs());
        assert!(traces.queued <= QUEUE && logs.queued <= QUEUE, "{traces:?} {logs:?}");
        tokio::task::yield_now().await;
    }
    let failing = |signal: SignalStatus| {
        signal.state == ExportState::Failing && signal.failed > 0 && signal.dropped > 0
    };
    exporting.until("a failure", |e| failing(e.traces()) && failing(e.logs())).await;

    let collector = match collector {
        Some(collector) => collector,
        None => Collector::start_at(address, None).await,
    };
    collector.set_mood(Mood::Taking);
    let recovered = |signal: SignalStatus| signal.state == ExportState::Delivering;
    exporting
        .until("a recovery", |e| {
            e.make(1);
            recovered(e.traces()) && recovered(e.logs())
        })
        .await;
    assert!(exporting.telemetry.shutdown(DEADLINE).await, "{protocol} {trouble:?}");
    assert_told(&exporting.lines().await, protocol, trouble);
    let (traces, logs) = (exporting.traces(), exporting.logs());
    let made = |signal: &SignalStatus| signal.exported + signal.dropped + signal.failed;
    // Each of the four lines was a record too.
    assert_eq!(made(&traces) + 4, made(&logs), "{protocol} {trouble:?}: {traces:?} {logs:?}");
    assert_eq!((traces.queued, logs.queued), (0, 0));
}

/// One warning and one recovery for each signal, and not a line of anything that an export is made of.
fn assert_told(lines: &[Value], protocol: &str, trouble: Trouble) {
    let mut messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    messages.sort_unstable();
    let expected = [
        "log records are exported again",
        "log records cannot be exported",
        "spans are exported again",
        "spans cannot be exported",
    ];
    assert_eq!(messages, expected, "{protocol} {trouble:?}: {lines:#?}");
    for line in lines {
        assert!(line["lost"].as_u64().unwrap() > 0, "{line}");
        assert_eq!(line["error"].is_string(), line["level"] == "WARN", "{line}");
    }
}

#[tokio::test]
async fn a_healthy_signal_goes_on_while_the_other_one_fails() {
    let (healthy, hanging) = (Collector::start().await, Collector::start().await);
    hanging.set_mood(Mood::Hanging);
    let logs = hanging.url();
    let own = [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", logs.as_str()),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "100"),
    ];
    let exporting = Exporting::start(&healthy.url(), "http/protobuf", &own);
    exporting.make(5);
    exporting.until("a failure", |e| e.logs().state == ExportState::Failing).await;
    exporting.make(5);
    exporting.until("spans", |e| e.traces().exported == 10).await;
    assert_eq!(exporting.traces().state, ExportState::Delivering);
}

#[test]
fn a_blocked_runtime_does_not_hold_up_the_export() {
    let collectors = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let collector = collectors.block_on(Collector::start());
    let service = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    service.block_on(async {
        let exporting = Exporting::start(&collector.url(), "grpc", &[]);
        exporting.make(5);
        // The service's only thread does nothing else, and the spans leave all the same.
        collectors.block_on_aside(collector.until(|all| super::spans(all).len() == 5));
    });
}

trait Aside {
    fn block_on_aside(&self, future: impl Future<Output = ()> + Send);
}

impl Aside for tokio::runtime::Runtime {
    /// Blocks this thread, which may be one of another runtime.
    fn block_on_aside(&self, future: impl Future<Output = ()> + Send) {
        let future = async { tokio::time::timeout(DEADLINE, future).await.unwrap() };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| self.block_on(future));
            waiting.join().unwrap();
        });
    }
}

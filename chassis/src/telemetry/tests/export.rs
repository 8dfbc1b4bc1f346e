//! Spans on their way to collectors that take, refuse or hang, and the end of it all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

/// Takes connections, never answers, and says when one has come.
fn hanging_collector() -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (connected, connections) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
            let _ = connected.send(());
        }
    });
    (url, connections)
}

/// Takes one batch, and hands out the head of the request that carried it.
fn accepting_collector() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (received, heads) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut head = String::new();
        while stream.read_line(&mut head).unwrap() > 2 {}
        let head = head.to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).unwrap();
        received.send(head).unwrap();
    });
    (url, heads)
}

#[tokio::test]
async fn shutdown_delivers_the_last_spans() {
    let (url, heads) = accepting_collector();
    let environ = Environ::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
    ]);
    let telemetry = Telemetry::start(&identity(), &LogSettings::default(), &environ).unwrap();
    with_default(&telemetry.dispatch(), || {
        info_span!("s").in_scope(|| ());
    });
    assert!(telemetry.shutdown(Duration::from_secs(5)).await);
    assert!(telemetry.shutdown(Duration::from_secs(5)).await, "again");
    let head = heads.recv().unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.contains("x-team: a b"), "{head}");
    let exported = &telemetry.metrics().telemetry_exported;
    assert_eq!(exported.with_label_values(&["traces"]).get(), 1);
}

async fn shut_down_against(protocol: &str) {
    let (url, connections) = hanging_collector();
    let environ = Environ::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    ]);
    let log = LogSettings { level: "off".to_owned(), ..LogSettings::default() };
    let telemetry = Telemetry::start(&identity(), &log, &environ).unwrap();
    assert_eq!(telemetry.export_target().unwrap().protocol(), protocol);
    with_default(&telemetry.dispatch(), || info_span!("s").in_scope(|| ()));
    let started = Instant::now();
    assert!(!telemetry.shutdown(Duration::from_millis(300)).await);
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(connections.try_recv().is_ok());
}

#[tokio::test]
async fn shutdown_ends_in_time_over_http_while_the_collector_hangs() {
    shut_down_against("http/protobuf").await;
}

#[tokio::test]
async fn shutdown_ends_in_time_over_grpc_while_the_collector_hangs() {
    shut_down_against("grpc").await;
}

#[tokio::test]
async fn what_the_collector_refuses_and_the_queue_cannot_hold_is_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environ = Environ::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{closed}")),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "200".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000".to_owned()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let log = LogSettings {
        level: "warn".to_owned(),
        file: Some(folder.path().join("a.log")),
        ..LogSettings::default()
    };
    let telemetry = Telemetry::start(&identity(), &log, &environ).unwrap();
    with_default(&telemetry.dispatch(), || {
        for _ in 0..100 {
            info_span!("s").in_scope(|| ());
        }
    });
    assert!(!telemetry.shutdown(Duration::from_secs(5)).await);
    let metrics = telemetry.metrics();
    let failed = metrics.telemetry_failed.with_label_values(&["traces"]).get();
    let dropped = metrics.telemetry_dropped.with_label_values(&["traces"]).get();
    assert!(failed >= 2 && dropped > 0, "{failed} {dropped}");
    assert_eq!(failed + dropped, 100);
    let lines = std::fs::read_to_string(folder.path().join("a.log")).unwrap();
    assert_eq!(lines.matches("spans cannot be exported").count(), 1, "{lines}");
}

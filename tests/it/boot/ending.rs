//! The way out: in order at the first signal, at once at the second.

use std::time::{Duration, Instant};

use chassis::testing::Client;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::process::{Binary, Process};

#[tokio::test]
async fn the_first_signal_ends_the_service_phase_by_phase() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let binary = Binary::with_database().await.variable("APP_OPS__ADDR", "127.0.0.1:0");
        let mut process = binary.serve();
        process.ready().await;
        process.signal(signal);
        let lines = process.end().await.expect(0).lines();
        let from = lines.iter().position(|line| line["message"] == "shutdown requested");
        let lines = &lines[from.unwrap()..];
        assert_eq!(lines[0]["signal"], name);
        let phases: Vec<_> = lines.iter().filter_map(phase).collect();
        let expected = [
            "not ready, still serving",
            "requests in flight",
            "operator's endpoints",
            "database",
            "telemetry",
        ];
        assert_eq!(phases, expected);
        let last = lines.last().unwrap();
        assert_eq!((&last["message"], &last["complete"]), (&json!("stopped"), &json!(true)));
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let (_binary, process, _) = draining().await;
    // What comes sooner is taken for the same signal.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    let end = process.stop().await;
    assert!(end.code.is_some_and(|code| code != 0), "{:?}", end.code);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn two_signals_at_once_are_one() {
    let binary = Binary::with_database().await;
    let mut process = binary.serve();
    process.ready().await;
    // Both wait for the process to go on.
    for name in ["STOP", "TERM", "INT", "CONT"] {
        process.signal(name);
    }
    let _ = process.end().await.expect(0);
}

#[tokio::test]
async fn until_the_listener_closes_requests_are_answered_but_not_welcome() {
    let (_binary, _process, client) = draining().await;
    eventually("draining", async || {
        client.get("/health").send().await.json()["status"] == "draining"
    })
    .await;
    let _ = client.get("/readyz").send().await.expect(503);
    let answer = client.get("/").send().await.expect(200);
    assert_eq!(answer.header("connection"), "close");
    let _ = client.get("/livez").send().await.expect(200);
    let _ = client.get("/startupz").send().await.expect(200);
}

/// A service that was asked to end, and takes a minute for its first phase.
async fn draining() -> (Binary, Process, Client) {
    let binary = Binary::with_database().await.variable("APP_SERVER__DRAIN_DELAY", "1m");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    process.signal("TERM");
    process.line("shutdown requested").await;
    (binary, process, client)
}

/// The phase that this line tells the end of.
fn phase(line: &Value) -> Option<&str> {
    (line["message"] == "shutdown phase complete").then(|| line["phase"].as_str().unwrap())
}

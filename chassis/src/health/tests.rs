//! What makes a process ready, and what takes it out of service, on a paused clock.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::sleep;

use super::*;

fn health() -> (Health, Metrics) {
    let metrics = Metrics::new().unwrap();
    (Health::new(&metrics), metrics)
}

/// A dependency that can be lost, and a watch on it.
fn watched(health: &Health) -> (Arc<AtomicBool>, Watch) {
    let works = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&works);
    let watch = health.watch("database", move || {
        let works = seen.load(Ordering::SeqCst);
        async move { if works { Ok(()) } else { Err("gone") } }
    });
    health.started();
    (works, watch)
}

#[test]
fn a_process_is_ready_when_started_and_every_part_says_so() {
    let (health, metrics) = health();
    let (one, two) = (health.register("one"), health.register("two"));
    one.ready();
    assert_eq!(health.report().status, Status::Starting);
    health.started();
    assert_eq!(health.report().status, Status::NotReady);
    two.ready();
    assert!(health.is_ready());
    assert_eq!(metrics.readiness.with_label_values(&["two"]).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_is_told_once_every_part_has_spoken() {
    let (health, _) = health();
    let by_hand = health.register("by hand");
    let (works, _watch) = watched(&health);
    works.store(false, Ordering::SeqCst);
    assert!(timeout(CHECK_INTERVAL, health.settled()).await.is_err());
    let _ = tokio::join!(health.settled(), async { by_hand.not_ready("says no") });
}

#[test]
fn draining_is_not_ready_whatever_the_checks_say() {
    let (health, _) = health();
    health.register("one").ready();
    health.started();
    health.start_draining();
    assert!(!health.is_ready());
    assert_eq!(health.report().status, Status::Draining);
}

#[test]
fn a_part_that_takes_its_word_back_names_its_reason() {
    let (health, metrics) = health();
    let part = health.register("schema");
    health.started();
    part.ready();
    part.not_ready("2 migrations are pending");
    let report = serde_json::to_value(health.report()).unwrap();
    assert_eq!(report["status"], "not_ready");
    assert_eq!(report["checks"]["schema"]["ready"], false);
    assert_eq!(report["checks"]["schema"]["reason"], "2 migrations are pending");
    assert_eq!(metrics.readiness.with_label_values(&["schema"]).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_dependency_is_noticed_within_ten_seconds_and_so_is_its_return() {
    let (health, _) = health();
    let (works, _watch) = watched(&health);
    sleep(Duration::from_secs(1)).await;
    assert!(health.is_ready());
    works.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    assert!(!health.is_ready());
    works.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn one_failure_alone_changes_nothing() {
    let (health, _) = health();
    let (works, _watch) = watched(&health);
    sleep(Duration::from_secs(1)).await;
    works.store(false, Ordering::SeqCst);
    sleep(CHECK_INTERVAL).await;
    works.store(true, Ordering::SeqCst);
    assert!(health.is_ready());
    sleep(CHECK_INTERVAL).await;
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_is_a_failure() {
    let (health, _) = health();
    let _watch = health.watch("database", pending::<Result<(), &str>>);
    health.started();
    sleep(CHECK_TIMEOUT * 2).await;
    let report = health.report();
    assert_eq!(report.checks["database"].reason.as_deref(), Some("no answer in time"));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_result_is_told() {
    let (health, _) = health();
    let (_works, watch) = watched(&health);
    sleep(Duration::from_secs(1)).await;
    drop(watch);
    sleep(Duration::from_mins(1)).await;
    assert!(health.report().checks["database"].age_seconds >= 60.0);
}

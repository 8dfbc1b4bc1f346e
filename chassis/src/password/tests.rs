//! Hashes made and checked, upgraded, and shed when too many come at once.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use tokio::task::yield_now;

use super::*;
use crate::settings::Report;

const CANARY: &str = "correct horse battery staple";

/// Hashes that cost next to nothing.
fn cheap() -> PasswordSettings {
    PasswordSettings { memory_kib: 8, iterations: 1, ..PasswordSettings::default() }
}

fn hasher(settings: &PasswordSettings) -> (PasswordHasher, Metrics) {
    let metrics = Metrics::new().unwrap();
    (PasswordHasher::new(settings, &metrics).unwrap(), metrics)
}

fn canary() -> Secret {
    Secret::new(CANARY)
}

#[test]
fn a_cost_that_argon2_does_not_know_is_rejected_under_its_own_key() {
    let costs = |memory_kib, iterations, parallelism| {
        let settings = PasswordSettings { memory_kib, iterations, parallelism, ..cheap() };
        let mut report = Report::default();
        settings.check(&mut report);
        (format!("{report:?}"), settings.params().is_ok())
    };
    for (key, (report, usable)) in [
        ("password.memory_kib", costs(31, 1, 4)),
        ("password.iterations", costs(8, 0, 1)),
        ("password.parallelism", costs(8, 1, 0)),
        ("password.parallelism", costs(4 << 20, 1, (4 << 17) + 1)),
    ] {
        assert!(report.contains(key) && report.matches("expected").count() == 1, "{report}");
        assert!(!usable, "{report}");
    }
    let (report, usable) = costs(32, 1, 4);
    assert!(usable && !report.contains("expected"), "{report}");
}

#[tokio::test]
async fn a_password_verifies_against_its_own_hash_only() {
    let (hasher, _) = hasher(&cheap());
    let hash = hasher.hash(canary()).await.unwrap();
    assert_eq!(hasher.verify(canary(), Some(&hash)).await.unwrap(), Verdict::Right);
    let other = Secret::new("another password");
    assert_eq!(hasher.verify(other, Some(&hash)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn the_default_cost_is_owasps_minimum_for_argon2id() {
    let (hasher, _) = hasher(&PasswordSettings::default());
    let hash = hasher.hash(canary()).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
}

#[tokio::test]
async fn the_same_password_has_another_salt_each_time() {
    let (hasher, _) = hasher(&cheap());
    assert_ne!(hasher.hash(canary()).await.unwrap(), hasher.hash(canary()).await.unwrap());
}

#[tokio::test]
async fn a_hash_with_other_parameters_is_right_but_outdated() {
    let hash = hasher(&cheap()).0.hash(canary()).await.unwrap();
    let (stronger, _) = hasher(&PasswordSettings { iterations: 2, ..cheap() });
    let verdict = stronger.verify(canary(), Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::RightButOutdated);
    let verdict = stronger.verify(Secret::new("wrong"), Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::Wrong);
}

#[tokio::test]
async fn without_the_pepper_a_stolen_hash_verifies_nothing() {
    let peppered = PasswordSettings { pepper: Some(Secret::new("pepper")), ..cheap() };
    let hash = hasher(&peppered).0.hash(canary()).await.unwrap();
    let (with, _) = hasher(&peppered);
    assert_eq!(with.verify(canary(), Some(&hash)).await.unwrap(), Verdict::Right);
    let (without, _) = hasher(&cheap());
    assert_eq!(without.verify(canary(), Some(&hash)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn an_unknown_account_costs_a_hash_and_is_wrong() {
    let (hasher, metrics) = hasher(&cheap());
    assert_eq!(hasher.verify(canary(), None).await.unwrap(), Verdict::Wrong);
    let verified = metrics.password_hash_duration.with_label_values(&["verify"]);
    assert_eq!(verified.get_sample_count(), 1);
}

#[tokio::test]
async fn a_stored_hash_that_is_broken_or_too_costly_is_refused() {
    let (hasher, _) = hasher(&cheap());
    let malformed = hasher.verify(canary(), Some("not a hash")).await;
    assert!(matches!(malformed, Err(HashError::Malformed(_))), "{malformed:?}");
    let hash = hasher.hash(canary()).await.unwrap().replace("m=8", "m=1000000");
    let costly = hasher.verify(canary(), Some(&hash)).await;
    assert!(matches!(costly, Err(HashError::TooCostly)), "{costly:?}");
}

#[tokio::test]
async fn more_than_running_and_waiting_are_refused_at_once_until_a_turn_is_free() {
    let settings = PasswordSettings { max_concurrent: Some(1), queue: 1, ..cheap() };
    let (hasher, metrics) = hasher(&settings);
    let running = hasher.turn(Operation::Hash).await.unwrap();
    let waiting = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.hash(canary()).await }
    });
    while metrics.password_hash_queue.get() == 0 {
        yield_now().await;
    }
    let refused = hasher.verify(canary(), None).await;
    assert!(matches!(refused, Err(HashError::Overloaded)), "{refused:?}");
    assert_eq!(metrics.password_hash_rejected.with_label_values(&["verify"]).get(), 1);

    drop(running);
    waiting.await.unwrap().unwrap();
    assert_eq!(metrics.password_hash_queue.get(), 0);
    hasher.hash(canary()).await.unwrap();
}

#[tokio::test]
async fn a_caller_who_leaves_the_queue_is_no_longer_counted() {
    let settings = PasswordSettings { max_concurrent: Some(1), queue: 1, ..cheap() };
    let (hasher, metrics) = hasher(&settings);
    let _running = hasher.turn(Operation::Hash).await.unwrap();
    let mut waiting = Box::pin(hasher.hash(canary()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(metrics.password_hash_queue.get(), 1);
    drop(waiting);
    assert_eq!(metrics.password_hash_queue.get(), 0);
    assert_eq!(hasher.0.places.available_permits(), 1);
}

#[tokio::test]
async fn no_debug_output_shows_a_password_or_the_pepper() {
    let settings = PasswordSettings { pepper: Some(canary()), ..cheap() };
    let error = hasher(&settings).0.verify(canary(), Some(CANARY)).await.unwrap_err();
    let shown = format!("{settings:?} {:?} {error:?} {error}", canary());
    assert!(!shown.contains(CANARY), "{shown}");
}

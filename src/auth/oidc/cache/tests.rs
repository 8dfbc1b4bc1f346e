//! How long keys are believed, and how often an issuer is asked. What is fetched over a network is in
//! `tests/it/auth/oidc`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::testing::{TestKey, set_of};
use super::*;

#[tokio::test(start_paused = true)]
async fn keys_are_believed_for_a_day() {
    let key = TestKey::p256("a");
    let keys = Arc::new(KeySet::parse(&set_of([&key])).unwrap());
    let none = Known::default();
    assert!(matches!(none.find(Some("a"), Algorithm::ES256), Err(NoKey::Unavailable)));
    let known = Known { keys: Some((keys, Instant::now())), ..none };
    tokio::time::advance(Duration::from_secs(24 * 3600 - 1)).await;
    assert!(known.find(Some("a"), Algorithm::ES256).unwrap().is_some());
    assert!(known.find(Some("b"), Algorithm::ES256).unwrap().is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(matches!(known.find(Some("a"), Algorithm::ES256), Err(NoKey::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_have_the_issuer_asked_now_and_then_and_no_more() {
    let asked = Asked::default();
    let first = asked.ask();
    assert_eq!(asked.question(), first);
    for _ in 0..1000 {
        assert_eq!(asked.ask(), first, "it is the same question");
    }
    tokio::time::advance(ASK_PAUSE).await;
    assert_eq!(asked.ask(), first + 1);
}

#[tokio::test]
async fn pauses_follow_the_issuer_within_bounds_and_grow_with_failures() {
    let issuer = Issuer::of("https://id.example.com").unwrap();
    let fetcher = Fetcher::new(None, ROUND_TIMEOUT, 1).unwrap();
    let metrics = Metrics::new().unwrap();
    let asked = Arc::default();
    let mut refresher = Refresher { issuer, fetcher, asked, metrics, failures: 0, told: None };
    let mut pause_of = |fetched| refresher.pause_after(&fetched);
    for (age, [shortest, longest]) in [
        (None, [240, 300]),
        (Some(0), [48, 60]),
        (Some(600), [480, 600]),
        (Some(86_400), [720, 900]),
    ] {
        let pause = pause_of(Ok((KeySet::default(), age.map(Duration::from_secs))));
        let bounds = [shortest, longest].map(Duration::from_secs);
        assert!(bounds[0] <= pause && pause <= bounds[1], "{age:?}: {pause:?}");
    }
    for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
        let pause = pause_of(Err(KeysError::Timeout));
        let longest = Duration::from_secs(longest);
        assert!(longest / 2 <= pause && pause <= longest, "{pause:?} of {longest:?}");
    }
}

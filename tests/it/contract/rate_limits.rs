//! Budgets as clients see them: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers),
//! 429 and `Retry-After`.

use belvedere::settings::Settings;
use chassis::http::quota::Rate;
use chassis::testing::Answer;

use super::server_timing::ServerTiming;
use crate::support::App;

fn two_a_minute(settings: &mut Settings) {
    settings.rate_limit.enabled = true;
    settings.rate_limit.default = Rate::per_minute(2);
    settings.rate_limit.auth = Rate::per_minute(1);
}

/// The remaining requests and the seconds of `RateLimit`, of this policy.
#[track_caller]
fn left(answer: &Answer, policy: &str) -> (u32, u64) {
    let field = answer.header("ratelimit");
    let parameters = field.strip_prefix(&format!("\"{policy}\";r="));
    let (remaining, seconds) = parameters.and_then(|p| p.split_once(";t=")).expect(field);
    (remaining.parse().unwrap(), seconds.parse().unwrap())
}

#[tokio::test]
async fn a_budget_is_told_until_it_is_spent_and_then_when_to_come_back() {
    let app = App::with(two_a_minute).await;
    for remaining in [1, 0] {
        let answer = app.client.get("/").send().await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=2;w=60");
        assert_eq!(left(&answer, "default").0, remaining);
        assert_eq!(answer.header("retry-after"), "");
    }
    let refused = app.client.get("/").send().await;
    let problem = refused.problem(429);
    assert_eq!(problem["type"], "/problems/too-many-requests");
    assert_eq!(refused.header("ratelimit-policy"), "\"default\";q=2;w=60");
    let (remaining, seconds) = left(&refused, "default");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!((remaining, seconds), (0, wait));
    // One request comes free in half a minute.
    assert!((1..=30).contains(&wait), "{wait}");
    ServerTiming::of(&refused);
}

#[tokio::test]
async fn whoever_waits_almost_long_enough_is_told_to_wait_a_second() {
    let app = App::with(|settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.default = "5/1s".parse().unwrap();
    })
    .await;
    // A request comes free every 200 ms; a refusal is met before twenty have been sent.
    for _ in 0..200 {
        let answer = app.client.get("/").send().await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            return;
        }
    }
    panic!("a budget of five a second was never spent");
}

#[tokio::test]
async fn passwords_have_a_budget_of_their_own() {
    let app = App::with(two_a_minute).await;
    let login = app.log_in("nobody@example.org", "wrong").await.expect(401);
    assert_eq!(login.header("ratelimit-policy"), "\"auth\";q=1;w=60");
    assert_eq!(left(&login, "auth").0, 0);
    app.register("ada@example.org").await.problem(429);
    let change = app.client.put(&format!("/users/{}/password", uuid::Uuid::nil()));
    change.send().await.problem(429);
    // What is not about passwords is still welcome, and so is the operator.
    let answer = app.client.get("/").send().await.expect(200);
    assert_eq!(left(&answer, "default").0, 1);
    for _ in 0..5 {
        let probe = app.client.get("/livez").send().await.expect(200);
        assert!(!probe.headers.contains_key("ratelimit"));
    }
}

#[tokio::test]
async fn decisions_are_counted() {
    let app = App::with(two_a_minute).await;
    for _ in 0..5 {
        app.client.get("/").send().await;
    }
    let count = |decision| {
        let labels = [("policy", "default"), ("decision", decision)];
        app.witness.metric("rate_limit_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("limited")), (2.0, 3.0));
}

#[tokio::test]
async fn without_limits_there_is_nothing_to_tell() {
    let app = App::start().await;
    let answer = app.client.get("/").send().await;
    assert!(!answer.headers.contains_key("ratelimit"));
    assert!(!answer.headers.contains_key("ratelimit-policy"));
}

/// A flood must not flood the log as well: the second refusal within the minute is counted and not told.
#[tokio::test]
async fn refusals_are_a_security_event_that_is_counted_and_told_now_and_then() {
    let app = App::with(two_a_minute).await;
    for status in [200, 200, 429, 429] {
        let _ = app.client.get("/").send().await.expect(status);
    }
    for status in [401, 429, 429] {
        let _ = app.log_in("nobody@example.org", "").await.expect(status);
    }
    let events = [("event", "excess_rate_limit_exceeded")];
    assert!((app.witness.metric("auth_events_total", &events) - 4.0).abs() < f64::EPSILON);
    let mut told = app.witness.lines();
    told.retain(|line| line["message"] == "rate limit exceeded");
    // A flood out of one budget does not hide the first excess of the other.
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["rate_limit.policy"], "auth");
    for (field, value) in [
        ("event.name", "excess_rate_limit_exceeded"),
        ("event.outcome", "failure"),
        ("client.address", "127.0.0.1"),
        ("rate_limit.policy", "default"),
    ] {
        assert_eq!(told[0][field], value);
    }
}

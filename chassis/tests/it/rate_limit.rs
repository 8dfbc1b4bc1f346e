//! Budgets: whose they are, what they are told in, and what spends them.

use std::net::{IpAddr, Ipv4Addr};

use chassis::testing::Answer;
use serde_json::json;

use crate::support::{App, Settings};

#[tokio::test]
async fn a_spent_budget_is_told_with_the_time_to_wait() {
    let app = with_budgets(|_| {}).await;
    for remaining in [2, 1, 0] {
        let answer = app.client.get("/plain").send().await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=3600");
        let told = answer.header("ratelimit");
        assert!(told.starts_with(&format!("\"default\";r={remaining};t=")));
    }
    let answer = app.client.get("/plain").send().await;
    let problem = answer.problem(429);
    assert_eq!(problem["type"], "/problems/too-many-requests");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(answer.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
    for (decision, count) in [("allowed", 3.0), ("limited", 1.0)] {
        let labels = [("policy", "default"), ("decision", decision)];
        let told = app.witness.metric("rate_limit_decisions_total", &labels);
        assert_eq!(told, count, "{decision}");
    }
}

#[tokio::test]
async fn every_answer_tells_the_budget() {
    let app = App::with(|settings| settings.stack.rate_limit.default = "20/1h".parse().unwrap());
    let app = app.await;
    let client = &app.client;
    let calls = [
        (client.get("/plain"), 200),
        (client.get("/nowhere"), 404),
        (client.post("/plain"), 405),
        (client.get("/plain").header("accept", "image/png"), 406),
        (client.get("/echo/a?times=-1"), 400),
        (client.post("/echo").json(&json!("a".repeat(2_000_000))), 413),
        (client.post("/echo"), 415),
        (client.post("/echo").json(&json!({})), 422),
        (client.get("/panic"), 500),
        (client.get("/fail"), 500),
    ];
    for (i, (call, status)) in calls.into_iter().enumerate() {
        let answer = call.send().await.expect(status);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=20;w=3600");
        let told = format!("\"default\";r={};t=", 19 - i);
        assert!(answer.header("ratelimit").starts_with(&told), "{status}");
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_budgets_of_their_own() {
    let app = behind_a_proxy().await;
    for _ in 0..3 {
        let _ = forwarded_for(&app, "192.0.2.1").await.expect(200);
    }
    forwarded_for(&app, "192.0.2.1").await.problem(429);
    let _ = forwarded_for(&app, "192.0.2.2").await.expect(200);
    // What the client itself wrote stands on the left and is not believed.
    forwarded_for(&app, "203.0.113.9, 192.0.2.1").await.problem(429);

    let answer = forwarded_for(&app, "198.51.100.7").await.expect(200);
    let line = app.witness.request_line(answer.header("x-request-id"));
    assert_eq!(line["client.address"], "198.51.100.7");
}

#[tokio::test]
async fn a_stranger_cannot_choose_whose_budget_it_spends() {
    let app = with_budgets(|_| {}).await;
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let _ = forwarded_for(&app, address).await.expect(200);
    }
    forwarded_for(&app, "192.0.2.4").await.problem(429);
}

#[tokio::test]
async fn an_ipv6_network_of_64_bits_is_one_client() {
    let app = behind_a_proxy().await;
    for address in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:f::"] {
        let _ = forwarded_for(&app, address).await.expect(200);
    }
    forwarded_for(&app, "2001:db8:1:2:ffff::1").await.problem(429);
    let _ = forwarded_for(&app, "2001:db8:1:3::1").await.expect(200);
}

#[tokio::test]
async fn what_is_strict_has_a_budget_of_its_own() {
    let app = with_budgets(|settings| {
        settings.stack.rate_limit.auth = "1/1h".parse().unwrap();
    })
    .await;
    let answer = app.client.post("/login").send().await.expect(200);
    assert_eq!(answer.header("ratelimit-policy"), "\"auth\";q=1;w=3600");
    app.client.post("/login").send().await.problem(429);
    // A slash at the end is no way around it.
    app.client.post("/login/").send().await.problem(429);

    for _ in 0..3 {
        let _ = app.client.get("/plain").send().await.expect(200);
    }
    app.client.get("/plain").send().await.problem(429);
}

#[tokio::test]
async fn without_the_limit_nothing_is_counted_and_nothing_told() {
    let app = with_budgets(|settings| settings.stack.rate_limit.enabled = false).await;
    for _ in 0..5 {
        let answer = app.client.get("/plain").send().await.expect(200);
        assert_eq!(answer.header("ratelimit"), "");
        assert_eq!(answer.header("ratelimit-policy"), "");
    }
}

/// Three requests, and no more within the time that a test takes.
async fn with_budgets(change: impl FnOnce(&mut Settings)) -> App {
    App::with(|settings| {
        settings.stack.rate_limit.default = "3/1h".parse().unwrap();
        change(settings);
    })
    .await
}

async fn behind_a_proxy() -> App {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    with_budgets(|settings| settings.stack.server.trusted_proxies = vec![here.into()]).await
}

async fn forwarded_for(app: &App, addresses: &str) -> Answer {
    let get = app.client.get("/plain");
    get.header("x-forwarded-for", addresses).send().await
}

//! `/log-level`: who may change what is logged, how, for how long, and the trail that this leaves.

use chassis::settings::{Environment, Secret};
use serde_json::{Value, json};

use crate::support::{App, eventually};

const TOKEN: &str = "a-token-of-the-operators";

async fn guarded() -> App {
    App::with(|settings| settings.ops.token = Some(Secret::new(TOKEN))).await
}

/// The lines of the audit trail.
fn trail(app: &App) -> Vec<Value> {
    let mut lines = app.witness.lines();
    lines.retain(|line| line["target"] == "chassis::audit");
    lines
}

fn counted(app: &App, event: &str) -> f64 {
    app.witness.metric("auth_events_total", &[("event", event)])
}

#[tokio::test]
async fn it_needs_the_token_and_strangers_are_all_counted_and_told_once() {
    let app = guarded().await;
    let wrong = format!("{TOKEN}x");
    let attempts = ["", "Bearer", "Bearer x", &format!("Bearer {wrong}"), "Basic eDp5", TOKEN];
    for (n, credentials) in attempts.iter().enumerate() {
        let get = app.client.get("/log-level").header("authorization", credentials);
        let get = get.header("x-request-id", &format!("stranger-{n}"));
        let answer = get.send().await;
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let put = app.client.put("/log-level").json(&json!({ "filter": "error" }));
    put.send().await.problem(401);
    let trail = trail(&app);
    assert_eq!(trail.len(), 1, "{trail:?}");
    let line = &trail[0];
    for (field, value) in [
        ("level", "WARN"),
        ("message", "operator's endpoint refused"),
        ("event.name", "authz_fail"),
        ("event.outcome", "failure"),
        ("client.address", "127.0.0.1"),
        ("url.path", "/log-level"),
        ("request_id", "stranger-0"),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    assert_eq!(line["count"], 1);
    assert_eq!(counted(&app, "authz_fail"), 7.0);

    let answer = app.client.with_token(TOKEN).get("/log-level").send().await;
    assert_eq!(answer.expect(200).json(), json!({ "filter": "info", "configured": "info" }));
    app.witness.assert_silent_about(&[TOKEN]);
}

#[tokio::test]
async fn in_production_there_is_no_access_without_a_token_in_the_settings() {
    let app = App::with(|settings| settings.environment = Environment::Production).await;
    let answer = app.client.with_token("").get("/log-level").send().await;
    answer.problem(403);
    let put = app.client.put("/log-level").json(&json!({ "filter": "error" }));
    put.send().await.problem(403);
    assert_eq!(app.witness.telemetry().log_filter().current(), "info");
    assert_eq!(trail(&app).len(), 1);
    assert_eq!(counted(&app, "authz_fail"), 2.0);
}

#[tokio::test]
async fn a_changed_filter_holds_until_its_time_is_up() {
    let app = App::start().await;
    let quiet = |time: &str| {
        let change = json!({ "filter": "error", "for": time });
        app.client.put("/log-level").json(&change)
    };
    assert_eq!(quiet("1h").send().await.expect(200).json()["filter"], "error");
    let get = app.client.get("/plain").header("x-request-id", "unheard");
    let _ = get.send().await.expect(200);

    let _ = quiet("1ms").send().await.expect(200);
    let filter = app.witness.telemetry().log_filter();
    eventually("the level of before", || filter.current() == "info").await;
    let get = app.client.get("/plain").header("x-request-id", "heard");
    let _ = get.send().await.expect(200);
    assert!(app.witness.lines_of("unheard").is_empty());
    app.witness.request_line("heard");
}

#[tokio::test]
async fn the_answer_tells_what_a_temporary_filter_goes_back_to_and_when() {
    let app = App::start().await;
    let put = app.client.put("/log-level").json(&json!({ "filter": "debug", "for": "15m" }));
    let changed = put.send().await.expect(200).json();
    let shown = app.client.get("/log-level").send().await.expect(200).json();
    for level in [&changed, &shown] {
        assert_eq!(level["filter"], "debug");
        assert_eq!(level["configured"], "info");
        let left = level["returns_in_seconds"].as_u64().unwrap();
        assert!((1..=900).contains(&left), "{left}");
        let at = level["returns_at"].as_str().unwrap();
        assert!(at.starts_with("20") && at.ends_with('Z') && at.len() == 20, "{at}");
    }
    assert_eq!(changed["returns_at"], shown["returns_at"]);
    assert_eq!(changed["returns_at"], trail(&app)[0]["returns_at"]);

    let put = app.client.put("/log-level").json(&json!({ "filter": "warn", "for": null }));
    let lasting = put.send().await.expect(200).json();
    assert_eq!(lasting, json!({ "filter": "warn", "configured": "info" }));
}

#[tokio::test]
async fn a_log_that_is_switched_off_tells_so_and_that_it_came_back() {
    let app = App::with(|settings| {
        settings.stack.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let put = app.client.put("/log-level").json(&json!({ "filter": "off", "for": "50ms" }));
    let put = put.header("x-forwarded-for", "192.0.2.7").header("x-request-id", "silencer");
    let _ = put.send().await.expect(200);
    eventually("the return", || trail(&app).len() == 2).await;
    let [change, back] = trail(&app).try_into().unwrap();
    for line in [&change, &back] {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["event.name"], "authz_admin");
        assert_eq!(line["event.outcome"], "success");
    }
    assert_eq!(change["message"], "log filter changed");
    assert_eq!(change["client.address"], "192.0.2.7");
    assert_eq!(change["request_id"], "silencer");
    assert_eq!(change["log.filter.old"], "info");
    assert_eq!(change["log.filter.new"], "off");
    assert!(change["returns_at"].is_string());
    assert!(back.get("returns_at").is_none());
    assert_eq!(back["message"], "log filter returned");
    assert_eq!(back["log.filter.old"], "off");
    assert_eq!(back["log.filter.new"], "info");
    assert_eq!(counted(&app, "authz_admin"), 2.0);
}

#[tokio::test]
async fn every_member_that_is_wrong_is_named_at_once() {
    let app = App::start().await;
    for (body, pointers) in [
        (json!({ "filter": "so=so=so" }), vec!["/filter"]),
        (json!({ "filter": "" }), vec!["/filter"]),
        (json!({ "filter": "inof" }), vec!["/filter"]),
        (json!({ "filter": 3 }), vec!["/filter"]),
        (json!({ "for": "15m" }), vec!["/filter"]),
        (json!({ "filter": "debug", "for": "soon" }), vec!["/for"]),
        (json!({ "filter": "debug", "for": "0s" }), vec!["/for"]),
        (json!({ "filter": "debug", "for": "24h 1s" }), vec!["/for"]),
        (json!({ "filter": "debug", "for": 15 }), vec!["/for"]),
        (json!({ "filter": "debug", "until": "tomorrow" }), vec!["/until"]),
        (json!({ "filter": "", "for": "0s", "by": "me" }), vec!["/filter", "/for", "/by"]),
        (json!("debug"), vec![""]),
        (Value::Null, vec![""]),
    ] {
        let answer = app.client.put("/log-level").json(&body).send().await;
        assert_eq!(answer.invalid_fields(), pointers, "{body}");
    }
    assert_eq!(app.witness.telemetry().log_filter().current(), "info");
    assert!(trail(&app).is_empty());
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_much_changes_nothing() {
    let app = App::start().await;
    let put = |media_type: &str, body: &str| {
        app.client.put("/log-level").body(media_type, body.to_owned())
    };
    for body in ["", "{", "filter=debug"] {
        put("application/json", body).send().await.problem(400);
    }
    let good = json!({ "filter": "debug" }).to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let answer = put(media_type, &good).send().await;
        answer.problem(415);
        assert_eq!(answer.header("accept"), "application/json");
    }
    let twice = put("application/json", r#"{"filter":"debug","filter":"info"}"#).send().await;
    assert_eq!(twice.invalid_fields(), ["/filter"]);
    let long = json!({ "filter": "a".repeat(5000) }).to_string();
    put("application/json", &long).send().await.problem(413);
    assert_eq!(app.witness.telemetry().log_filter().current(), "info");
    let _ = put("application/json; charset=utf-8", &good).send().await.expect(200);
    assert_eq!(app.witness.telemetry().log_filter().current(), "debug");
}

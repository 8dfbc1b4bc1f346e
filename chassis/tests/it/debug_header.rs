//! Debug headers: what the request of a valid one tells, and that nobody else's is any different.

use std::time::Duration;

use chassis::settings::Secret;
use chassis::telemetry::debug_header::{DebugKey, NAME};
use chassis::telemetry::period::Period;
use chassis::testing::Answer;
use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::support::App;

/// A caller's trace that is not to be exported.
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn key() -> DebugKey {
    DebugKey::derive(&Secret::new("a-token-of-the-operators"))
}

fn signed(seconds: u64) -> String {
    key().sign(Utc::now(), Period::new(Duration::from_secs(seconds)).unwrap())
}

async fn debuggable() -> App {
    App::with(|settings| settings.stack.debug_key = Some(key())).await
}

/// An empty header is not sent.
async fn ask(app: &App, request_id: &str, header: &str) -> Answer {
    let get = app.client.get("/chatty").header("x-request-id", request_id);
    let get = get.header("traceparent", UNSAMPLED);
    let get = if header.is_empty() { get } else { get.header(NAME, header) };
    get.send().await.expect(200)
}

/// What was told below INFO, in the order of the alphabet.
fn details(app: &App, request_id: &str) -> Vec<String> {
    let lines = app.witness.lines_of(request_id).into_iter();
    let debug = lines.filter(|line| line["level"] == "DEBUG" || line["level"] == "TRACE");
    let mut details: Vec<_> =
        debug.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    details.sort();
    details
}

fn audit(app: &App) -> Vec<Value> {
    let mut lines = app.witness.lines();
    lines.retain(|line| line["target"] == "chassis::audit");
    lines
}

#[tokio::test]
async fn its_request_alone_is_told_in_full_wherever_it_runs() {
    let app = debuggable().await;
    let header = signed(600);
    ask(&app, "before", "").await;
    let (_, _, _) = tokio::join!(
        ask(&app, "debugged", &header),
        ask(&app, "beside", ""),
        ask(&app, "beside-too", "")
    );
    ask(&app, "after", "").await;
    for id in ["before", "debugged", "beside", "beside-too", "after"] {
        app.told(id).await;
    }
    assert_eq!(details(&app, "debugged"), ["in a task", "in a thread", "in the handler"]);
    for other in ["before", "beside", "beside-too", "after"] {
        assert_eq!(details(&app, other), [""; 0], "{other}");
    }
}

#[tokio::test]
async fn its_trace_is_exported_although_the_callers_is_not() {
    let app = debuggable().await;
    let header = signed(600);
    let answer = ask(&app, "debugged", &header).await;
    ask(&app, "other", "").await;
    app.told("debugged").await;
    app.told("other").await;
    let line = app.witness.request_line("debugged");
    assert_eq!(line["trace_id"], &UNSAMPLED[3..35]);
    assert_eq!(line["trace_flags"], "01");
    assert_eq!(app.witness.request_line("other")["trace_flags"], "00");
    assert!(answer.header("server-timing").contains("-01\""), "{answer:?}");

    let spans = app.witness.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["inner", "GET /chatty"]);
    let id = header.split('.').nth(2).unwrap();
    assert_eq!(line["debug.id"], id);
    let told = spans[1].attributes.iter().find(|pair| pair.key.as_str() == "debug.id");
    assert_eq!(told.unwrap().value.as_str(), id);
}

#[tokio::test]
async fn it_reaches_below_any_filter() {
    let app = debuggable().await;
    let header = signed(600);
    ask(&app, "first", &header).await;
    app.witness.telemetry().log_filter().set("off", None).unwrap();
    ask(&app, "debugged", &header).await;
    ask(&app, "other", "").await;
    app.told("debugged").await;
    assert_eq!(details(&app, "debugged"), ["in a task", "in a thread", "in the handler"]);
    assert!(app.witness.lines_of("other").is_empty());
}

#[tokio::test]
async fn its_first_use_is_on_the_audit_trail() {
    let app = debuggable().await;
    let header = signed(600);
    for id in ["one", "two"] {
        ask(&app, id, &header).await;
    }
    let trail = audit(&app);
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!(trail[0]["message"], "debug header accepted");
    assert_eq!(trail[0]["event.name"], "authz_admin");
    assert_eq!(trail[0]["client.address"], "127.0.0.1");
    assert_eq!(trail[0]["debug.id"], header.split('.').nth(2).unwrap());
    assert!(trail[0]["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(trail[0]["request_id"], "one");
    assert_eq!(trail[0]["trace_id"], &UNSAMPLED[3..35]);
    let signature = header.rsplit('.').next().unwrap();
    app.witness.assert_silent_about(&[signature]);
}

#[tokio::test]
async fn one_that_is_not_valid_changes_nothing_and_is_told_once() {
    let app = debuggable().await;
    let other = DebugKey::derive(&Secret::new("another token"));
    let day = Period::longest();
    let good = signed(600);
    let headers = [
        key().sign(Utc::now() - TimeDelta::days(2), day),
        key().sign(Utc::now() + TimeDelta::days(2), day),
        other.sign(Utc::now(), day),
        good.replace("1.", "2."),
        format!("{good}x"),
        "nonsense".to_owned(),
    ];
    for (n, header) in headers.iter().enumerate() {
        let id = format!("refused-{n}");
        ask(&app, &id, header).await;
        app.told(&id).await;
        assert_eq!(details(&app, &id), [""; 0], "{header}");
        assert!(app.witness.request_line(&id).get("debug.id").is_none());
    }
    assert!(app.witness.spans().is_empty());
    let trail = audit(&app);
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!(trail[0]["message"], "debug header refused");
    assert_eq!(trail[0]["level"], "WARN");
    assert_eq!(trail[0]["event.name"], "authz_fail");
    assert_eq!(trail[0]["reason"], "expired");
    assert_eq!(trail[0]["count"], 1);
    assert_eq!(trail[0]["request_id"], "refused-0");
    assert_eq!(trail[0]["trace_id"], &UNSAMPLED[3..35]);
    let refused = app.witness.metric("auth_events_total", &[("event", "authz_fail")]);
    assert_eq!(refused, 6.0);
}

#[tokio::test]
async fn without_a_key_there_is_no_such_header() {
    let app = App::start().await;
    ask(&app, "ignored", &signed(600)).await;
    app.told("ignored").await;
    assert_eq!(details(&app, "ignored"), [""; 0]);
    assert!(audit(&app).is_empty());
}

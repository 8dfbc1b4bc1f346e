//! Metrics move by what happened, no more and no less. Their names are tested in `metrics`.

use super::exposition::Exposition;
use crate::support::{App, PASSWORD};

#[tokio::test]
async fn one_call_moves_what_it_is_about_by_one_and_nothing_else() {
    let app = App::start().await;
    let person = app.person().await;
    let before = Exposition::scrape(&app).await;
    let answer = person.client.get("/users/me").send().await.expect(200);
    let after = Exposition::scrape(&app).await;
    let system = app.witness.spans().into_iter().find_map(|span| {
        let mut attributes = span.attributes.into_iter();
        attributes.find(|pair| pair.key.as_str() == "db.system.name")
    });
    let system = system.unwrap().value.to_string();
    let statement = format!(
        "db_client_operation_duration_seconds_count{{db_collection_name=\"users\",db_operation_name=\"SELECT\",db_system_name=\"{system}\",error_type=\"\"}}"
    );
    let sizes = "{http_request_method=\"GET\",http_route=\"/users/me\"}";
    let moved = |series: &str| after.value(series) - before.value(series);
    for series in [
        "http_server_request_duration_seconds_count{error_type=\"\",http_request_method=\"GET\",http_response_status_code=\"200\",http_route=\"/users/me\",url_scheme=\"http\"}",
        &format!("http_server_request_body_size_bytes_count{sizes}"),
        &format!("http_server_response_body_size_bytes_count{sizes}"),
        &statement,
        "log_events_total{level=\"info\"}",
    ] {
        assert_moved(moved(series), 1.0, series);
    }
    let size = format!("http_server_response_body_size_bytes_sum{sizes}");
    assert_moved(moved(&size), f64::from(u32::try_from(answer.body.len()).unwrap()), &size);
    let count = |e: &Exposition| {
        let family = &e.families["http_server_request_duration_seconds"];
        let counts = family.series.iter().filter(|(name, _)| name.contains("_count{"));
        counts.map(|(_, value)| value).sum::<f64>()
    };
    assert_moved(count(&after) - count(&before), 1.0, "all requests");
    for quiet in ["auth_events_total", "password_hash_duration_seconds"] {
        let (before, after) = (&before.families[quiet], &after.families[quiet]);
        assert_eq!(before.series, after.series, "{quiet}");
    }
}

#[tokio::test]
async fn nothing_is_in_flight_afterwards() {
    let app = App::start().await;
    let _ = app.register("ada@example.org").await.expect(201);
    let _ = app.register("ada@example.org").await.expect(409);
    let _ = app.client.get("/nowhere").send().await.expect(404);
    for method in ["GET", "POST"] {
        let labels = [("http_request_method", method), ("url_scheme", "http")];
        let active = app.witness.metric("http_server_active_requests", &labels);
        assert_moved(active, 0.0, method);
    }
}

#[tokio::test]
async fn the_error_type_of_a_fault_is_a_label_and_empty_below() {
    let app = App::with(|settings| settings.server.max_in_flight = 0).await;
    let _ = app.client.get("/users/me").send().await.expect(503);
    let labels = [
        ("http_route", "/users/me"),
        ("http_response_status_code", "503"),
        ("error_type", "overload"),
    ];
    let durations = "http_server_request_duration_seconds";
    assert_moved(app.witness.metric(durations, &labels), 1.0, durations);
    let shed = app.witness.metric("http_server_shed_requests_total", &[("reason", "in_flight")]);
    assert_moved(shed, 1.0, "shed");
}

#[tokio::test]
async fn security_events_are_counted_by_owasps_names() {
    let app = App::start().await;
    let (person, admin) = (app.person().await, app.admin().await);
    let count = |event| app.witness.metric("auth_events_total", &[("event", event)]);
    let events =
        ["user_created", "authn_login_success", "authn_login_fail", "authz_fail", "user_deleted"];
    let before = events.map(count);
    let _ = app.register("ada@example.org").await.expect(201);
    let _ = app.log_in("ada@example.org", PASSWORD).await.expect(200);
    let _ = app.log_in("ada@example.org", "wrong").await.expect(401);
    let other = format!("/users/{}", admin.id);
    let _ = person.client.get(&other).send().await.expect(404);
    let own = format!("/users/{}", person.id);
    let _ = person.client.delete(&own).send().await.expect(204);
    for (event, before) in events.into_iter().zip(before) {
        assert_moved(count(event) - before, 1.0, event);
    }
    // Each has its line, at a level that alerts can use.
    let lines = app.witness.lines();
    let line = |name| lines.iter().rfind(|line| line["event.name"] == name).unwrap();
    assert_eq!(line("authn_login_fail")["level"], "WARN");
    assert_eq!(line("authn_login_success")["level"], "INFO");
}

#[tokio::test]
async fn every_line_is_counted_by_its_level() {
    let app = App::start().await;
    app.person().await;
    let _ = app.log_in("nobody@example.org", "wrong").await.expect(401);
    let lines = app.witness.lines();
    for level in ["ERROR", "WARN"] {
        let written = lines.iter().filter(|line| line["level"] == level).count();
        let label = level.to_ascii_lowercase();
        let counted = app.witness.metric("log_events_total", &[("level", &label)]);
        assert_moved(counted, f64::from(u32::try_from(written).unwrap()), level);
    }
}

#[track_caller]
fn assert_moved(value: f64, expected: f64, what: &str) {
    // Counts are whole; sums of sizes too.
    assert!((value - expected).abs() < 1e-9, "{what}: {value}, not {expected}");
}

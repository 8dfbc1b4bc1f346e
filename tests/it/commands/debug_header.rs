//! `belvedere debug-header`, and what the service does with the header.

use chassis::testing::{Answer, Client};
use serde_json::Value;

use crate::support::new_user;
use crate::support::process::{Binary, Process};

const TOKEN: &str = "a-token-of-the-operators";

/// Spans come on stderr, and none of them by chance.
async fn binary() -> Binary {
    Binary::with_database()
        .await
        .variable("APP_OPS__TOKEN", TOKEN)
        .variable("OTEL_TRACES_EXPORTER", "console")
        .variable("OTEL_TRACES_SAMPLER", "always_off")
}

/// The name and the value that a command prints.
async fn header(binary: &Binary, arguments: &[&str]) -> (String, String) {
    let arguments = [&["debug-header"], arguments].concat();
    let stdout = binary.run(&arguments).await.expect(0).stdout;
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let (name, value) = stdout.trim_end().split_once(": ").unwrap();
    (name.to_owned(), value.to_owned())
}

/// Registers somebody, which takes a statement.
async fn register(client: &Client, id: &str, (name, value): (&str, &str)) -> Answer {
    let call = client.post("/users").json(&new_user(&format!("{id}@example.org")));
    call.header("x-request-id", id).header(name, value).send().await.expect(201)
}

/// The lines up to the one that tells of the request's end.
async fn lines(process: &mut Process, id: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    loop {
        let line = process.line_where(|line| line["request_id"] == id).await;
        let last = line["message"] == "request";
        lines.push(line);
        if last {
            return lines;
        }
    }
}

#[tokio::test]
async fn the_service_tells_all_of_the_request_that_carries_it_and_exports_its_trace() {
    let binary = binary().await;
    let (name, value) = header(&binary, &["--for", "1h"]).await;
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    register(&client, "before", ("accept", "*/*")).await;
    let answer = register(&client, "debugged", (&name, &value)).await;
    register(&client, "after", ("accept", "*/*")).await;

    let debugged = lines(&mut process, "debugged").await;
    let statement = debugged.iter().find(|line| line["message"] == "database statement").unwrap();
    assert_eq!(statement["level"], "DEBUG");
    assert!(statement["db.query.text"].is_string(), "{statement}");
    let hash = |line: &Value| line["message"] == "password hash" && line["level"] == "DEBUG";
    assert!(debugged.iter().any(hash), "{debugged:?}");
    let own = |line: &Value| {
        let target = line["target"].as_str().unwrap();
        target.starts_with("chassis") || target.starts_with("belvedere")
    };
    assert!(debugged.iter().all(own), "{debugged:?}");
    for other in ["before", "after"] {
        let lines = lines(&mut process, other).await;
        assert!(lines.iter().all(|line| line["level"] != "DEBUG"), "{lines:?}");
    }

    let end = process.stop().await.expect(0);
    let spans = end.stderr.lines().map(|line| serde_json::from_str(line).unwrap());
    let spans: Vec<Value> = spans.collect();
    let trace_id = debugged[0]["trace_id"].as_str().unwrap();
    assert!(answer.header("server-timing").contains(trace_id));
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"POST /users") && names.contains(&"INSERT users"), "{names:?}");
    assert!(spans.iter().all(|span| span["trace_id"] == trace_id), "{spans:?}");
    end.is_silent_about(&[TOKEN, &value, "example.org"]);
}

#[tokio::test]
async fn it_is_valid_for_ten_minutes_unless_told_otherwise_and_for_a_day_at_most() {
    let binary = Binary::new().variable("APP_OPS__TOKEN", TOKEN);
    let left = async |arguments: &[&str]| {
        let (name, value) = header(&binary, arguments).await;
        assert_eq!(name, "x-debug-token");
        let expiry: i64 = value.split('.').nth(1).unwrap().parse().unwrap();
        expiry - chrono::Utc::now().timestamp()
    };
    assert!((500..=600).contains(&left(&[]).await));
    assert!((3500..=3600).contains(&left(&["--for", "1h"]).await));
    assert!((86_300..=86_400).contains(&left(&["--for", "24h"]).await));
    for period in ["0s", "25h", "soon", ""] {
        let end = binary.run(&["debug-header", "--for", period]).await.expect(2);
        end.complains_of(&["--for", "at most 24h"]);
        assert_eq!(end.stdout, "");
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_signed() {
    let end = Binary::new().run(&["debug-header"]).await.expect(2);
    end.complains_of(&["ops.token"]);
    assert_eq!(end.stdout, "");
}

#[tokio::test]
async fn it_needs_none_of_what_only_the_service_needs() {
    let binary = Binary::new()
        .variable("APP_ENVIRONMENT", "production")
        .variable("APP_OPS__TOKEN_FILE", "token");
    binary.file("token", &format!("{TOKEN}\n"));
    header(&binary, &[]).await;
}

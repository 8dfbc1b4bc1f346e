//! The lines as a reader gets them.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt;
use std::fs::{self, File};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::dispatcher::with_default;

use super::escape::VALUE_LIMIT;
use super::*;
use crate::settings::{Environ, Environment};
use crate::telemetry::traces::TracingSettings;
use crate::telemetry::{Captured, Identity, Telemetry, TelemetryError};

fn capture(format: LogFormat, level: &str) -> Result<(Telemetry, Captured), TelemetryError> {
    let log = LogSettings { level: level.to_owned(), format, file: None };
    Telemetry::capture(&identity(), &log)
}

fn identity() -> Identity {
    Identity {
        name: "belvedere".to_owned(),
        version: "0.1.0".to_owned(),
        environment: Environment::Development,
    }
}

fn text(format: LogFormat, log: impl FnOnce()) -> String {
    let (telemetry, captured) = capture(format, "info").unwrap();
    with_default(&telemetry.dispatch(), log);
    captured.text()
}

fn line(log: impl FnOnce()) -> Value {
    let text = text(LogFormat::Json, log);
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[derive(Debug, thiserror::Error)]
#[error("the user cannot be stored")]
struct Outer(#[source] Inner);

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
struct Inner;

#[test]
fn a_line_says_when_what_and_who() {
    let line = line(|| tracing::info!(target: "here", "hello"));
    let keys: Vec<_> = line.as_object().unwrap().keys().collect();
    let expected = [
        "timestamp",
        "level",
        "message",
        "target",
        "service.name",
        "service.version",
        "deployment.environment.name",
    ];
    assert_eq!(keys, expected);
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "hello");
    assert_eq!(line["target"], "here");
    assert_eq!(line["service.name"], "belvedere");
    assert_eq!(line["service.version"], "0.1.0");
    assert_eq!(line["deployment.environment.name"], "development");
    let time = line["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000000Z".len());
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok());
}

#[test]
fn values_keep_their_types() {
    let line = line(|| {
        tracing::info!(
            http.response.status_code = 200_u16,
            negative = -1,
            duration_ms = 1.5,
            big = u128::MAX,
            infinite = f64::INFINITY,
            yes = true,
            absent = None::<u8>,
            display = %"a b",
            debug = ?"a b",
            escaped = ?"a\"b",
            wrapped = ?Some("x"),
            error.r#type = "500",
            "typed"
        );
    });
    assert_eq!(line["http.response.status_code"], json!(200));
    assert_eq!(line["negative"], json!(-1));
    assert_eq!(line["duration_ms"], json!(1.5));
    assert!(line["big"].is_number());
    assert_eq!(line["infinite"], "inf");
    assert_eq!(line["yes"], json!(true));
    assert!(line.get("absent").is_none());
    assert_eq!(line["display"], "a b");
    assert_eq!(line["debug"], "a b");
    assert_eq!(line["escaped"], r#""a\"b""#);
    assert_eq!(line["wrapped"], r#"Some("x")"#);
    assert_eq!(line["error.type"], "500");
}

#[test]
fn an_error_stands_there_with_its_causes() {
    let error = Outer(Inner);
    let error: &(dyn std::error::Error + 'static) = &error;
    let line = line(|| tracing::error!(error, "failed"));
    assert_eq!(line["error"], "the user cannot be stored: the disk is full");
}

#[test]
fn fields_cannot_take_the_place_of_reserved_keys() {
    let text = text(LogFormat::Json, || {
        tracing::info!(
            timestamp = 1,
            level = "x",
            service.name = "y",
            trace_id = "z",
            a = 1,
            a = 2,
            "m"
        );
    });
    assert_eq!(text.matches("\"timestamp\":").count(), 1);
    assert_eq!(text.matches("\"a\":").count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["service.name"], "belvedere");
    assert!(line.get("trace_id").is_none());
    assert_eq!(line["fields.timestamp"], json!(1));
    assert_eq!(line["fields.trace_id"], "z");
    assert_eq!(line["fields.a"], json!(2));
}

#[test]
fn no_text_breaks_out_of_its_line() {
    let evil = "a\r\n{\"level\":\"ERROR\"}\u{1b}[31m\0\u{2028}\u{2029}\u{85}";
    let line = line(|| tracing::info!(evil, debug = ?evil, "{evil}"));
    assert_eq!(line["message"], evil);
    assert_eq!(line["evil"], evil);
    for format in [LogFormat::Pretty, LogFormat::Syslog] {
        let text = text(format, || tracing::info!(evil, debug = ?evil, "{evil}"));
        let inside = text.strip_suffix('\n').unwrap();
        assert!(!inside.contains(|c: char| c.is_control() || "\u{2028}\u{2029}".contains(c)));
    }
}

#[test]
fn long_values_are_cut() {
    let long = "x".repeat(100_000);
    let line = line(|| tracing::info!(long, debug = ?long, "{long}"));
    for key in ["message", "long"] {
        assert_eq!(line[key].as_str().unwrap().chars().count(), VALUE_LIMIT + 1);
    }
    assert!(line["debug"].as_str().unwrap().len() <= VALUE_LIMIT + 4);
}

#[test]
fn a_field_may_log_while_it_is_formatted() {
    struct Chatty;
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("inner");
            f.write_str("outer")
        }
    }
    let text = text(LogFormat::Json, || tracing::info!(chatty = %Chatty, "line"));
    assert!(text.contains("\"chatty\":\"outer\""), "{text}");
}

#[test]
fn pretty_lines_are_for_people() {
    let text = text(LogFormat::Pretty, || {
        tracing::warn!(target: "here", count = 2, name = "a b", "hello");
    });
    assert!(text.ends_with("Z  WARN here: hello count=2 name=\"a b\"\n"), "{text}");
}

#[test]
fn no_value_of_a_pretty_line_passes_for_another_field() {
    let agent = r#"a" user.id="1"#;
    let text = text(LogFormat::Pretty, || {
        let (short, path) = (r#"a"b"#, r"c:\d");
        tracing::warn!(target: "here", agent, debug = ?agent, short, path, plain = ?"e", two = ?"f g", "hello");
    });
    let fields = [
        r#"agent="a\" user.id=\"1""#,
        r#"debug="\"a\\\" user.id=\\\"1\"""#,
        r#"short="a\"b" path="c:\\d" plain=e two="f g""#,
    ];
    assert!(text.ends_with(&format!("here: hello {}\n", fields.join(" "))), "{text}");
}

#[test]
fn syslog_messages_are_of_rfc_5424() {
    let text = text(LogFormat::Syslog, || {
        tracing::error!(target: "here", count = 2, quote = "a\"b]c\\", "hello");
    });
    let (header, rest) = text.split_once(" [").unwrap();
    let parts: Vec<_> = header.split(' ').collect();
    assert_eq!(parts[0], "<131>1");
    assert!(chrono::DateTime::parse_from_rfc3339(parts[1]).is_ok());
    assert_eq!(&parts[3..], ["belvedere", &std::process::id().to_string(), "-"]);
    assert_eq!(
        rest,
        "origin software=\"belvedere\" swVersion=\"0.1.0\"]\
         [fields@32473 deployment.environment.name=\"development\" target=\"here\" \
         count=\"2\" quote=\"a\\\"b\\]c\\\\\"] \u{feff}hello\n"
    );
}

#[test]
fn syslog_cuts_what_names_the_software_to_what_rfc_5424_allows() {
    let identity = Identity {
        name: "ä".repeat(49),
        version: "9".repeat(33),
        environment: Environment::Development,
    };
    let log = LogSettings { format: LogFormat::Syslog, ..LogSettings::default() };
    let (telemetry, captured) = Telemetry::capture(&identity, &log).unwrap();
    with_default(&telemetry.dispatch(), || tracing::info!("hello"));
    let origin =
        format!("[origin software=\"{}\" swVersion=\"{}\"]", "ä".repeat(48), "9".repeat(32));
    assert!(captured.text().contains(&origin), "{}", captured.text());
}

/// How often a value is formatted for a line on stdout and one in the file.
async fn formatted(format: LogFormat) -> (usize, String, String) {
    struct Counted(AtomicUsize);
    impl fmt::Display for Counted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fetch_add(1, Ordering::Relaxed);
            f.write_str("value")
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let (stdout, file) = (directory.path().join("stdout"), directory.path().join("file"));
    let log = LogSettings { format, file: Some(file.clone()), ..LogSettings::default() };
    let (tracing, environ) = (TracingSettings::default(), Environ::from([("", ""); 0]));
    let lines = File::create(&stdout).unwrap();
    let telemetry =
        Telemetry::start_into(lines, false, &identity(), &log, &tracing, &environ).unwrap();
    let counted = Counted(AtomicUsize::new(0));
    with_default(&telemetry.dispatch(), || tracing::info!(%counted, "line"));
    assert!(telemetry.flush_lines(Duration::from_secs(20)).await);
    let [stdout, file] = [stdout, file].map(|path| fs::read_to_string(path).unwrap());
    (counted.0.into_inner(), stdout, file)
}

#[tokio::test]
async fn a_line_that_two_outputs_share_is_made_once() {
    let (times, stdout, file) = formatted(LogFormat::Json).await;
    assert!(stdout.contains("\"counted\":\"value\""), "{stdout}");
    assert_eq!((times, stdout), (1, file));
}

#[tokio::test]
async fn each_output_has_its_own_format() {
    let (times, stdout, file) = formatted(LogFormat::Pretty).await;
    assert_eq!(times, 2);
    assert!(stdout.contains("line counted=value"), "{stdout}");
    assert!(file.contains("\"counted\":\"value\""), "{file}");
}

#[test]
fn the_filter_decides_what_is_written_and_counted() {
    let (telemetry, captured) = capture(LogFormat::Auto, "warn").unwrap();
    let log = || {
        tracing::info!("one");
        tracing::warn!("two");
    };
    with_default(&telemetry.dispatch(), log);
    telemetry.log_filter().set("info", None).unwrap();
    with_default(&telemetry.dispatch(), log);
    let messages: Vec<_> = captured.lines().iter().map(|l| l["message"].clone()).collect();
    assert_eq!(messages, ["two", "one", "two"]);
    let count = |level| telemetry.metrics().log_events.with_label_values(&[level]).get();
    assert_eq!((count("info"), count("warn"), count("error")), (1, 2, 0));
}

#[test]
fn a_filter_may_ask_for_spans() {
    let (telemetry, captured) = capture(LogFormat::Auto, "error,[work]=debug").unwrap();
    with_default(&telemetry.dispatch(), || {
        tracing::debug!("outside");
        tracing::debug_span!("work").in_scope(|| tracing::debug!("inside"));
    });
    assert_eq!(captured.lines().len(), 1);
    assert_eq!(captured.lines()[0]["message"], "inside");
}

#[test]
fn an_invalid_level_is_refused_by_its_key() {
    let error = capture(LogFormat::Auto, "a=loud").err().unwrap();
    assert_eq!(error.to_string(), "log.level is not a filter");
    assert!(std::error::Error::source(&error).is_some());
}

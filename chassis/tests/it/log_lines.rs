//! One event, one line, whatever stands in it: thousands of events with hostile texts in each format.
//!
//! How single values are spelt is tested beside the code.

use chassis::settings::Environment;
use chassis::telemetry::logs::{LogFormat, LogSettings};
use chassis::telemetry::{Identity, Telemetry};
use chassis::testing::{Hostile, object};
use syslog_rfc5424::message::ProcId;
use syslog_rfc5424::{SyslogMessage, SyslogSeverity, parse_message};
use tracing::dispatcher::with_default;

/// Events for each format; debug builds take about a second for them.
const EVENTS: usize = 3000;
/// Container runtimes split longer lines.
const LINE_LIMIT: usize = 16 * 1024;
/// Bytes of one value.
const VALUE_LIMIT: usize = 4 * 1024;

/// Logs one event after the other, and gives the line that each became.
fn lines(format: LogFormat, mut log: impl FnMut(), mut read: impl FnMut(&str)) {
    let identity = Identity {
        name: "belvedere".to_owned(),
        version: "1.2.3".to_owned(),
        environment: Environment::Production,
    };
    let log_settings = LogSettings { level: "trace".to_owned(), format, ..LogSettings::default() };
    for _ in 0..EVENTS / 100 {
        let (telemetry, captured) = Telemetry::capture(&identity, &log_settings).unwrap();
        with_default(&telemetry.dispatch(), || (0..100).for_each(|_| log()));
        let text = captured.text();
        let new: Vec<&str> = text.split_inclusive('\n').collect();
        assert_eq!(new.len(), 100, "one event is one line");
        for line in new {
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(is_harmful), "{line:?}");
            assert!(line.len() < LINE_LIMIT, "{} bytes", line.len());
            read(line);
        }
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// An event of the kinds that there are, with names that want to be something else.
fn log(hostile: &mut Hostile) {
    let (first, second, third) = (hostile.text(), hostile.text(), hostile.text());
    match hostile.below(4) {
        0 => tracing::info!(first, second = %second, third = ?third, "{first}"),
        1 => tracing::warn!(
            timestamp = first,
            level = second,
            trace_id = third,
            error.r#type = first,
            "error.type" = second,
            a = first,
            a = second,
            a = 3,
            fields.a = third,
            "{second}"
        ),
        2 => tracing::error!(
            "a key = with \"quotes\" ] and\nlines\u{2028}" = first,
            "" = second,
            "é" = third,
            "a.very.deep.name.of.a.field.that.goes.on.and.on.and.on.and.on.and.on.and.on" = first,
            number = hostile.below(1000),
            "{third}"
        ),
        _ => tracing::debug!(
            a = first, b = second, c = third, d = first, e = second, f = third, g = first, h = second,
            i = 1, j = true, k = 1.5, l = ?Some(&third), "{first}{second}{third}"
        ),
    }
}

#[test]
fn json_lines_are_objects_with_keys_of_their_own() {
    let mut hostile = Hostile::new(1);
    let mut cut = 0;
    let log = || log(&mut hostile);
    lines(LogFormat::Json, log, |line| {
        let members = object(line);
        for key in ["timestamp", "level", "message", "target", "service.name"] {
            assert!(members[key].is_string(), "{key}: {line}");
        }
        assert!(
            chrono::DateTime::parse_from_rfc3339(members["timestamp"].as_str().unwrap()).is_ok()
        );
        for value in members.values().filter_map(|value| value.as_str()) {
            assert!(value.len() <= VALUE_LIMIT + '…'.len_utf8());
            cut += usize::from(value.ends_with('…'));
        }
    });
    assert!(cut > 100, "long values were among them");
}

#[test]
fn pretty_lines_stay_one_line_each() {
    let mut hostile = Hostile::new(2);
    let log = || log(&mut hostile);
    lines(LogFormat::Pretty, log, |line| {
        let mut words = line.split_whitespace();
        assert!(chrono::DateTime::parse_from_rfc3339(words.next().unwrap()).is_ok(), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&words.next().unwrap()), "{line}");
    });
}

#[test]
fn syslog_lines_are_what_a_parser_of_rfc_5424_accepts() {
    let mut hostile = Hostile::new(3);
    let log = || log(&mut hostile);
    lines(LogFormat::Syslog, log, |line| {
        let message = parsed(line);
        let elements: Vec<&String> = message.sd.keys().collect();
        assert_eq!(elements, ["fields@32473", "origin"], "{line}");
    });
}

#[test]
fn a_syslog_line_says_what_was_logged() {
    let values = [r#"a "quoted" ] \ end"#, "", "plain", r"\\]\", "[x y=\"z\"]"];
    let identity = Identity {
        name: format!("a name {}", "x".repeat(60)),
        version: "1.2.3".to_owned(),
        environment: Environment::Production,
    };
    let log = LogSettings {
        level: "trace".to_owned(),
        format: LogFormat::Syslog,
        ..LogSettings::default()
    };
    for value in values {
        let (telemetry, captured) = Telemetry::capture(&identity, &log).unwrap();
        with_default(&telemetry.dispatch(), || {
            tracing::error!(value, "said {value}");
            tracing::warn!(value, "said {value}");
            tracing::info!(value, "said {value}");
            tracing::debug!(value, "said {value}");
            tracing::trace!(value, "said {value}");
            tracing::info_span!("work").in_scope(|| tracing::info!(value, "said {value}"));
        });
        let text = captured.text();
        let messages: Vec<SyslogMessage> = text.lines().map(parsed).collect();
        let severities: Vec<_> = messages.iter().map(|message| message.severity).collect();
        let expected = [
            SyslogSeverity::SEV_ERR,
            SyslogSeverity::SEV_WARNING,
            SyslogSeverity::SEV_INFO,
            SyslogSeverity::SEV_DEBUG,
            SyslogSeverity::SEV_DEBUG,
            SyslogSeverity::SEV_INFO,
        ];
        assert_eq!(severities, expected);
        let app = format!("aname{}", "x".repeat(43));
        let software = format!("a name {}", "x".repeat(41));
        for message in &messages {
            assert_eq!(message.appname.as_deref(), Some(app.as_str()));
            assert_eq!(message.msg, format!("\u{feff}said {value}"));
            assert_eq!(message.sd["fields@32473"]["value"], value);
            assert_eq!(message.sd["fields@32473"]["deployment.environment.name"], "production");
            assert_eq!(message.sd["origin"]["software"], software);
            assert_eq!(message.sd["origin"]["swVersion"], "1.2.3");
        }
        let ids = &messages[5].sd["opentelemetry"];
        assert_eq!((ids["trace_id"].len(), ids["span_id"].len()), (32, 16));
        assert!(messages[..5].iter().all(|message| !message.sd.contains_key("opentelemetry")));
    }
}

#[track_caller]
fn parsed(line: &str) -> SyslogMessage {
    let message = parse_message(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!((message.facility as i32, message.version), (16, 1), "{line}");
    assert!(message.timestamp.is_some() && message.timestamp_nanos.is_some(), "{line}");
    assert!(message.hostname.is_some() && message.appname.is_some(), "{line}");
    assert_eq!(message.procid, Some(ProcId::PID(std::process::id().cast_signed())), "{line}");
    message
}

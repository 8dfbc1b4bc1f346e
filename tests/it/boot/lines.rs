//! The lines on stdout in each format, from the first to the last.

use serde_json::Value;

use crate::support::process::{Binary, End};

/// Starts, answers nothing, ends: everything that it says by itself.
async fn life(format: &str) -> End {
    let binary = Binary::new().variable("APP_LOG__FORMAT", format);
    let mut process = binary.serve();
    while process
        .text()
        .await
        .is_some_and(|line| !line.contains("ready") || !line.contains("startup_ms"))
    {}
    process.stop().await.expect(0)
}

#[tokio::test]
async fn json_lines_have_the_keys_that_collectors_rely_on() {
    for format in ["json", "auto"] {
        let end = life(format).await;
        for line in end.lines() {
            for key in ["timestamp", "level", "message", "target"] {
                assert!(line[key].is_string(), "{key} is missing: {line}");
            }
            assert_eq!(line["service.name"], "belvedere");
            assert_eq!(line["service.version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(line["deployment.environment.name"], "development");
        }
    }
}

#[tokio::test]
async fn pretty_lines_are_text_for_people() {
    let end = life("pretty").await;
    assert!(!end.stdout.contains('\u{1b}'), "colours are for terminals:\n{}", end.stdout);
    for line in end.stdout.lines() {
        let mut words = line.split_whitespace();
        assert!(is_time(words.next().unwrap()), "{line}");
        assert!(["INFO", "WARN"].contains(&words.next().unwrap()), "{line}");
        assert!(words.next().unwrap().ends_with(':'), "{line}");
    }
}

#[tokio::test]
async fn syslog_lines_are_rfc_5424() {
    let end = life("syslog").await;
    for line in end.stdout.lines() {
        let (priority, rest) = line.strip_prefix('<').unwrap().split_once(">1 ").unwrap();
        // Facility local0, severity warning or informational.
        assert!(["132", "134"].contains(&priority), "{line}");
        let parts: Vec<_> = rest.splitn(6, ' ').collect();
        assert!(is_time(parts[0]), "{line}");
        assert_eq!((parts[2], parts[4]), ("belvedere", "-"), "{line}");
        assert!(parts[3].parse::<u32>().is_ok(), "{line}");
        let (data, message) = parts[5].split_once("] \u{feff}").unwrap();
        assert!(data.starts_with("[origin software=\"belvedere\""), "{line}");
        assert!(!message.is_empty());
    }
}

#[tokio::test]
async fn lines_also_go_to_a_file() {
    let binary = Binary::new()
        .variable("APP_LOG__FORMAT", "pretty")
        .variable("APP_LOG__FILE", "belvedere.log");
    let mut process = binary.serve();
    while process.text().await.is_some_and(|line| !line.contains("startup_ms")) {}
    let end = process.stop().await.expect(0);
    let file = std::fs::read_to_string(binary.path("belvedere.log")).unwrap();
    let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), end.stdout.lines().count());
    assert_eq!(lines.last().unwrap()["message"], "stopped");
}

#[tokio::test]
async fn a_log_file_that_cannot_be_written_is_named() {
    let binary = Binary::new().variable("APP_LOG__FILE", "missing/belvedere.log");
    let end = binary.run(&["serve"]).await.expect(2);
    end.complains_of(&["log.file cannot be written: missing/belvedere.log", "No such file"]);
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z')
}

//! A database that cannot be had: exit code 1, and the reason.

use std::time::{Duration, Instant};

use crate::support::nobody::{Hanging, Refusing};
use crate::support::process::{Binary, End};

#[track_caller]
fn tells_no_cause_twice(end: &End) {
    for cause in ["unable to open database file", "file is not a database", "Connection refused"] {
        assert!(end.stderr.matches(cause).count() <= 1, "{}", end.stderr);
    }
}

#[tokio::test]
async fn a_database_file_that_cannot_be_opened_is_named() {
    let binary = Binary::new();
    let garbage = binary.file("garbage.db", &"this is no database ".repeat(100));
    let missing = binary.path("missing/users.db");
    let directory = binary.path("");
    for (path, reason) in [
        (missing.to_str().unwrap(), "the directory"),
        (directory.to_str().unwrap(), "it is a directory"),
        (garbage.to_str().unwrap(), "not a database"),
        // A directory in which not even root can create a file.
        ("/proc/users.db", "was not created"),
    ] {
        let binary = Binary::new().variable("DATABASE_URL", format!("sqlite://{path}?mode=rwc"));
        let end = binary.run(&["serve"]).await.expect(1);
        end.complains_of(&["cannot open the database file", path, reason]);
        tells_no_cause_twice(&end);
    }
}

#[tokio::test]
async fn a_database_file_that_may_not_be_created_is_named() {
    let binary = Binary::new();
    let path = binary.path("users.db");
    let binary = binary.variable("DATABASE_URL", format!("sqlite://{}", path.display()));
    let end = binary.run(&["serve"]).await.expect(1);
    end.complains_of(&[path.to_str().unwrap(), "mode=rwc missing in the URL"]);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_its_password() {
    for scheme in ["postgres", "mysql"] {
        let server = Refusing::new();
        let address = server.address();
        let binary = Binary::new()
            .variable("DATABASE_URL", format!("{scheme}://belvedere:hunter2@{address}/users"))
            .variable("APP_DATABASE__CONNECT_TIMEOUT", "1s");
        let end = binary.run(&["serve"]).await.expect(1);
        end.complains_of(&[&format!("{address} could not be reached within 1 s"), "refused"]);
        end.is_silent_about(&["hunter2"]);
        tells_no_cause_twice(&end);
        assert!(
            end.lines()
                .iter()
                .any(|line| line["level"] == "WARN" && line["retry_in_ms"].is_number())
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let server = Hanging::new();
    let binary = Binary::new()
        .variable("DATABASE_URL", format!("postgres://belvedere@{}/users", server.address()))
        .variable("APP_DATABASE__CONNECT_TIMEOUT", "1s");
    let started = Instant::now();
    binary.run(&["serve"]).await.expect(1).complains_of(&["could not be reached within 1 s"]);
    // Less than one attempt may take by itself.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_the_database() {
    let server = Refusing::new();
    let url = format!("postgres://belvedere@{}/users", server.address());
    let mut process = Binary::new().variable("DATABASE_URL", url).serve();
    process.line_where(|line| line["retry_in_ms"].is_number()).await;
    let asked = Instant::now();
    process.stop().await.expect(0);
    // It would have waited for a minute.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

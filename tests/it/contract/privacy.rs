//! Nothing that a caller entrusts to the service is told to anybody else: planted texts are looked
//! for in every line, span, metric and error body.

use std::time::Duration;

use belvedere::service::Service;
use chassis::http::quota::Rate;
use chassis::problem::chain;
use chassis::settings::Secret;
use chassis::testing::{TestDatabase, Witness};
use serde_json::Value;

use super::exposition::Exposition;
use super::tour::{
    ADDRESS, BODY, HASH, HEADER, KEY, NAME, NEW_PASSWORD, PHONE, QUERY, TOKEN, WRONG_PASSWORD,
    small_bodies, tour,
};
use crate::support::{App, PASSWORD, settings};

/// What the tour plants, and how our own tokens and hashes begin.
const PLANTED: [&str; 17] = [
    PASSWORD,
    NEW_PASSWORD,
    WRONG_PASSWORD,
    "canary@",
    NAME,
    "Lovelace",
    ADDRESS,
    "CANARY WHARF",
    PHONE,
    BODY,
    HASH,
    HEADER,
    KEY,
    QUERY,
    TOKEN,
    "eyJ",
    "$argon2",
];

#[tokio::test]
async fn no_secret_and_no_personal_data_is_told_on_a_tour_of_everything() {
    let app = App::with(|settings| {
        small_bodies(settings);
        settings.log.level = "trace".to_owned();
        settings.rate_limit.enabled = true;
        // Enough for the tour, which calls from one address.
        settings.rate_limit.auth = Rate::per_minute(10_000);
        // Warns of every statement, with its text.
        settings.database.slow_query = Duration::ZERO;
    })
    .await;
    let stops = tour(&app).await;
    assert!(app.witness.lines().len() > stops.len() && app.witness.spans().len() > stops.len());
    for message in ["database statement", "password hash"] {
        let lines = app.witness.lines();
        let told = |line: &Value| line["message"] == message && line["level"] == "DEBUG";
        assert!(lines.iter().any(told), "{message} is not told");
    }
    app.witness.assert_silent_about(&PLANTED);
    // What all addresses share; problems may show one as an example.
    app.witness.assert_silent_about(&["@example.org"]);
    let exposition = Exposition::scrape(&app).await;
    let series = exposition.series();
    for secret in PLANTED {
        assert!(series.iter().all(|series| !series.contains(secret)), "{secret}");
    }
    for stop in stops.iter().filter(|stop| stop.status() >= 400) {
        let text = stop.answer.text();
        for secret in PLANTED {
            assert!(!text.contains(secret), "{}: {text} tells {secret}", stop.name());
        }
        let headers = format!("{:?}", stop.answer.headers);
        assert!(PLANTED.iter().all(|secret| !headers.contains(secret)), "{headers}");
    }
}

#[tokio::test]
async fn no_answer_tells_a_password_or_a_hash() {
    let app = App::with(small_bodies).await;
    for stop in tour(&app).await {
        let text = String::from_utf8_lossy(&stop.answer.body);
        for secret in [PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, HASH, "$argon2", "password_hash"] {
            let documents = stop.name() == "GET /docs 200";
            assert!(documents || !text.contains(secret), "{} tells {secret}", stop.name());
        }
    }
}

#[tokio::test]
async fn the_password_of_the_database_is_not_told_while_the_service_waits_for_it() {
    let database = TestDatabase::in_file();
    for url in [
        "postgres://canary-user:canary-database-password@127.0.0.1:1/users",
        "mysql://canary-user:canary-database-password@127.0.0.1:1/users",
    ] {
        let mut settings = settings(&database);
        settings.database.url = Some(Secret::new(url));
        settings.database.connect_timeout = Duration::from_millis(300);
        let witness = Witness::new("belvedere", "trace");
        let started = Service::start(&settings, witness.telemetry()).await;
        let error = started.err().expect("nobody listens on port 1");
        let told = [chain(error.as_ref()), format!("{error:?}"), format!("{settings:?}")];
        for text in told {
            assert!(!text.contains("canary-database-password"), "{text}");
        }
        witness.assert_silent_about(&["canary-database-password"]);
    }
}

#[tokio::test]
async fn a_client_is_not_told_which_database_there_is() {
    let app = App::with(small_bodies).await;
    for stop in tour(&app).await.iter().filter(|stop| stop.status() >= 400) {
        let text = stop.answer.text().to_lowercase();
        for inner in ["sql", "select", "argon", "constraint", "poem", "serde", "panicked", ".rs"] {
            assert!(!text.contains(inner), "{}: {text}", stop.name());
        }
    }
}

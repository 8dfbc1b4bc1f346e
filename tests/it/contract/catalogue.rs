//! The catalogue of telemetry, and the page that is made of it, against what a busy service tells.
//! What dashboards name is pinned in `metrics`, `spans` and `request_line`; here everything is held
//! together, so that nothing is told which the page does not explain, and nothing explained in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use belvedere::idempotency::Idempotency;
use belvedere::telemetry::catalogue;
use belvedere_migration as migration;
use chassis::fetch::Fetcher;
use chassis::http::quota::Rate;
use chassis::settings::Secret;
use chassis::telemetry::catalogue::{Field, MetricKind, MetricRow, SpanRow, Values};
use chassis::telemetry::debug_header::{self, DebugKey};
use chassis::telemetry::period::Period;
use chrono::Utc;
use opentelemetry::Value as Attribute;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;
use tracing::instrument::WithSubscriber;

use super::exposition::{Exposition, Family};
use super::tour::{small_bodies, tour};
use crate::support::{App, eventually};

const OPS_TOKEN: &str = "a token for those who operate it";
/// Lines of days that are worse than this: `bad_days::abandoned`, `boot::outputs` and `boot::schema`, the
/// migrations' `failures`, and the chassis' `panics`, `export` and `retries`; of replicas and rotated
/// passwords: `replica` and `rotation`; of certificates: the chassis' `tls`; of an outside issuer: `auth::oidc`.
const OF_BAD_DAYS: [&str; 28] = [
    "Redis is gone: each replica keeps budgets of its own",
    "TLS certificate cannot be replaced: the old one stays",
    "TLS certificate changed: new connections get it",
    "TLS certificate needs to be renewed",
    "abandoned statements were ended",
    "budgets are shared through Redis",
    "database credentials changed: new connections use them",
    "database credentials cannot be read again",
    "expired idempotency keys stay",
    "expired sessions stay",
    "expired login failures stay",
    "hashing may take more than half of the memory limit",
    "outdated password hashes were not counted",
    "log lines were lost",
    "migration failed",
    "panic",
    "rate limit exceeded",
    "reads go to the replica",
    "spans cannot be exported",
    "spans were lost",
    "the keys of the issuer are known",
    "the keys of the issuer cannot be fetched",
    "the database has no advisory locks: let one process migrate at a time",
    "the replica is gone: reads go to the primary",
    "the schema is ahead of this version",
    "transaction given up",
    "too many clients at once: all budgets begin anew",
    "waiting for another process that migrates",
];

/// A service that has answered every operation, well and badly, and finds every statement slow.
async fn busy() -> App {
    let app = App::with(|settings| {
        small_bodies(settings);
        settings.database.slow_query = Duration::ZERO;
        settings.rate_limit.enabled = true;
        settings.ops.token = Some(Secret::new(OPS_TOKEN));
        // Enough for the tour, which calls from one address.
        settings.rate_limit.default = Rate::per_minute(10_000);
        settings.rate_limit.auth = Rate::per_minute(10_000);
    })
    .await;
    tour(&app).await;
    operate(&app).await;
    eventually("the checks have run", async || app.service.health().is_ready()).await;
    app
}

/// What operators do, and strangers who would like to.
async fn operate(app: &App) {
    let token = Secret::new(OPS_TOKEN);
    let _ = app.client.get("/log-level").send().await.expect(401);
    let change = app.client.with_token(OPS_TOKEN).put("/log-level");
    let change = change.json(&serde_json::json!({ "filter": "debug", "for": "1h" }));
    let _ = change.send().await.expect(200);
    let key = DebugKey::derive(&token);
    for header in [key.sign(Utc::now(), Period::longest()), "nonsense".to_owned()] {
        let _ = app.client.get("/").header(debug_header::NAME, &header).send().await.expect(200);
    }
}

#[test]
fn the_page_in_the_repository_is_what_the_catalogue_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md");
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == catalogue().page(),
        "docs/telemetry.md is not the present catalogue. If the change is meant, renew it:\n\n    cargo run --example telemetry > docs/telemetry.md\n"
    );
}

#[tokio::test]
async fn a_scrape_has_what_the_catalogue_lists_and_nothing_else() {
    let app = busy().await;
    let text = Exposition::scrape(&app).await;
    let open = Exposition::scrape_open(&app).await;
    for (exposition, name_and_type) in [
        (&text, text_name as fn(&MetricRow) -> (&str, &str)),
        (&open, open_name as fn(&MetricRow) -> (&str, &str)),
    ] {
        let rows = catalogue().metrics;
        let rows: BTreeMap<&str, &MetricRow> =
            rows.iter().map(|row| (name_and_type(row).0, row)).collect();
        let listed: BTreeSet<&str> = rows.keys().copied().collect();
        let told: BTreeSet<&str> = exposition.families.keys().map(String::as_str).collect();
        assert_eq!(told, listed, "left: scraped, right: in the catalogue");
        for (name, family) in &exposition.families {
            let row = rows[name.as_str()];
            assert_eq!(family.kind, name_and_type(row).1, "{name}");
            assert_eq!(family.help, row.help, "{name}");
            assert_labels(family, row);
        }
    }
    for row in &catalogue().metrics {
        let family = &open.families[open_name(row).0];
        assert_eq!(family.unit, row.unit().unwrap_or_default(), "{}", row.name);
        let exemplars = matches!(row.kind, MetricKind::Histogram { exemplars: true, .. });
        assert_eq!(!family.exemplars.is_empty(), exemplars, "exemplars of {}", row.name);
        assert!(text.families[row.name].exemplars.is_empty());
    }
    // Counters may move between two scrapes; what there is stays the same.
    let series = |e: &Exposition| e.families.values().map(|f| f.series.len()).sum::<usize>();
    assert_eq!(series(&text), series(&open));
}

#[tokio::test]
async fn a_shed_request_makes_no_other_series() {
    let app = App::with(|settings| settings.server.max_in_flight = 0).await;
    let _ = app.client.get("/users/me").send().await.expect(503);
    let exposition = Exposition::scrape(&app).await;
    let rows = catalogue().metrics;
    for (name, family) in &exposition.families {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_labels(family, row);
    }
}

#[tokio::test]
async fn spans_have_the_attributes_that_the_catalogue_lists() {
    let app = busy().await;
    migrate_again(&app).await;
    fetch(&app).await;
    clean_up(&app).await;
    let (rows, every) = (catalogue().spans, catalogue().every_span);
    let mut seen = BTreeSet::new();
    for span in app.witness.spans() {
        let fitting = rows.iter().filter(|row| describes(row, &span));
        // The very name comes before a pattern.
        let row = fitting.max_by_key(|row| row.name == span.name).expect(&span.name);
        seen.insert(row.name);
        let found: Vec<(&str, &str)> = span
            .attributes
            .iter()
            .map(|pair| (pair.key.as_str(), type_of_attribute(&pair.value)))
            .collect();
        assert_fields(&span.name, &found, &[&every, row.attributes]);
    }
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(seen, listed, "left: seen, right: in the catalogue");
}

#[tokio::test]
async fn lines_have_the_fields_that_the_catalogue_lists() {
    let app = busy().await;
    migrate_again(&app).await;
    let catalogue = catalogue();
    let mut seen = BTreeSet::new();
    for line in app.witness.lines() {
        let Some(row) = catalogue.lines.iter().find(|row| line["message"] == row.message) else {
            continue;
        };
        seen.insert(row.message);
        assert!(row.level.contains(line["level"].as_str().unwrap()), "{line}");
        let members = line.as_object().unwrap().iter();
        let found: Vec<(&str, &str)> =
            members.map(|(name, value)| (name.as_str(), type_of(value))).collect();
        assert_fields(row.message, &found, &[&catalogue.every_line, row.fields]);
    }
    let listed = catalogue.lines.iter().map(|row| row.message);
    let listed: BTreeSet<&str> = listed.filter(|name| !OF_BAD_DAYS.contains(name)).collect();
    assert_eq!(seen, listed, "left: seen, right: in the catalogue");
}

#[tokio::test]
async fn security_events_are_those_of_the_catalogue() {
    let app = busy().await;
    let rows = catalogue().events;
    for line in app.witness.lines() {
        if let Some(name) = line["event.name"].as_str() {
            let row = rows.iter().find(|row| row.name == name).expect(name);
            assert_eq!(line["level"], row.level, "{name}");
        }
    }
    let listed: BTreeSet<String> = rows.iter().map(|row| row.name.to_owned()).collect();
    let exposition = Exposition::scrape(&app).await;
    assert_eq!(exposition.families["auth_events_total"].labels["event"], listed);
}

/// The schema was made before the service was there, and so outside of its telemetry.
async fn migrate_again(app: &App) {
    let database = app.connection().await;
    let again = async {
        migration::down(database.connection(), 1).await.unwrap();
        migration::up(database.connection()).await.unwrap();
    };
    again.with_subscriber(app.witness.telemetry().dispatch()).await;
    database.close().await;
}

/// A document from another service, which here is the same.
async fn fetch(app: &App) {
    let fetcher = Fetcher::new(None, Duration::from_secs(10), 1 << 20).unwrap();
    let address = app.client.address();
    for path in ["/openapi.json?key=canary", "/nowhere"] {
        let uri = format!("http://{address}{path}").parse().unwrap();
        let document = fetcher.get(&uri).with_subscriber(app.witness.telemetry().dispatch());
        assert_eq!(document.await.is_ok(), path != "/nowhere");
    }
    app.witness.assert_silent_about(&["canary"]);
}

/// What else waits for minutes.
async fn clean_up(app: &App) {
    let database = app.connection().await;
    let keys = Idempotency::new(database.clone(), Duration::from_secs(10));
    let cleaning = async { keys.clean_up_every(Duration::from_millis(1)) };
    let cleaning = cleaning.with_subscriber(app.witness.telemetry().dispatch()).await;
    let told = async || app.witness.spans().iter().any(|span| span.name == "background task");
    eventually("a task is told", told).await;
    drop(cleaning);
    database.close().await;
}

fn text_name(row: &MetricRow) -> (&str, &str) {
    let kind = match row.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge | MetricKind::Info => "gauge",
        MetricKind::Histogram { .. } => "histogram",
    };
    (row.name, kind)
}

fn open_name(row: &MetricRow) -> (&str, &str) {
    match row.kind {
        MetricKind::Counter => (row.name.strip_suffix("_total").unwrap(), "counter"),
        MetricKind::Info => (row.name.strip_suffix("_info").unwrap(), "info"),
        MetricKind::Gauge | MetricKind::Histogram { .. } => text_name(row),
    }
}

/// The labels are those of the row, and so are their values where the row lists them.
#[track_caller]
fn assert_labels(family: &Family, row: &MetricRow) {
    if row.labels.iter().any(|label| label.name == "*") {
        return;
    }
    let found: BTreeSet<&str> = family.labels.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = row.labels.iter().map(|label| label.name).collect();
    assert_eq!(found, listed, "labels of {}", row.name);
    for label in row.labels {
        if let Values::Of(listed) = label.values {
            for value in &family.labels[label.name] {
                assert!(listed.contains(&value.as_str()), "{} {}={value}", row.name, label.name);
            }
        }
    }
}

/// Each name that was found is listed with its type, and what must always stand was found.
#[track_caller]
fn assert_fields(what: &str, found: &[(&str, &str)], listed: &[&[Field]]) {
    for (name, kind) in found {
        let field = listed.iter().copied().flatten().find(|field| field.name == *name);
        let field = field.unwrap_or_else(|| panic!("{what}: {name} is not in the catalogue"));
        // A duration may happen to be whole.
        let same = field.kind == *kind || (field.kind, *kind) == ("double", "int");
        assert!(same, "{what}: {name} is {kind}");
    }
    for field in listed.iter().copied().flatten().filter(|field| field.when.is_none()) {
        assert!(found.iter().any(|(name, _)| *name == field.name), "{what} lacks {}", field.name);
    }
}

/// A pattern with attributes in braces describes all of its kind, any other name only itself.
fn describes(row: &SpanRow, span: &SpanData) -> bool {
    let kind = match span.span_kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        _ => "internal",
    };
    row.kind == kind && (row.name.contains('{') || row.name == span.name)
}

fn type_of_attribute(value: &Attribute) -> &'static str {
    match value {
        Attribute::String(_) => "string",
        Attribute::I64(_) => "int",
        Attribute::F64(_) => "double",
        Attribute::Bool(_) => "bool",
        _ => "another type",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "int",
        Value::Bool(_) => "bool",
        _ => "another type",
    }
}

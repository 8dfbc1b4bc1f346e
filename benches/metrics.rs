//! What metrics cost: a request's record, and a scrape.
//!
//! `cargo bench --bench metrics`.
#![expect(clippy::unwrap_used, reason = "a bench that cannot start has nothing to say")]

use std::sync::Arc;
use std::time::Duration;

use chassis::telemetry::Metrics;
use chassis::telemetry::exposition::{Format, expose};
use chassis::telemetry::metrics::exemplars::Exemplar;
use chassis::telemetry::metrics::http::HttpOutcome;
use divan::{Bencher, black_box};
use opentelemetry::trace::{SpanId, TraceId};

/// As many as a service of this size has: 20 routes with 8 outcomes each.
const LABEL_SETS: u16 = 160;

fn main() {
    divan::main();
}

/// Duration and both sizes of one request that is in no sampled trace.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn record(bencher: Bencher) {
    record_with(bencher, None);
}

/// The same of one whose trace is sampled.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn record_with_exemplar(bencher: Bencher) {
    record_with(bencher, Some(exemplar()));
}

/// One request in and out of flight.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn in_flight(bencher: Bencher) {
    let metrics = Metrics::new().unwrap();
    bencher.bench(|| metrics.http.begin(black_box("GET"), black_box("http")));
}

/// One statement, whose labels are looked up by their text.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn statement(bencher: Bencher) {
    let metrics = Metrics::new().unwrap();
    bencher.bench(|| {
        let labels = black_box(["sqlite", "SELECT", "users", ""]);
        metrics.db_operation_duration.with_label_values(&labels).observe(0.000_1);
    });
}

#[divan::bench]
fn scrape_text(bencher: Bencher) {
    scrape(bencher, Format::Text);
}

#[divan::bench]
fn scrape_open_metrics(bencher: Bencher) {
    scrape(bencher, Format::OpenMetrics1);
}

fn record_with(bencher: Bencher, exemplar: Option<Exemplar<'static>>) {
    let metrics = busy();
    let route: Arc<str> = "/users/{user_id}".into();
    bencher.bench(|| metrics.http.record(black_box(&outcome(&route, 200, exemplar))));
}

fn scrape(bencher: Bencher, format: Format) {
    let metrics = busy();
    bencher.bench(|| expose(&metrics, format).unwrap());
}

/// Metrics of a service that has seen every route and outcome.
fn busy() -> Metrics {
    let metrics = Metrics::new().unwrap();
    for number in 0..LABEL_SETS {
        let route = format!("/things/{}/{{thing_id}}", number / 8).into();
        metrics.http.record(&outcome(&route, 200 + number % 8, Some(exemplar())));
    }
    metrics
}

fn outcome<'a>(
    route: &'a Arc<str>,
    status: u16,
    exemplar: Option<Exemplar<'a>>,
) -> HttpOutcome<'a> {
    HttpOutcome {
        method: "GET",
        route: Some(route),
        status: Some(status),
        scheme: "http",
        error_type: None,
        duration: Duration::from_millis(3),
        request_bytes: 0,
        response_bytes: Some(280),
        exemplar,
    }
}

fn exemplar() -> Exemplar<'static> {
    Exemplar {
        trace_id: TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
        span_id: SpanId::from_hex("b7ad6b7169203331").unwrap(),
        request_id: Some("0190d5f0-7c1a-7cc0-b5c1-0a4f0f1d6d0e"),
    }
}

//! What a service told while a test watched: its log lines, its spans, its metrics.

use opentelemetry_sdk::trace::SpanData;
use prometheus::proto::{Metric, MetricFamily};
use serde_json::Value;

use super::Story;
use crate::settings::Environment;
use crate::telemetry::logs::{LogFormat, LogSettings};
use crate::telemetry::traces::TracingSettings;
use crate::telemetry::{Captured, Identity, Metrics, Telemetry};

/// Telemetry whose outputs are kept in memory.
#[derive(Clone)]
pub struct Witness {
    telemetry: Telemetry,
    captured: Captured,
}

impl Witness {
    /// Watches a service of this name, at this log filter. Lines are JSON.
    pub fn new(name: &str, filter: &str) -> Self {
        Self::among(name, filter, &[])
    }

    /// The same with `OTEL_*` variables.
    pub fn among(name: &str, filter: &str, variables: &[(&str, &str)]) -> Self {
        let identity = Identity {
            name: name.to_owned(),
            version: "0.0.0-test".to_owned(),
            environment: Environment::Development,
        };
        let log = LogSettings {
            level: filter.to_owned(),
            format: LogFormat::Json,
            ..LogSettings::default()
        };
        let environ = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let tracing = TracingSettings::default();
        let captured = Telemetry::capture_in(&identity, &log, &tracing, &environ);
        let (telemetry, captured) = captured.expect("telemetry");
        Self { telemetry, captured }
    }

    /// To start the service with.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Every log line so far.
    pub fn lines(&self) -> Vec<Value> {
        self.captured.lines()
    }

    /// The lines of one request.
    pub fn lines_of(&self, request_id: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["request_id"] == request_id);
        lines
    }

    /// The one line that tells a request's outcome; fails when there is none or a second one.
    #[track_caller]
    pub fn request_line(&self, request_id: &str) -> Value {
        let mut lines = self.lines_of(request_id);
        lines.retain(|line| line["message"] == "request");
        assert_eq!(lines.len(), 1, "request lines of {request_id}: {lines:?}");
        lines.remove(0)
    }

    /// All that was told of one request, once it has ended; fails where [`Witness::request_line`] does.
    #[track_caller]
    pub fn story_of(&self, request_id: &str) -> Story {
        Story::gather(self, request_id)
    }

    /// Every finished span so far.
    pub fn spans(&self) -> Vec<SpanData> {
        self.captured.spans()
    }

    /// The finished spans of one trace, named by its 32 hexadecimal digits.
    pub fn spans_of(&self, trace_id: &str) -> Vec<SpanData> {
        let mut spans = self.spans();
        spans.retain(|span| span.span_context.trace_id().to_string() == trace_id);
        spans
    }

    /// The sum of a metric over all series that have these labels: the value of a counter or gauge,
    /// the count of a histogram. 0 for one that has not moved.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.telemetry.metrics().gather();
        let family = families.iter().find(|family| family.name() == name);
        let series = family.into_iter().flat_map(MetricFamily::get_metric);
        series.filter(|series| has(series, labels)).map(value).sum()
    }

    /// The metrics themselves.
    pub fn metrics(&self) -> &Metrics {
        self.telemetry.metrics()
    }

    /// Fails when one of these texts stands anywhere in lines, spans or metrics.
    #[track_caller]
    pub fn assert_silent_about(&self, secrets: &[&str]) {
        let told = [
            ("the log", self.captured.text()),
            ("a span", format!("{:?}", self.spans())),
            ("a metric", format!("{:?}", self.telemetry.metrics().gather())),
        ];
        for secret in secrets {
            for (place, text) in &told {
                assert!(!text.contains(secret), "{place} tells {secret}");
            }
        }
    }
}

fn has(series: &Metric, labels: &[(&str, &str)]) -> bool {
    let pairs = series.get_label();
    let found = |(name, value): &(&str, &str)| {
        pairs.iter().any(|pair| pair.name() == *name && pair.value() == *value)
    };
    labels.iter().all(found)
}

fn value(series: &Metric) -> f64 {
    // Tests count far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let observations = series.get_histogram().get_sample_count() as f64;
    // Only one of the three is there; the others are 0.
    observations + series.get_counter().get_value() + series.get_gauge().get_value()
}

//! What a service tells, as one table: metrics, spans, log lines, security events.
//!
//! The chassis' own rows are in the files below; a service adds its own to [`catalogue`]. Metrics are
//! registered from these rows, and a test of the service holds the rest against what it really tells.

mod audit;
pub mod labels;
pub mod metrics;
mod page;
mod signals;
mod variables;

pub(super) use self::variables::VARIABLES;
pub use self::variables::VariableRow;

/// Everything that one service tells.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Metric families.
    pub metrics: Vec<MetricRow>,
    /// Spans.
    pub spans: Vec<SpanRow>,
    /// What stands on every span, as far as it is known there.
    pub every_span: Vec<Field>,
    /// What stands on every log line, as far as it is known there.
    pub every_line: Vec<Field>,
    /// Lines that others build on, with the fields of their own.
    pub lines: Vec<LineRow>,
    /// Values of `event.name`.
    pub events: Vec<EventRow>,
    /// OpenTelemetry's environment variables that are honoured.
    pub variables: Vec<VariableRow>,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct MetricRow {
    /// The name in Prometheus' spelling, with its unit.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [Label],
    /// What it means, as it stands in the exposition.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram {
        /// Upper bounds, in the metric's unit.
        buckets: &'static [f64],
        /// Whether its buckets lead to a trace (OpenMetrics only).
        exemplars: bool,
    },
    /// Always 1; what it says is in its labels. Text 0.0.4 knows it as a gauge.
    Info,
}

/// One label of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// The name, a semantic convention's with underscores for dots.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

/// The values of a label. Either way there are few: no caller can make one up.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These and no others.
    Of(&'static [&'static str]),
    /// Whatever this describes.
    Like(&'static str),
}

/// One kind of span.
#[derive(Clone, Copy, Debug)]
pub struct SpanRow {
    /// The name, or its pattern with attributes in braces.
    pub name: &'static str,
    /// `server`, `client` or `internal`.
    pub kind: &'static str,
    /// When there is one.
    pub when: &'static str,
    /// Its attributes.
    pub attributes: &'static [Field],
}

/// A log line that others build on.
#[derive(Clone, Copy, Debug)]
pub struct LineRow {
    /// The value of `message`.
    pub message: &'static str,
    /// The value of `level`.
    pub level: &'static str,
    /// When there is one.
    pub when: &'static str,
    /// Its fields beside those of every line.
    pub fields: &'static [Field],
}

/// An attribute of a span or a field of a log line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name, OpenTelemetry's where it has one.
    pub name: &'static str,
    /// `string`, `int` or `double`.
    pub kind: &'static str,
    /// When it is left out; nothing for one that always stands.
    pub when: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
}

/// A value of `event.name`.
#[derive(Clone, Copy, Debug)]
pub struct EventRow {
    /// The name, OWASP's where its vocabulary has one.
    pub name: &'static str,
    /// The level of its line.
    pub level: &'static str,
    /// What happened.
    pub meaning: &'static str,
}

/// What every service on this chassis tells.
pub fn catalogue() -> Catalogue {
    Catalogue {
        metrics: metrics::ALL.to_vec(),
        spans: signals::SPANS.to_vec(),
        every_span: signals::EVERY_SPAN.to_vec(),
        every_line: signals::EVERY_LINE.to_vec(),
        lines: [signals::LINES, audit::LINES].concat(),
        events: audit::EVENTS.to_vec(),
        variables: VARIABLES.to_vec(),
    }
}

/// The unit that a name ends with, `_total` not counted.
pub(crate) fn unit_of(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let (_, last) = name.rsplit_once('_')?;
    ["seconds", "bytes", "ratio"].into_iter().find(|unit| *unit == last)
}

impl MetricRow {
    /// A family that only rises.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels: &[], help }
    }

    /// A family that rises and falls.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels: &[], help }
    }

    /// A distribution over these upper bounds.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
    ) -> Self {
        Self { name, kind: MetricKind::Histogram { buckets, exemplars: false }, labels: &[], help }
    }

    /// A family whose labels are what it says.
    pub const fn info(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Info, labels: &[], help }
    }

    /// The same with labels.
    #[must_use]
    pub const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The same with exemplars; only histograms have them.
    #[must_use]
    pub const fn with_exemplars(self) -> Self {
        match self.kind {
            MetricKind::Histogram { buckets, .. } => {
                Self { kind: MetricKind::Histogram { buckets, exemplars: true }, ..self }
            }
            MetricKind::Counter | MetricKind::Gauge | MetricKind::Info => self,
        }
    }

    /// `seconds`, `bytes` or nothing.
    pub fn unit(&self) -> Option<&'static str> {
        unit_of(self.name)
    }

    pub(super) fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

impl Field {
    /// One that always stands.
    pub const fn always(name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, when: None, meaning }
    }

    /// One that stands in some cases.
    pub const fn when(
        name: &'static str,
        kind: &'static str,
        when: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, kind, when: Some(when), meaning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_last_word_of_a_name() {
        assert_eq!(unit_of("process_cpu_seconds_total"), Some("seconds"));
        assert_eq!(unit_of("http_server_request_body_size_bytes"), Some("bytes"));
        assert_eq!(unit_of("readiness"), None);
        assert_eq!(unit_of("seconds"), None);
        assert_eq!(unit_of("two_milliseconds"), None);
    }

    #[test]
    fn each_family_has_one_row() {
        let mut names: Vec<&str> = metrics::ALL.iter().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

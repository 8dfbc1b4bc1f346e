//! The OpenMetrics 1.0 text format, which the `prometheus` crate lacks.
//!
//! It differs from the text format 0.0.4 in the names of families (`_total` and `_info` belong to the
//! samples), in having units and exemplars, and in its end, which tells a whole answer from a cut one.

use std::collections::HashSet;
use std::fmt::{self, Write};

use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::telemetry::catalogue::unit_of;
use crate::telemetry::metrics::exemplars::{ExemplarHistogram, ExemplarHistogramVec, Kept};

/// Writes families and the exemplars of those that have some.
struct Encoder<'a> {
    out: String,
    exemplars: &'a [&'a ExemplarHistogramVec],
    /// The labels of the series at hand, as they are written; used again for each.
    labels: String,
}

/// One family under the name that OpenMetrics gives it.
struct Family<'a> {
    name: &'a str,
    kind: &'static str,
    /// What the name of a sample has beyond the family's, where the type prescribes one.
    suffix: &'static str,
}

/// The families as a whole exposition.
pub(super) fn encode(families: &[MetricFamily], exemplars: &[&ExemplarHistogramVec]) -> String {
    let mut encoder = Encoder { out: String::new(), exemplars, labels: String::new() };
    let taken: HashSet<&str> = families.iter().map(MetricFamily::name).collect();
    for family in families {
        // Writing to a string does not fail.
        let _ = encoder.family(family, &taken);
    }
    encoder.out.push_str("# EOF\n");
    encoder.out
}

impl<'a> Family<'a> {
    fn of(family: &'a MetricFamily, taken: &HashSet<&str>) -> Self {
        let name = family.name();
        let plain = |kind| Self { name, kind, suffix: "" };
        let without = |suffix: &'static str, kind| {
            let short = name.strip_suffix(suffix).filter(|short| !taken.contains(short));
            short.map(|name| Self { name, kind, suffix })
        };
        match family.get_field_type() {
            // A counter's samples must end in `_total`; without it, only `unknown` is left.
            MetricType::COUNTER => without("_total", "counter").unwrap_or(plain("unknown")),
            MetricType::GAUGE => without("_info", "info").unwrap_or(plain("gauge")),
            MetricType::HISTOGRAM => plain("histogram"),
            MetricType::SUMMARY => plain("summary"),
            MetricType::UNTYPED => plain("unknown"),
        }
    }
}

impl Encoder<'_> {
    fn family(&mut self, family: &MetricFamily, taken: &HashSet<&str>) -> fmt::Result {
        let Family { name, kind, suffix } = Family::of(family, taken);
        writeln!(self.out, "# TYPE {name} {kind}")?;
        if let Some(unit) = unit_of(name).filter(|_| kind != "info") {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        write!(self.out, "# HELP {name} ")?;
        escape(&mut self.out, family.help());
        self.out.push('\n');
        for metric in family.get_metric() {
            self.set_labels(metric);
            match family.get_field_type() {
                MetricType::HISTOGRAM => self.histogram(name, metric)?,
                MetricType::SUMMARY => self.summary(name, metric)?,
                MetricType::COUNTER => {
                    self.sample(name, suffix, metric.get_counter().get_value())?;
                }
                // The crate leaves no way to make untyped families.
                MetricType::GAUGE | MetricType::UNTYPED => {
                    self.sample(name, suffix, metric.get_gauge().get_value())?;
                }
            }
        }
        Ok(())
    }

    fn set_labels(&mut self, metric: &Metric) {
        self.labels.clear();
        for pair in metric.get_label() {
            let comma = if self.labels.is_empty() { "" } else { "," };
            self.labels.extend([comma, pair.name(), "=\""]);
            escape(&mut self.labels, pair.value());
            self.labels.push('"');
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, value: f64) -> fmt::Result {
        self.out.extend([name, suffix]);
        if !self.labels.is_empty() {
            self.out.extend(["{", &self.labels, "}"]);
        }
        self.out.push(' ');
        number(&mut self.out, value)?;
        self.out.push('\n');
        Ok(())
    }

    fn histogram(&mut self, name: &str, metric: &Metric) -> fmt::Result {
        let exemplars = self.series(name, metric);
        let histogram = metric.get_histogram();
        let bounded =
            histogram.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count()));
        let bounded = bounded.filter(|(bound, _)| bound.is_finite());
        let all = bounded.chain([(f64::INFINITY, histogram.get_sample_count())]);
        let mut below = 0;
        for (number, (bound, count)) in all.enumerate() {
            self.with_number(name, "_bucket", "le", bound)?;
            write!(self.out, " {count}")?;
            // An exemplar that came after the counts were read belongs to the next scrape.
            let exemplar = exemplars.as_ref().filter(|_| count > below);
            if let Some(kept) = exemplar.and_then(|series| series.exemplar(number)) {
                exemplar_of(&mut self.out, &kept)?;
            }
            self.out.push('\n');
            below = count;
        }
        self.count_and_sum(name, histogram.get_sample_count(), histogram.get_sample_sum())
    }

    fn summary(&mut self, name: &str, metric: &Metric) -> fmt::Result {
        let summary = metric.get_summary();
        for quantile in summary.get_quantile() {
            self.with_number(name, "", "quantile", quantile.quantile())?;
            self.out.push(' ');
            number(&mut self.out, quantile.value())?;
            self.out.push('\n');
        }
        self.count_and_sum(name, summary.sample_count(), summary.sample_sum())
    }

    fn count_and_sum(&mut self, name: &str, count: u64, sum: f64) -> fmt::Result {
        let braces = if self.labels.is_empty() { ["", ""] } else { ["{", "}"] };
        self.out.extend([name, "_count", braces[0], &self.labels, braces[1]]);
        writeln!(self.out, " {count}")?;
        self.sample(name, "_sum", sum)
    }

    /// The name of a sample with one more label, whose value is a number.
    fn with_number(&mut self, name: &str, suffix: &str, label: &str, value: f64) -> fmt::Result {
        let comma = if self.labels.is_empty() { "" } else { "," };
        self.out.extend([name, suffix, "{", &self.labels, comma, label, "=\""]);
        number(&mut self.out, value)?;
        self.out.push_str("\"}");
        Ok(())
    }

    fn series(&self, name: &str, metric: &Metric) -> Option<ExemplarHistogram> {
        let family = self.exemplars.iter().find(|family| family.name() == name)?;
        let value = |label: &&str| {
            let pair = metric.get_label().iter().find(|pair| pair.name() == *label);
            pair.map_or("", |pair| pair.value())
        };
        let values: Vec<&str> = family.labels().iter().map(value).collect();
        family.find(&values).cloned()
    }
}

/// ` # {trace_id="…",span_id="…",request_id="…"} value timestamp`
fn exemplar_of(out: &mut String, kept: &Kept) -> fmt::Result {
    write!(out, " # {{trace_id=\"{}\",span_id=\"{}\"", kept.trace_id, kept.span_id)?;
    if let Some(request_id) = kept.request_id() {
        out.push_str(",request_id=\"");
        escape(out, request_id);
        out.push('"');
    }
    out.push_str("} ");
    number(out, kept.value)?;
    write!(out, " {:.3}", kept.time)
}

/// As a floating point number even where it is whole: that is the canonical form.
fn number(out: &mut String, value: f64) -> fmt::Result {
    if value.is_infinite() {
        return out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    write!(out, "{value:?}")
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

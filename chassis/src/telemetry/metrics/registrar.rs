//! Makes a family out of a row of the catalogue and registers it in one step.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use super::exemplars::ExemplarHistogramVec;
use crate::telemetry::catalogue::{MetricKind, MetricRow};

/// Adds families to one registry. Fails where a row does not describe what is asked for, or where a
/// family of that name is there already.
#[derive(Clone, Copy)]
pub struct Registrar<'a>(&'a Registry);

impl<'a> Registrar<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        Self(registry)
    }

    /// A counter without labels.
    pub fn counter(self, row: &MetricRow) -> prometheus::Result<IntCounter> {
        expect(row, row.kind == MetricKind::Counter && row.labels.is_empty())?;
        self.add(IntCounter::new(row.name, row.help)?)
    }

    /// Counters by the row's labels.
    pub fn counters(self, row: &MetricRow) -> prometheus::Result<IntCounterVec> {
        expect(row, row.kind == MetricKind::Counter && !row.labels.is_empty())?;
        self.add(IntCounterVec::new(opts(row), &row.label_names())?)
    }

    /// A gauge without labels.
    pub fn gauge(self, row: &MetricRow) -> prometheus::Result<IntGauge> {
        expect(row, row.kind == MetricKind::Gauge && row.labels.is_empty())?;
        self.add(IntGauge::new(row.name, row.help)?)
    }

    /// A gauge without labels whose values have decimals.
    pub fn float_gauge(self, row: &MetricRow) -> prometheus::Result<Gauge> {
        expect(row, row.kind == MetricKind::Gauge && row.labels.is_empty())?;
        self.add(Gauge::new(row.name, row.help)?)
    }

    /// Gauges by the row's labels.
    pub fn gauges(self, row: &MetricRow) -> prometheus::Result<IntGaugeVec> {
        expect(row, row.kind == MetricKind::Gauge && !row.labels.is_empty())?;
        self.add(IntGaugeVec::new(opts(row), &row.label_names())?)
    }

    /// Gauges by the row's labels, whose values have decimals.
    pub fn float_gauges(self, row: &MetricRow) -> prometheus::Result<GaugeVec> {
        expect(row, row.kind == MetricKind::Gauge && !row.labels.is_empty())?;
        self.add(GaugeVec::new(opts(row), &row.label_names())?)
    }

    /// Histograms by the row's labels, over the row's buckets; those with exemplars are the chassis' own.
    pub fn histograms(self, row: &MetricRow) -> prometheus::Result<HistogramVec> {
        let MetricKind::Histogram { buckets, exemplars: false } = row.kind else {
            return Err(mismatch(row));
        };
        self.buckets(row, buckets)
    }

    fn buckets(self, row: &MetricRow, buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::from(opts(row)).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, &row.label_names())?)
    }

    /// An info metric: always 1, its facts in the labels.
    pub fn info(self, row: &MetricRow, facts: &[(String, String)]) -> prometheus::Result<()> {
        expect(row, row.kind == MetricKind::Info)?;
        let mut opts = opts(row);
        for (label, value) in facts {
            opts = opts.const_label(label, value);
        }
        self.add(Gauge::with_opts(opts)?)?.set(1.0);
        Ok(())
    }

    pub(super) fn exemplar_histograms(
        self,
        row: &MetricRow,
    ) -> prometheus::Result<ExemplarHistogramVec> {
        let MetricKind::Histogram { buckets, exemplars: true } = row.kind else {
            return Err(mismatch(row));
        };
        let histograms = self.buckets(row, buckets)?;
        Ok(ExemplarHistogramVec::new(row.name, row.label_names(), buckets, histograms))
    }

    pub(super) fn add<C: Collector + Clone + 'static>(self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

fn opts(row: &MetricRow) -> Opts {
    Opts::new(row.name, row.help)
}

fn expect(row: &MetricRow, is: bool) -> prometheus::Result<()> {
    if is { Ok(()) } else { Err(mismatch(row)) }
}

fn mismatch(row: &MetricRow) -> prometheus::Error {
    prometheus::Error::Msg(format!("{} is of another type", row.name))
}

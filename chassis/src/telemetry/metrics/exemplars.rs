//! Exemplars: for each bucket of a histogram, the last request that fell into it.
//!
//! The `prometheus` crate knows none, so its histograms are wrapped here, each with a slot per bucket.
//! How they are written for a scraper is in `exposition`.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceId};
use prometheus::{Histogram, HistogramVec};

use super::slots::{Key, Slots};
use crate::telemetry::RequestScope;

/// OpenMetrics allows 128 characters for names and values; `trace_id`, `span_id` and `request_id` with
/// ids of 32 and 16 digits leave this for the request id. A UUID has 36.
const REQUEST_ID_ROOM: usize = 128 - (8 + 32) - (7 + 16) - 10;
/// More label combinations than a service has; those beyond are counted and have no exemplars.
const SERIES: usize = 1024;

/// Which observations may become exemplars: `OTEL_METRICS_EXEMPLAR_FILTER`, OpenTelemetry's metrics
/// SDK specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExemplarFilter {
    /// Those within a sampled trace, which somebody can look up.
    #[default]
    TraceBased,
    /// All that have a trace id.
    AlwaysOn,
    /// None.
    AlwaysOff,
}

/// Where an observation came from.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span within it.
    pub span_id: SpanId,
    /// The request id; left out of the exposition where it is longer than 55 bytes.
    pub request_id: Option<&'a str>,
}

/// A histogram that remembers, for each bucket, where the last observation came from. Cheap to clone.
#[derive(Clone)]
pub struct ExemplarHistogram(Arc<Series>);

/// Histograms by their labels, each with exemplars. Cheap to clone.
#[derive(Clone)]
pub struct ExemplarHistogramVec(Arc<Family>);

struct Family {
    name: &'static str,
    labels: Vec<&'static str>,
    buckets: &'static [f64],
    histograms: HistogramVec,
    series: Slots<ExemplarHistogram>,
}

struct Series {
    values: Vec<String>,
    buckets: &'static [f64],
    histogram: Histogram,
    /// One for each bucket and one for those beyond. Few are ever used, so each is made when it is.
    slots: Box<[OnceLock<Box<Mutex<Kept>>>]>,
}

/// An exemplar as a slot keeps it: without allocation, since it is overwritten all the time.
#[derive(Clone, Copy)]
pub(in crate::telemetry) struct Kept {
    pub(in crate::telemetry) trace_id: TraceId,
    pub(in crate::telemetry) span_id: SpanId,
    request_id: [u8; REQUEST_ID_ROOM],
    request_id_len: usize,
    pub(in crate::telemetry) value: f64,
    /// Unix time in seconds.
    pub(in crate::telemetry) time: f64,
}

impl ExemplarFilter {
    /// Whether an observation within a span with this flag is one.
    pub fn wants(self, is_sampled: bool) -> bool {
        match self {
            Self::TraceBased => is_sampled,
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
        }
    }

    /// The same for a span as it is known by its context, which may be that of no span at all.
    pub fn exemplar<'a>(
        self,
        span: &SpanContext,
        request_id: Option<&'a str>,
    ) -> Option<Exemplar<'a>> {
        let wanted = span.is_valid() && self.wants(span.is_sampled());
        let (trace_id, span_id) = (span.trace_id(), span.span_id());
        wanted.then_some(Exemplar { trace_id, span_id, request_id })
    }

    /// Hands on the current span, and the request that it belongs to, where they are wanted.
    pub fn with_current<R>(self, f: impl FnOnce(Option<&Exemplar<'_>>) -> R) -> R {
        Context::map_current(|context| {
            let scope = context.get::<Arc<RequestScope>>();
            let request_id = scope.map(|scope| &**scope.request_id());
            f(self.exemplar(context.span().span_context(), request_id).as_ref())
        })
    }
}

impl ExemplarHistogramVec {
    pub(super) fn new(
        name: &'static str,
        labels: Vec<&'static str>,
        buckets: &'static [f64],
        histograms: HistogramVec,
    ) -> Self {
        let series = Slots::new(SERIES);
        Self(Arc::new(Family { name, labels, buckets, histograms, series }))
    }

    /// The histogram of these label values, in the order of the catalogue.
    ///
    /// # Panics
    ///
    /// With another number of values than there are labels, as the `prometheus` crate's.
    pub fn with_label_values(&self, values: &[&str]) -> ExemplarHistogram {
        let is = |series: &ExemplarHistogram| series.0.is(values);
        let make = || self.0.histogram(values);
        let found = self.0.series.find_or_add(key(values), is, make);
        found.cloned().unwrap_or_else(make)
    }

    pub(in crate::telemetry) fn name(&self) -> &'static str {
        self.0.name
    }

    /// The names of the labels, in the order in which `find` takes their values.
    pub(in crate::telemetry) fn labels(&self) -> &[&'static str] {
        &self.0.labels
    }

    /// The series of these label values, if it has room for exemplars.
    pub(in crate::telemetry) fn find(&self, values: &[&str]) -> Option<&ExemplarHistogram> {
        self.0.series.find(key(values), |series| series.0.is(values))
    }
}

impl ExemplarHistogram {
    /// Counts a value, in the unit of the family; the exemplar takes the slot of its bucket.
    pub fn observe_with(&self, value: f64, exemplar: Option<&Exemplar<'_>>) {
        self.0.histogram.observe(value);
        if let Some(exemplar) = exemplar {
            self.0.keep(value, exemplar);
        }
    }

    /// The exemplar of a bucket by its number from below.
    pub(in crate::telemetry) fn exemplar(&self, bucket: usize) -> Option<Kept> {
        let slot = self.0.slots.get(bucket)?.get()?;
        Some(*slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// To count without an exemplar, and to read.
impl Deref for ExemplarHistogram {
    type Target = Histogram;

    fn deref(&self) -> &Histogram {
        &self.0.histogram
    }
}

impl Family {
    fn histogram(&self, values: &[&str]) -> ExemplarHistogram {
        ExemplarHistogram(Arc::new(Series {
            values: values.iter().map(|&value| value.to_owned()).collect(),
            buckets: self.buckets,
            histogram: self.histograms.with_label_values(values),
            slots: (0..=self.buckets.len()).map(|_| OnceLock::new()).collect(),
        }))
    }
}

impl Series {
    fn is(&self, values: &[&str]) -> bool {
        self.values == values
    }

    /// One of two that come at the same time is as good as the other: nobody waits.
    fn keep(&self, value: f64, exemplar: &Exemplar<'_>) {
        let slot = &self.slots[self.buckets.partition_point(|bound| *bound < value)];
        let mut kept = Some(Kept::new(value, exemplar));
        let place = slot.get_or_init(|| Box::new(Mutex::new(kept.take().unwrap_or_default())));
        if let (Some(kept), Ok(mut place)) = (kept, place.try_lock()) {
            *place = kept;
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        let (trace_id, span_id) = (TraceId::INVALID, SpanId::INVALID);
        Self::new(0.0, &Exemplar { trace_id, span_id, request_id: None })
    }
}

impl Kept {
    fn new(value: f64, exemplar: &Exemplar<'_>) -> Self {
        let id = exemplar.request_id.unwrap_or_default().as_bytes();
        let id = if id.len() <= REQUEST_ID_ROOM { id } else { &[] };
        let mut request_id = [0; REQUEST_ID_ROOM];
        request_id[..id.len()].copy_from_slice(id);
        Self {
            trace_id: exemplar.trace_id,
            span_id: exemplar.span_id,
            request_id,
            request_id_len: id.len(),
            value,
            time: unix_seconds(),
        }
    }

    pub(in crate::telemetry) fn request_id(&self) -> Option<&str> {
        let id = std::str::from_utf8(&self.request_id[..self.request_id_len]).ok();
        id.filter(|id| !id.is_empty())
    }
}

fn key(values: &[&str]) -> Key {
    values.iter().fold(Key::new(), |key, value| key.text(value))
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

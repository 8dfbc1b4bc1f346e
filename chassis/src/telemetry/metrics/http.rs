//! What a request adds to the metrics, in one call at its end.
//!
//! Each combination of labels is resolved once and then found again in a table without locks: no text
//! is allocated for a request, and only short words are hashed. Which outcome a request has is decided in
//! `http::observe`.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntGauge, IntGaugeVec};

use super::exemplars::{Exemplar, ExemplarHistogram, ExemplarHistogramVec};
use super::slots::{Key, Slots};

/// More combinations than a service has: routes by methods by the statuses that they really have.
const OUTCOMES: usize = 1024;
/// Methods by schemes.
const IN_FLIGHT: usize = 64;

/// The metrics of HTTP server requests.
pub struct HttpMetrics {
    durations: ExemplarHistogramVec,
    active: IntGaugeVec,
    request_sizes: HistogramVec,
    response_sizes: HistogramVec,
    outcomes: Slots<Box<Resolved>>,
    in_flight: Slots<InFlight>,
}

/// How one request ended.
#[derive(Debug)]
pub struct HttpOutcome<'a> {
    /// The method in the bounded vocabulary of `telemetry::methods`.
    pub method: &'a str,
    /// The template of the route, as the table of routes holds it; none where the path has no route.
    pub route: Option<&'a Arc<str>>,
    /// The status; none where the client went away.
    pub status: Option<u16>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The kind of fault, at 5xx and where the client went away.
    pub error_type: Option<&'a str>,
    /// From the head of the request to the answer.
    pub duration: Duration,
    /// Bytes of the request's body that were read.
    pub request_bytes: u64,
    /// Bytes of the answer's body. Without an answer there is none, and neither size is counted: nobody
    /// knows how much was still to come.
    pub response_bytes: Option<u64>,
    /// Where to look the request up.
    pub exemplar: Option<Exemplar<'a>>,
}

/// A request in flight, counted until it is dropped.
#[must_use]
pub struct ActiveRequest(IntGauge);

/// The handles of one combination of labels.
struct Resolved {
    method: String,
    // Held, so that no other route can come to stand at the same address.
    route: Option<Arc<str>>,
    status: Option<u16>,
    scheme: &'static str,
    error_type: Option<String>,
    duration: ExemplarHistogram,
    sizes: Option<Sizes>,
}

struct Sizes {
    request: Histogram,
    response: Histogram,
}

struct InFlight {
    method: String,
    scheme: &'static str,
    gauge: IntGauge,
}

impl HttpMetrics {
    pub(super) fn new(
        durations: ExemplarHistogramVec,
        active: IntGaugeVec,
        request_sizes: HistogramVec,
        response_sizes: HistogramVec,
    ) -> Self {
        let (outcomes, in_flight) = (Slots::new(OUTCOMES), Slots::new(IN_FLIGHT));
        Self { durations, active, request_sizes, response_sizes, outcomes, in_flight }
    }

    /// Counts a request as in flight while the returned value exists.
    pub fn begin(&self, method: &str, scheme: &'static str) -> ActiveRequest {
        let is = |known: &InFlight| known.method == method && known.scheme == scheme;
        let make = || {
            let gauge = self.active.with_label_values(&[method, scheme]);
            InFlight { method: method.to_owned(), scheme, gauge }
        };
        let found = self.in_flight.find_or_add(Key::new().text(method).text(scheme), is, make);
        let gauge = found.map_or_else(|| make().gauge, |known| known.gauge.clone());
        gauge.inc();
        ActiveRequest(gauge)
    }

    /// Counts how a request ended.
    pub fn record(&self, outcome: &HttpOutcome<'_>) {
        let make = || Box::new(self.resolve(outcome));
        match self.outcomes.find_or_add(outcome.key(), |known| known.is(outcome), make) {
            Some(resolved) => resolved.record(outcome),
            // No room left: as right, and slower.
            None => self.resolve(outcome).record(outcome),
        }
    }

    pub(super) fn durations(&self) -> &ExemplarHistogramVec {
        &self.durations
    }

    fn resolve(&self, outcome: &HttpOutcome<'_>) -> Resolved {
        let HttpOutcome { method, status, scheme, .. } = *outcome;
        let route = outcome.route.map_or("", |route| route);
        let status_label = status.map(|status| status.to_string()).unwrap_or_default();
        let error_type = outcome.error_type.unwrap_or_default();
        let sizes = outcome.response_bytes.is_some().then(|| Sizes {
            request: self.request_sizes.with_label_values(&[method, route]),
            response: self.response_sizes.with_label_values(&[method, route]),
        });
        let labels = [method, route, &status_label, scheme, error_type];
        Resolved {
            method: method.to_owned(),
            route: outcome.route.cloned(),
            status,
            scheme,
            error_type: outcome.error_type.map(str::to_owned),
            duration: self.durations.with_label_values(&labels),
            sizes,
        }
    }
}

impl HttpOutcome<'_> {
    fn key(&self) -> Key {
        let route = self.route.map_or(0, |route| Arc::as_ptr(route).addr() as u64);
        let key = Key::new().number(route).number(self.status.map_or(0, u64::from));
        let key = key.text(self.method).text(self.scheme);
        self.error_type.map_or(key, |error_type| key.text(error_type))
    }
}

impl Resolved {
    fn is(&self, outcome: &HttpOutcome<'_>) -> bool {
        let same_route = match (&self.route, outcome.route) {
            (Some(known), Some(route)) => Arc::ptr_eq(known, route),
            (known, route) => known.is_none() && route.is_none(),
        };
        same_route
            && self.status == outcome.status
            && self.method == outcome.method
            && self.scheme == outcome.scheme
            && self.error_type.as_deref() == outcome.error_type
            && self.sizes.is_some() == outcome.response_bytes.is_some()
    }

    fn record(&self, outcome: &HttpOutcome<'_>) {
        let seconds = outcome.duration.as_secs_f64();
        self.duration.observe_with(seconds, outcome.exemplar.as_ref());
        if let (Some(sizes), Some(response_bytes)) = (&self.sizes, outcome.response_bytes) {
            sizes.request.observe(bytes(outcome.request_bytes));
            sizes.response.observe(bytes(response_bytes));
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn bytes(size: u64) -> f64 {
    size as f64
}

#[cfg(test)]
mod tests;

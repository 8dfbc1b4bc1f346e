//! What one request may take: a place among those in flight, time, and bytes of body.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use poem::http::header;
use poem::{Body, Endpoint, Request, Result};
use tokio::sync::Semaphore;

use super::exchange::Exchange;
use crate::problem::{Problem, ProblemType};
use crate::telemetry::{Metrics, RequestScope};

/// A full house empties within milliseconds, and `Retry-After` knows no less than a second.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Refuses requests beyond a number in flight, at once: waiting would only make all of them late.
pub(super) struct InFlight<E> {
    inner: E,
    places: Arc<Semaphore>,
    metrics: Metrics,
}

/// Ends requests that take too long.
pub(super) struct Timeout<E> {
    inner: E,
    limit: Duration,
    metrics: Metrics,
}

/// Refuses bodies that are too large, by their announced length or else while they are read.
pub(super) struct BodyLimit<E> {
    inner: E,
    limit: usize,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body must not exceed {limit} bytes")]
pub(super) struct TooLarge {
    limit: usize,
}

impl<E> InFlight<E> {
    /// At most `max` requests at once in `inner`.
    pub(super) fn new(inner: E, max: usize, metrics: Metrics) -> Self {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        // An alert on its rate must see the first refusal, so the series begins at 0.
        metrics.http_shed_requests.with_label_values(&["in_flight"]);
        Self { inner, places, metrics }
    }
}

impl<E> Timeout<E> {
    /// At most `limit` for `inner` to answer.
    pub(super) fn new(inner: E, limit: Duration, metrics: Metrics) -> Self {
        metrics.http_shed_requests.with_label_values(&["timeout"]);
        Self { inner, limit, metrics }
    }
}

impl<E> BodyLimit<E> {
    /// At most `limit` bytes for `inner` to read.
    pub(super) fn new(inner: E, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { inner, limit }
    }
}

impl<E: Endpoint> Endpoint for InFlight<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        let Ok(_place) = self.places.try_acquire() else {
            self.metrics.http_shed_requests.with_label_values(&["in_flight"]).inc();
            let problem = Problem::unavailable(RETRY_AFTER_SECONDS);
            return Err(problem
                .detail("too many requests are in flight")
                .error_type("overload")
                .cause("as many requests as server.max_in_flight allows were in flight")
                .into());
        };
        self.inner.call(request).await
    }
}

impl<E: Endpoint> Endpoint for Timeout<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        let answer = tokio::time::timeout(self.limit, self.inner.call(request)).await;
        answer.unwrap_or_else(|_| {
            self.metrics.http_shed_requests.with_label_values(&["timeout"]).inc();
            let problem = Problem::unavailable(RETRY_AFTER_SECONDS);
            let limit = humantime::format_duration(self.limit);
            Err(problem
                .detail("the request took too long")
                .error_type("timeout")
                .cause(format!("no answer within server.request_timeout, {limit}"))
                .into())
        })
    }
}

impl<E: Endpoint> Endpoint for BodyLimit<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<E::Output> {
        let limit = self.limit;
        if is_read(&request) && announced(&request).is_some_and(|length| length > limit) {
            return Err(Problem::from(&TooLarge { limit }).into());
        }
        let body: BoxBody<_, _> = request.take_body().into();
        let limited = Limited::new(body, limit)
            .map_err(move |error| match error.downcast::<LengthLimitError>() {
                Ok(_) => std::io::Error::other(TooLarge { limit }),
                Err(error) => std::io::Error::other(error),
            })
            .map_frame(|frame| {
                let bytes = frame.data_ref().map_or(0, hyper::body::Bytes::len);
                RequestScope::with_current(|scope| {
                    if let Some(scope) = scope {
                        scope.record_request_bytes(bytes);
                    }
                });
                frame
            });
        request.set_body(Body::from(BoxBody::new(limited)));
        self.inner.call(request).await
    }
}

impl From<&TooLarge> for Problem {
    fn from(error: &TooLarge) -> Self {
        Self::new(&ProblemType::CONTENT_TOO_LARGE).detail(error.to_string())
    }
}

/// A body that no operation reads costs nothing, however large it is said to be.
fn is_read(request: &Request) -> bool {
    let exchange = Exchange::of(request);
    let route = exchange.as_ref().and_then(|exchange| exchange.route.as_ref());
    route.is_some_and(|route| route.takes_body(request.method()))
}

fn announced(request: &Request) -> Option<usize> {
    request.header(header::CONTENT_LENGTH)?.parse().ok()
}

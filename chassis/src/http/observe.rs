//! One request, one story: its ids, server span, metrics and the one line that tells its outcome.
//!
//! Outermost of the stack, so that nothing which can happen to a request goes untold. All other
//! layers only produce outcomes; only this one reports them.

mod line;
mod server_span;
mod server_timing;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};
use tracing::{Instrument, Span};
use uuid::Uuid;

pub(super) use self::server_timing::server_timing;
use super::client_address::Clients;
use super::debug::{DebugHeaders, Verdict};
use super::exchange::{CutOff, Exchange, protocol_version};
use super::routes::Routes;
use crate::problem::Failure;
use crate::telemetry::metrics::http::{ActiveRequest, HttpOutcome};
use crate::telemetry::{Metrics, RequestScope, Telemetry, carrier};

/// The header that carries the request id, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that says where the time went.
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Longer ids than this are replaced: they stand on every log line of the request.
const REQUEST_ID_LIMIT: usize = 128;

/// Reports every request that passes through it.
pub(super) struct Observe<E> {
    inner: E,
    routes: Arc<Routes>,
    clients: Clients,
    telemetry: Telemetry,
    trust_incoming: bool,
    debug: DebugHeaders,
}

/// A request under way. Dropped unfinished, it reports that the client went away, or that the
/// listener would wait no longer.
struct Story {
    exchange: Arc<Exchange>,
    scope: Arc<RequestScope>,
    /// With the server span and the scope in it.
    context: Context,
    metrics: Metrics,
    active: Option<ActiveRequest>,
    started: Instant,
    started_at: SystemTime,
    /// Where it can, the listener says that it cuts requests off.
    cut: Option<CutOff>,
    told: bool,
}

/// How a request ended: what span, metrics and line agree on.
struct Outcome<'a> {
    /// `None` where no answer was sent.
    status: Option<StatusCode>,
    /// Bytes of the answer's body.
    size: Option<u64>,
    error_type: Option<&'a str>,
    /// The chain of causes of a failure.
    causes: Option<&'a str>,
    elapsed: Duration,
}

impl<E> Observe<E> {
    /// Observes what `inner` answers.
    pub(super) fn new(
        inner: E,
        routes: Arc<Routes>,
        clients: Clients,
        telemetry: Telemetry,
        trust_incoming: bool,
        debug: DebugHeaders,
    ) -> Self {
        Self { inner, routes, clients, telemetry, trust_incoming, debug }
    }
}

impl<E: Endpoint> Endpoint for Observe<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let (story, carrier) = self.open(&request);
        request.set_data(story.exchange.clone());
        let response = self.inner.get_response(request).instrument(carrier).await;
        Ok(story.tell(response))
    }
}

impl<E> Observe<E> {
    /// The story, and the span that carries its context to wherever the request is worked on.
    fn open(&self, request: &Request) -> (Story, Span) {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let request_id = request_id(request.headers());
        let client = self.clients.resolve(request);
        let debug = self.debug.verify(request.headers());
        let debug_id = debug.as_ref().and_then(Verdict::id).map(ToOwned::to_owned);
        let scope = RequestScope::debugged(Arc::clone(&request_id), debug_id);
        let methods = self.telemetry.known_methods();
        let method = methods.find(request.method().as_str());
        let mut exchange = Exchange {
            client,
            route: self.routes.find(request.uri().path()).cloned(),
            method_original: method.is_none().then(|| request.method().to_string()),
            method: method.unwrap_or_else(|| methods.other()),
            path: request.uri().path().to_owned(),
            protocol_version: protocol_version(request.version()),
            user_agent: text(request.headers(), &header::USER_AGENT),
            request_id,
            trace_id: None,
            quota: OnceLock::new(),
        };
        let context = Context::new().with_value(Arc::clone(&scope));
        let context = match self.parent(request.headers()) {
            Some(parent) => context.with_remote_span_context(parent),
            None => context,
        };
        let tracer = self.telemetry.tracer();
        let authority = || self.clients.authority(request);
        let span = server_span::start(tracer, &context, &exchange, authority, started_at);
        let context = context.with_span(span);
        let ids = context.span().span_context().clone();
        exchange.trace_id = ids.is_valid().then(|| ids.trace_id());
        let carrier = {
            let _attached = context.clone().attach();
            if let Some(verdict) = &debug {
                self.debug.follow(verdict, exchange.client.address);
            }
            carrier::carry_current()
        };
        let metrics = self.telemetry.metrics().clone();
        let active = Some(metrics.http.begin(&exchange.method, exchange.client.scheme()));
        let exchange = Arc::new(exchange);
        let cut = request.data::<CutOff>().cloned();
        let told = false;
        let story =
            Story { exchange, scope, context, metrics, active, started, started_at, cut, told };
        (story, carrier)
    }

    fn parent(&self, headers: &HeaderMap) -> Option<opentelemetry::trace::SpanContext> {
        self.trust_incoming.then(|| self.telemetry.remote_parent(headers)).flatten()
    }
}

impl Story {
    fn tell(mut self, mut response: Response) -> Response {
        self.told = true;
        self.active = None;
        let elapsed = self.started.elapsed();
        let status = response.status();
        let failure = response.extensions_mut().remove::<Failure>();
        let failure = failure.as_ref().filter(|_| status.is_server_error());
        let causes = failure.map(|failure| failure.causes.as_str());
        let size = take_size(&mut response);
        self.report(&Outcome {
            status: Some(status),
            size: Some(size),
            error_type: match failure {
                Some(failure) => Some(&failure.error_type),
                None => status.is_server_error().then(|| status.as_str()),
            },
            causes: causes.filter(|causes| !causes.is_empty()),
            elapsed,
        });
        self.sign(response.headers_mut(), elapsed);
        response
    }

    /// Span, metrics and line agree because they are made from the same values, here.
    fn report(&self, outcome: &Outcome<'_>) {
        let (exchange, span) = (&self.exchange, self.context.span());
        let request_id = Some(&*exchange.request_id);
        self.metrics.http.record(&HttpOutcome {
            method: &exchange.method,
            route: exchange.route.as_ref().map(|route| route.template()),
            status: outcome.status.map(|status| status.as_u16()),
            scheme: exchange.client.scheme(),
            error_type: outcome.error_type,
            duration: outcome.elapsed,
            request_bytes: self.scope.request_bytes(),
            response_bytes: outcome.size,
            exemplar: self.metrics.exemplars.exemplar(span.span_context(), request_id),
        });
        line::write(self, outcome);
        // As long as the histogram and the line say.
        server_span::end(&span, outcome, self.started_at + outcome.elapsed);
    }

    /// Puts the ids on the answer, and what the time went to.
    fn sign(&self, headers: &mut HeaderMap, elapsed: Duration) {
        let span = self.context.span();
        let timing = server_timing(elapsed, self.scope.queries(), span.span_context());
        for (name, value) in
            [(X_REQUEST_ID, &*self.exchange.request_id), (SERVER_TIMING, timing.as_str())]
        {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !self.told {
            self.active = None;
            let cut = self.cut.as_ref().is_some_and(CutOff::is_happening);
            self.report(&Outcome {
                status: None,
                size: None,
                error_type: Some(if cut { "drain_timeout" } else { "client_disconnected" }),
                causes: None,
                elapsed: self.started.elapsed(),
            });
        }
    }
}

pub(super) fn request_id(headers: &HeaderMap) -> Arc<str> {
    // Of two, nobody could say which one it is that others know the request by.
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let sent = lines.next().filter(|_| lines.next().is_none());
    let sent = sent.and_then(|value| value.to_str().ok());
    let kept = sent.filter(|id| {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.bytes().all(safe)
    });
    kept.map_or_else(new_request_id, Arc::from)
}

/// A `UUIDv7`, so that ids sort by time.
pub(super) fn new_request_id() -> Arc<str> {
    let mut text = Uuid::encode_buffer();
    Arc::from(&*Uuid::now_v7().as_hyphenated().encode_lower(&mut text))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The exact size of the body, 0 for one that streams; bodies here are whole.
fn take_size(response: &mut Response) -> u64 {
    let body: BoxBody<_, _> = response.take_body().into();
    let size = body.size_hint().exact().unwrap_or_default();
    response.set_body(Body::from(body));
    size
}

/// Milliseconds with microseconds as decimals: what people read and sort by.
fn millis(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

//! One request, one story: its ids, server span, metrics and the one line that tells its outcome.
//!
//! Outermost of the stack, so that nothing which can happen to a request goes untold. All other
//! layers only produce outcomes; only this one reports them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::client_address::Clients;
use super::exchange::{Exchange, known_method, protocol_version};
use super::routes::Routes;
use crate::problem::Failure;
use crate::telemetry::{Metrics, RequestScope, Telemetry};

/// The header that carries the request id, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Longer ids than this are replaced: they stand on every log line of the request.
const REQUEST_ID_LIMIT: usize = 128;

/// Reports every request that passes through it.
pub(super) struct Observe<E> {
    inner: E,
    routes: Arc<Routes>,
    clients: Clients,
    telemetry: Telemetry,
    trust_incoming: bool,
}

/// A request under way. Dropped unfinished, it reports that the client went away.
struct Story {
    exchange: Arc<Exchange>,
    scope: Arc<RequestScope>,
    span: Span,
    metrics: Metrics,
    started: Instant,
    told: bool,
}

impl<E> Observe<E> {
    /// Observes what `inner` answers.
    pub(super) fn new(
        inner: E,
        routes: Arc<Routes>,
        clients: Clients,
        telemetry: Telemetry,
        trust_incoming: bool,
    ) -> Self {
        Self { inner, routes, clients, telemetry, trust_incoming }
    }
}

impl<E: Endpoint> Endpoint for Observe<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let story = self.open(&request);
        request.set_data(story.exchange.clone());
        let span = story.span.clone();
        let response = self.inner.get_response(request).instrument(span).await;
        Ok(story.tell(response))
    }
}

impl<E> Observe<E> {
    fn open(&self, request: &Request) -> Story {
        let started = Instant::now();
        let request_id = request_id(request.headers());
        let scope = RequestScope::new(request_id.clone());
        let parent = self.trust_incoming.then(|| self.telemetry.remote_parent(request.headers()));
        let mut exchange = Exchange {
            client: self.clients.resolve(request),
            route: self.routes.find(request.uri().path()).cloned(),
            method: known_method(request.method()).unwrap_or("_OTHER"),
            method_original: known_method(request.method())
                .is_none()
                .then(|| request.method().to_string()),
            path: request.uri().path().to_owned(),
            protocol_version: protocol_version(request.version()),
            user_agent: text(request.headers(), &header::USER_AGENT),
            request_id,
            trace_id: None,
            quota: OnceLock::new(),
        };
        let span = {
            // The span takes the attached context as its parent, and hands the scope on to all below.
            let context = Context::new().with_value(scope.clone());
            let _attached = match parent.flatten() {
                Some(parent) => context.with_remote_span_context(parent).attach(),
                None => context.attach(),
            };
            server_span(&exchange, request)
        };
        exchange.trace_id = span_context(&span).map(|context| context.trace_id().to_string());
        let metrics = self.telemetry.metrics().clone();
        metrics
            .http_active_requests
            .with_label_values(&[exchange.method, exchange.client.scheme()])
            .inc();
        Story { exchange: Arc::new(exchange), scope, span, metrics, started, told: false }
    }
}

impl Story {
    fn tell(mut self, mut response: Response) -> Response {
        self.told = true;
        let elapsed = self.started.elapsed();
        let failure = response.extensions_mut().remove::<Failure>();
        let status = response.status();
        let size = take_size(&mut response);
        self.report(Some(status), failure.filter(|_| status.is_server_error()).as_ref(), elapsed);
        let labels = [self.exchange.method, self.exchange.route_template()];
        self.metrics
            .http_request_body_size
            .with_label_values(&labels)
            .observe(bytes(self.scope.request_bytes()));
        self.metrics.http_response_body_size.with_label_values(&labels).observe(bytes(size));
        self.sign(response.headers_mut(), elapsed);
        response
    }

    /// Span, metrics and line agree because they are made from the same values, here.
    fn report(&self, status: Option<StatusCode>, failure: Option<&Failure>, elapsed: Duration) {
        let exchange = &self.exchange;
        let status_label = status.as_ref().map_or("", StatusCode::as_str);
        let error_type = match (status, failure) {
            (None, _) => Some("client_disconnected"),
            (Some(_), None) if status_label.starts_with('5') => Some(status_label),
            (Some(_), failure) => failure.map(|failure| failure.error_type.as_str()),
        };
        if let Some(status) = status {
            self.span.record("http.response.status_code", i64::from(status.as_u16()));
        }
        if let Some(error_type) = error_type {
            self.span.record("error.type", error_type);
            self.span.record("otel.status_code", "ERROR");
        }
        let labels = [
            exchange.method,
            exchange.route_template(),
            status_label,
            exchange.client.scheme(),
            error_type.unwrap_or_default(),
        ];
        self.metrics
            .http_request_duration
            .with_label_values(&labels)
            .observe(elapsed.as_secs_f64());
        self.metrics
            .http_active_requests
            .with_label_values(&[exchange.method, exchange.client.scheme()])
            .dec();
        let causes =
            failure.map(|failure| failure.causes.as_str()).filter(|causes| !causes.is_empty());
        self.span.in_scope(|| self.write_line(status, error_type, causes, elapsed));
    }

    fn write_line(
        &self,
        status: Option<StatusCode>,
        error_type: Option<&str>,
        causes: Option<&str>,
        elapsed: Duration,
    ) {
        let exchange = &self.exchange;
        let (queries, db_elapsed) = self.scope.queries();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "chassis::http",
                    { http.request.method = exchange.method,
                      http.route = exchange.route_template(),
                      url.path = exchange.path,
                      http.response.status_code = status.map(|status| status.as_u16()),
                      duration_ms = millis(elapsed),
                      client.address = exchange.client.address.map(field::display),
                      user_agent.original = exchange.user_agent,
                      user.id = self.scope.user_id(),
                      db.queries = queries,
                      db.duration_ms = millis(db_elapsed),
                      "error.type" = error_type,
                      error = causes },
                    "request"
                )
            };
        }
        match status {
            Some(status) if status.is_server_error() => line!(error),
            _ => line!(info),
        }
    }

    /// Puts the ids on the answer, and what the time went to (W3C Server Timing).
    fn sign(&self, headers: &mut HeaderMap, elapsed: Duration) {
        let (queries, db_elapsed) = self.scope.queries();
        let traceparent = span_context(&self.span).map_or_else(String::new, |context| {
            let flags = context.trace_flags().to_u8();
            format!(
                ", traceparent;desc=\"00-{}-{}-{flags:02x}\"",
                context.trace_id(),
                context.span_id()
            )
        });
        let timing = format!(
            "total;dur={}, db;dur={};desc=\"{queries} queries\"{traceparent}",
            millis(elapsed),
            millis(db_elapsed)
        );
        for (name, value) in
            [(X_REQUEST_ID, self.exchange.request_id.as_str()), (SERVER_TIMING, &timing)]
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
            self.report(None, None, self.started.elapsed());
        }
    }
}

/// OpenTelemetry's HTTP server span; samplers see everything but the outcome.
fn server_span(exchange: &Exchange, request: &Request) -> Span {
    let method = if exchange.method == "_OTHER" { "HTTP" } else { exchange.method };
    let name = match &exchange.route {
        Some(route) => format!("{method} {}", route.template()),
        None => method.to_owned(),
    };
    let (host, port) = authority(request);
    tracing::info_span!(
        target: "chassis::http",
        "request",
        otel.name = name,
        otel.kind = "server",
        http.request.method = exchange.method,
        http.request.method_original = exchange.method_original,
        http.route = exchange.route.as_ref().map(|route| &**route.template()),
        url.path = exchange.path,
        url.scheme = exchange.client.scheme(),
        client.address = exchange.client.address.map(field::display),
        network.peer.address = exchange.client.peer.map(|peer| field::display(peer.ip())),
        network.peer.port = exchange.client.peer.map(|peer| i64::from(peer.port())),
        network.protocol.version = exchange.protocol_version,
        server.address = host,
        server.port = port.map(i64::from),
        user_agent.original = exchange.user_agent,
        http.response.status_code = field::Empty,
        "error.type" = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// HTTP/2 has no `Host`: its authority stands in the URI.
fn authority(request: &Request) -> (Option<String>, Option<u16>) {
    let authority = match request.uri().authority() {
        Some(authority) => Some(authority.clone()),
        None => request.header(header::HOST).and_then(|host| host.parse().ok()),
    };
    let host = authority.as_ref().map(|authority| authority.host().to_owned());
    (host, authority.and_then(|authority| authority.port_u16()))
}

pub(super) fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let kept = sent.filter(|id| {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.bytes().all(safe)
    });
    kept.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn span_context(span: &Span) -> Option<SpanContext> {
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
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

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn bytes(size: u64) -> f64 {
    size as f64
}

/// Milliseconds with microseconds as decimals: what people read and sort by.
fn millis(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

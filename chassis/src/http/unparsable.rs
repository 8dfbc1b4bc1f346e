//! The answer to what never became a request, because its head could not be parsed.
//!
//! hyper refuses it before the stack is asked. It has its ids, a problem, a span, a line and a count
//! all the same, so that a client's complaint can be found.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt, Tracer,
};
use opentelemetry::{Context, KeyValue};
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::field;

use super::client_address::Client;
use super::headers::complete;
use super::observe::{SERVER_TIMING, X_REQUEST_ID, new_request_id, server_timing};
use crate::problem::{CONTENT_TYPE, Occurrence, Problem};
use crate::telemetry::methods::OTHER;
use crate::telemetry::metrics::http::HttpOutcome;
use crate::telemetry::{Metrics, RequestScope, Telemetry};

/// Tells of the refusal, but for an operator's listener, and returns the headers and the body that it is
/// sent with.
pub(crate) fn refuse(
    status: StatusCode,
    client: &Client,
    telemetry: Option<&Telemetry>,
) -> (HeaderMap, String) {
    let request_id = new_request_id();
    let context = Context::new().with_value(RequestScope::new(Arc::clone(&request_id)));
    let context = match telemetry {
        Some(telemetry) => context.with_span(span(status, client, &context, telemetry)),
        None => context,
    };
    let _attached = context.clone().attach();
    let ids = context.span().span_context().clone();
    if let Some(telemetry) = telemetry {
        tell(status, client, &ids, &request_id, telemetry.metrics());
    }

    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    let timing = server_timing(Duration::ZERO, (0, Duration::ZERO), &ids);
    for (name, value) in [(X_REQUEST_ID, &*request_id), (SERVER_TIMING, &timing)] {
        headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    }
    complete(&mut headers, client.https);
    let problem = Problem::from_status(status).detail(detail(status));
    let body = problem.body(Occurrence {
        instance: String::new(),
        request_id: request_id.to_string(),
        trace_id: ids.is_valid().then(|| ids.trace_id().to_string()),
    });
    context.span().end();
    (headers, body)
}

fn detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::URI_TOO_LONG => "the request's target is too long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the request has too many or too large headers"
        }
        _ => "the request is not valid HTTP",
    }
}

/// All that is known of it.
fn span(
    status: StatusCode,
    client: &Client,
    context: &Context,
    telemetry: &Telemetry,
) -> opentelemetry_sdk::trace::Span {
    let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
    let mut span = telemetry.tracer().build_with_context(builder, context);
    span.set_attribute(KeyValue::new("http.request.method", OTHER));
    span.set_attribute(KeyValue::new("url.scheme", client.scheme()));
    if let Some(address) = client.address {
        span.set_attribute(KeyValue::new("client.address", address.to_string()));
    }
    if let Some(peer) = client.peer {
        span.set_attribute(KeyValue::new("network.peer.address", peer.ip().to_string()));
        span.set_attribute(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    span
}

fn tell(
    status: StatusCode,
    client: &Client,
    ids: &SpanContext,
    request_id: &str,
    metrics: &Metrics,
) {
    metrics.http.record(&HttpOutcome {
        method: OTHER,
        route: None,
        status: Some(status.as_u16()),
        scheme: client.scheme(),
        error_type: None,
        duration: Duration::ZERO,
        request_bytes: 0,
        // Nothing was read, so there is nothing to be told of sizes.
        response_bytes: None,
        exemplar: metrics.exemplars.exemplar(ids, Some(request_id)),
    });
    tracing::info!(
        target: "chassis::http",
        { http.request.method = OTHER,
          http.route = "",
          http.response.status_code = status.as_u16(),
          duration_ms = 0.0,
          client.address = client.address.map(field::display) },
        "request"
    );
}

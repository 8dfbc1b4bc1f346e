//! OpenTelemetry's HTTP server span (semantic conventions 1.44, `http-spans`).
//!
//! Made with the SDK itself, and only where the sampler wants it described: a span that is not
//! recorded costs its ids.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, SpanRef, Status, Tracer};
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use poem::http::uri::Authority;

use super::super::exchange::Exchange;
use super::Outcome;
use crate::telemetry::RequestScope;
use crate::telemetry::methods::OTHER;

/// All that a span can have, the request id included.
const ATTRIBUTES: usize = 18;

/// Bytes of a value, as in the log: a queue full of giant spans would hold hundreds of megabytes.
const VALUE_LIMIT: usize = 4096;

/// Starts the span of a request whose parent is in `context`. `authority` is asked where it is wanted.
pub(super) fn start(
    tracer: &SdkTracer,
    context: &Context,
    exchange: &Exchange,
    authority: impl FnOnce() -> Option<Authority>,
    started_at: SystemTime,
) -> Span {
    let builder = SpanBuilder::from_name(name(exchange))
        .with_kind(SpanKind::Server)
        .with_start_time(started_at)
        .with_attributes(Vec::with_capacity(ATTRIBUTES));
    let mut span = tracer.build_with_context(builder, context);
    if span.is_recording() {
        describe(exchange, authority().as_ref(), |attribute| span.set_attribute(attribute));
        let scope = context.get::<Arc<RequestScope>>();
        if let Some(debug_id) = scope.and_then(|scope| scope.debug_id()) {
            span.set_attribute(KeyValue::new("debug.id", debug_id.to_owned()));
        }
    }
    span
}

/// Says how it ended, and ends it. 4xx are the client's errors: their status stays unset.
pub(super) fn end(span: &SpanRef<'_>, outcome: &Outcome<'_>, ended_at: SystemTime) {
    if span.is_recording() {
        let status = outcome.status.map(|status| i64::from(status.as_u16()));
        let status = status.map(|status| KeyValue::new("http.response.status_code", status));
        let error_type =
            outcome.error_type.map(|kind| KeyValue::new("error.type", kind.to_owned()));
        if error_type.is_some() {
            span.set_status(Status::error(""));
        }
        span.set_attributes(status.into_iter().chain(error_type));
    }
    span.end_with_timestamp(ended_at);
}

/// Never the path: a name must not have more values than the service has operations.
fn name(exchange: &Exchange) -> String {
    let method = if &*exchange.method == OTHER { "HTTP" } else { &*exchange.method };
    match &exchange.route {
        Some(route) => [method, route.template()].join(" "),
        None => method.to_owned(),
    }
}

/// Everything but the outcome. The query is left out: it may be anything, an address for one.
fn describe(exchange: &Exchange, authority: Option<&Authority>, mut set: impl FnMut(KeyValue)) {
    let mut add = |key: &'static str, value: Value| set(KeyValue::new(key, value));
    add("http.request.method", StringValue::from(Arc::clone(&exchange.method)).into());
    if let Some(original) = &exchange.method_original {
        add("http.request.method_original", capped(original));
    }
    if let Some(route) = &exchange.route {
        add("http.route", StringValue::from(route.template().clone()).into());
    }
    add("url.path", capped(&exchange.told_path()));
    add("url.scheme", exchange.client.scheme().into());
    if let Some(address) = exchange.client.address {
        add("client.address", text(address));
    }
    if let Some(peer) = exchange.client.peer {
        add("network.peer.address", text(peer.ip()));
        add("network.peer.port", i64::from(peer.port()).into());
    }
    add("network.protocol.version", exchange.protocol_version.into());
    if let Some(authority) = authority {
        add("server.address", capped(host(authority)));
    }
    if let Some(port) = authority.and_then(Authority::port_u16) {
        add("server.port", i64::from(port).into());
    }
    if let Some(user_agent) = exchange.told_user_agent() {
        add("user_agent.original", capped(&user_agent));
    }
}

/// What a caller may make as long as it likes.
fn capped(text: &str) -> Value {
    text[..text.floor_char_boundary(VALUE_LIMIT)].to_owned().into()
}

fn text(address: IpAddr) -> Value {
    address.to_string().into()
}

/// An IPv6 address without its brackets, which belong to URLs.
fn host(authority: &Authority) -> &str {
    let host = authority.host();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_without_brackets() {
        for (text, expected) in
            [("[::1]:80", "::1"), ("[::1]", "::1"), ("a.example:1", "a.example")]
        {
            assert_eq!(host(&text.parse().unwrap()), expected);
        }
    }
}

//! `Server-Timing` (W3C): where the time went, and the span to look at.

use std::fmt::Write;
use std::time::Duration;

use opentelemetry::trace::SpanContext;

use super::millis;

/// The value of the header: total, database and the `traceparent` of the server span.
pub(in crate::http) fn server_timing(
    total: Duration,
    (queries, db): (u32, Duration),
    span: &SpanContext,
) -> String {
    let (total, db) = (millis(total), millis(db));
    // The longest there is, so that it is allocated once.
    let mut value = String::with_capacity(144);
    let _ = write!(value, "total;dur={total}, db;dur={db};desc=\"{queries} queries\"");
    if span.is_valid() {
        let (trace_id, span_id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
        let flags = flags.to_u8();
        let _ = write!(value, ", traceparent;desc=\"00-{trace_id}-{span_id}-{flags:02x}\"");
    }
    value
}

//! A finished span as OTLP's `Span` (opentelemetry/proto/trace/v1/trace.proto), whose field numbers
//! stand here. Spans are encoded where they end: the SDK's many small pieces are freed by the thread
//! that made them, and what waits is small.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::console;
use super::protobuf::{bytes, double, fixed32, fixed64, int, nested, uint};
use super::queue::ITEM;
use super::{Books, Outlet, Queue};

/// The flag that says that the next one is known, and that one: whether the parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// A thread keeps its buffer unless a giant span made it bigger than this.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands every span that ends to the export.
#[derive(Debug)]
pub(in crate::telemetry) struct SpanQueue {
    books: Arc<Books>,
    queue: Arc<Queue>,
    is_console: bool,
    /// Of an attribute's text, in characters.
    length: Option<usize>,
}

impl SpanQueue {
    /// None where spans are not exported.
    pub(in crate::telemetry) fn new(outlet: &Outlet, length: Option<usize>) -> Option<Self> {
        let queue = Arc::clone(outlet.queue.as_ref()?);
        let (books, is_console) = (Arc::clone(&outlet.books), outlet.is_console);
        Some(Self { books, queue, is_console, length })
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        scratch.clear();
        if self.is_console {
            console::write(&span, &mut scratch);
        } else {
            nested(&mut scratch, ITEM, |out| encode(out, &span, self.length));
        }
        let scope = &span.instrumentation_scope;
        if !self.queue.push(scope.name(), scope.version().unwrap_or_default(), &scratch) {
            self.books.dropped();
        }
        if scratch.capacity() <= KEPT_BYTES {
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The service's `Resource`, as field 1 of a request's `ResourceSpans` or `ResourceLogs`.
pub(super) fn resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::new();
    nested(&mut out, 1, |out| {
        for (key, value) in resource {
            attribute(out, 1, key.as_str(), value, None);
        }
    });
    out
}

fn encode(out: &mut Vec<u8>, span: &SpanData, length: Option<usize>) {
    let context = &span.span_context;
    bytes(out, 1, context.trace_id().to_bytes());
    bytes(out, 2, context.span_id().to_bytes());
    state(out, context);
    if span.parent_span_id != SpanId::INVALID {
        bytes(out, 4, span.parent_span_id.to_bytes());
    }
    bytes(out, 5, span.name.as_ref());
    uint(out, 6, kind(&span.span_kind));
    fixed64(out, 7, unix_nanos(span.start_time));
    fixed64(out, 8, unix_nanos(span.end_time));
    attributes(out, 9, &span.attributes, length);
    uint(out, 10, span.dropped_attributes_count.into());
    span.events.iter().for_each(|event| nested(out, 11, |out| encode_event(out, event, length)));
    uint(out, 12, span.events.dropped_count.into());
    span.links.iter().for_each(|link| nested(out, 13, |out| encode_link(out, link, length)));
    uint(out, 14, span.links.dropped_count.into());
    nested(out, 15, |out| status(out, &span.status));
    fixed32(out, 16, flags(context, span.parent_span_is_remote));
}

fn encode_event(out: &mut Vec<u8>, event: &Event, length: Option<usize>) {
    fixed64(out, 1, unix_nanos(event.timestamp));
    bytes(out, 2, event.name.as_ref());
    attributes(out, 3, &event.attributes, length);
    uint(out, 4, event.dropped_attributes_count.into());
}

fn encode_link(out: &mut Vec<u8>, link: &Link, length: Option<usize>) {
    bytes(out, 1, link.span_context.trace_id().to_bytes());
    bytes(out, 2, link.span_context.span_id().to_bytes());
    state(out, &link.span_context);
    attributes(out, 4, &link.attributes, length);
    uint(out, 5, link.dropped_attributes_count.into());
    fixed32(out, 6, flags(&link.span_context, link.span_context.is_remote()));
}

/// `trace_state` has the same number in a span and in a link.
fn state(out: &mut Vec<u8>, context: &SpanContext) {
    let state = context.trace_state().header();
    if !state.is_empty() {
        bytes(out, 3, state);
    }
}

fn status(out: &mut Vec<u8>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => uint(out, 3, 1),
        Status::Error { description } => {
            if !description.is_empty() {
                bytes(out, 2, description.as_ref());
            }
            uint(out, 3, 2);
        }
    }
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(context: &SpanContext, is_remote: bool) -> u32 {
    let remote = if is_remote { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
    u32::from(context.trace_flags().to_u8()) | remote
}

fn attributes(out: &mut Vec<u8>, field: u32, pairs: &[KeyValue], length: Option<usize>) {
    for pair in pairs {
        attribute(out, field, pair.key.as_str(), &pair.value, length);
    }
}

/// A `KeyValue` (opentelemetry/proto/common/v1/common.proto).
fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &Value, length: Option<usize>) {
    nested(out, field, |out| {
        bytes(out, 1, key);
        nested(out, 2, |out| any_value(out, value, length));
    });
}

fn any_value(out: &mut Vec<u8>, value: &Value, length: Option<usize>) {
    match value {
        Value::Bool(value) => uint(out, 2, u64::from(*value)),
        Value::I64(value) => int(out, 3, *value),
        Value::F64(value) => double(out, 4, *value),
        Value::String(text) => bytes(out, 1, cut(text.as_str(), length)),
        Value::Array(array) => nested(out, 5, |out| array_values(out, array, length)),
        // A kind that there is not yet; text can say anything.
        other => bytes(out, 1, cut(&other.as_str(), length)),
    }
}

fn array_values(out: &mut Vec<u8>, array: &Array, length: Option<usize>) {
    match array {
        Array::Bool(values) => each(out, values, |out, value| uint(out, 2, u64::from(*value))),
        Array::I64(values) => each(out, values, |out, value| int(out, 3, *value)),
        Array::F64(values) => each(out, values, |out, value| double(out, 4, *value)),
        Array::String(values) => {
            each(out, values, |out, value| bytes(out, 1, cut(value.as_str(), length)));
        }
        _ => {}
    }
}

fn each<T>(out: &mut Vec<u8>, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    for value in values {
        nested(out, 1, |out| write(out, value));
    }
}

/// The text up to so many characters.
pub(in crate::telemetry) fn cut(text: &str, length: Option<usize>) -> &str {
    let end = length.and_then(|length| text.char_indices().nth(length));
    end.map_or(text, |(at, _)| &text[..at])
}

pub(in crate::telemetry) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

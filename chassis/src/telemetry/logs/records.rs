//! An event as OTLP's `LogRecord` (opentelemetry/proto/logs/v1/logs.proto), whose field numbers stand
//! here. It is encoded in one pass, straight into the bytes that are sent. Lines are in `format`.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Debug, Write};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::Resource;
use tracing::field::{Field, FieldSet, Visit};
use tracing::{Event, Level};

use super::escape::VALUE_LIMIT;
use super::fields::{is_message, key};
use super::format::{Format, Scratch};
use crate::causes;
use crate::telemetry::RequestScope;
use crate::telemetry::export::protobuf::{bytes, double, fixed32, fixed64, int, nested, uint};
use crate::telemetry::export::{Books, ITEM, Outlet, Queue};
use crate::telemetry::otel_environment::AttributeLimits;

/// A thread keeps its buffer unless a giant record made it bigger than this.
const KEPT_BYTES: usize = 64 * 1024;
const BODY: u32 = 5;
const ATTRIBUTE: u32 = 6;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands every event to the export.
pub(in crate::telemetry) struct Records {
    books: Arc<Books>,
    queue: Arc<Queue>,
    limits: AttributeLimits,
    /// On a console, a record is a line as it stands in the log.
    console: Option<Format>,
}

/// Writes the fields of an event as a record's.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    declared: &'a FieldSet,
    limits: AttributeLimits,
    attributes: u32,
    dropped: u32,
}

/// Appends text up to the limit of a value, which ends the formatting of a longer one early.
struct Capped<'a> {
    out: &'a mut Vec<u8>,
    bytes: usize,
    chars: usize,
}

impl Records {
    /// None where log records are not exported.
    pub(in crate::telemetry) fn new(
        outlet: &Outlet,
        limits: AttributeLimits,
        resource: &Resource,
    ) -> Option<Self> {
        Some(Self {
            queue: Arc::clone(outlet.queue.as_ref()?),
            books: Arc::clone(&outlet.books),
            limits,
            console: outlet.is_console.then(|| Format::json(resource)),
        })
    }

    pub(super) fn push(&self, event: &Event<'_>, time: DateTime<Utc>) {
        // Taken, not borrowed: a field that logs while it is formatted finds an empty one.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        scratch.clear();
        match &self.console {
            None => nested(&mut scratch, ITEM, |out| self.encode(event, time, out)),
            Some(format) => {
                let mut line = Scratch::new();
                format.render(event, time, &mut line);
                scratch.extend_from_slice(line.line.as_bytes());
            }
        }
        if !self.queue.push(event.metadata().target(), "", &scratch) {
            self.books.dropped();
        }
        if scratch.capacity() <= KEPT_BYTES {
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
    }

    fn encode(&self, event: &Event<'_>, time: DateTime<Utc>, out: &mut Vec<u8>) {
        let nanos = u64::try_from(time.timestamp_nanos_opt().unwrap_or(0)).unwrap_or(0);
        // It is observed where it happens.
        fixed64(out, 1, nanos);
        fixed64(out, 11, nanos);
        let level = *event.metadata().level();
        uint(out, 2, severity(level));
        bytes(out, 3, level.as_str());
        push_trace(out);
        let mut fields = Fields {
            out,
            declared: event.metadata().fields(),
            limits: self.limits,
            attributes: 0,
            dropped: 0,
        };
        RequestScope::with_current(|scope| {
            if let Some(scope) = scope {
                fields.attribute("request_id", |out| bytes(out, 1, &**scope.request_id()));
            }
        });
        event.record(&mut fields);
        let dropped = fields.dropped;
        uint(out, 7, dropped.into());
    }
}

fn push_trace(out: &mut Vec<u8>) {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        if ids.is_valid() {
            fixed32(out, 8, ids.trace_flags().to_u8().into());
            bytes(out, 9, ids.trace_id().to_bytes());
            bytes(out, 10, ids.span_id().to_bytes());
        }
    });
}

/// The smallest number of each range, as the data model wants it of levels without nuances.
fn severity(level: Level) -> u64 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

impl Fields<'_> {
    /// `write` appends the content of an `AnyValue`.
    fn attribute(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.attributes >= self.limits.count {
            self.dropped += 1;
            return;
        }
        self.attributes += 1;
        nested(self.out, ATTRIBUTE, |out| {
            bytes(out, 1, key);
            nested(out, 2, write);
        });
    }

    /// A value that needs no limit.
    fn value(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        if is_message(field) {
            return nested(self.out, BODY, write);
        }
        let key = key(self.declared, field);
        self.attribute(&key, write);
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Capped<'_>) -> fmt::Result) {
        // The limit of the environment is for attributes alone.
        let chars = self.limits.length.filter(|_| !is_message(field)).unwrap_or(usize::MAX);
        self.value(field, |out| {
            nested(out, 1, |out| {
                // An error says that the limit was reached, or that a value refuses to be formatted.
                let _ = write(&mut Capped { out, bytes: VALUE_LIMIT, chars });
            });
        });
    }
}

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, |out| int(out, 3, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, |text| write!(text, "{value}")),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, |text| write!(text, "{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, |text| write!(text, "{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, |out| uint(out, 2, value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, |out| double(out, 4, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event.name" {
            return bytes(self.out, 12, value);
        }
        self.text(field, |text| text.write_str(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, |text| causes::write(text, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, |text| {
            let start = text.out.len();
            let written = write!(text, "{value:?}");
            strip_quotes(text.out, start);
            written
        });
    }
}

impl Write for Capped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.char_indices().nth(self.chars).map_or(text.len(), |(at, _)| at);
        let end = text.floor_char_boundary(end.min(self.bytes));
        let kept = &text[..end];
        self.out.extend_from_slice(kept.as_bytes());
        self.bytes -= kept.len();
        if self.chars < usize::MAX {
            self.chars -= kept.chars().count();
        }
        if kept.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Takes away the quotes that `Debug` puts around a string, where nothing inside is escaped.
fn strip_quotes(out: &mut Vec<u8>, start: usize) {
    if let [b'"', inner @ .., b'"'] = &out[start..]
        && !inner.contains(&b'\\')
        && !inner.contains(&b'"')
    {
        out.pop();
        out.remove(start);
    }
}

#[cfg(test)]
mod tests;

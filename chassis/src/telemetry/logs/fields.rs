//! The fields of one event as they stand on its line.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, FieldSet, Visit};

use super::escape::{Escape, Escaped, VALUE_LIMIT};
use crate::causes;
use crate::telemetry::resource::{DEPLOYMENT_ENVIRONMENT, SERVICE_NAME, SERVICE_VERSION};

/// Bytes that the message and the fields of one event take together. With what stands on every line
/// that makes 16 KiB, beyond which container runtimes split a line.
const EVENT_LIMIT: usize = 14 * 1024;
/// A field that has less room than this is left out, and counted on the line.
const FIELD_ROOM: usize = 64;
/// The longest key; names are in the source, so a longer one is a mistake.
const KEY_LIMIT: usize = 256;
/// How many fields were left out.
const OMITTED: &str = "fields.omitted";

/// Keys that every line has from elsewhere. A field of that name becomes `fields.<name>`.
const RESERVED: [&str; 11] = [
    "timestamp",
    "level",
    "message",
    "target",
    SERVICE_NAME,
    SERVICE_VERSION,
    DEPLOYMENT_ENVIRONMENT,
    "request_id",
    "trace_id",
    "span_id",
    "trace_flags",
];

/// How pairs and messages are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `,"key":"value"`
    Json,
    /// ` key=value`, in quotes where it could be read as more than one value.
    Pretty,
    /// ` key="value"`, at most 32 characters for the key, as RFC 5424 has it.
    Syslog,
}

/// Sorts an event into its message and its other fields, both spelt and escaped.
pub(super) struct Fields<'a> {
    pub(super) style: Style,
    pub(super) declared: &'a FieldSet,
    pub(super) message: &'a mut String,
    pub(super) pairs: &'a mut String,
    pub(super) omitted: usize,
}

impl Style {
    /// Appends a pair whose value is text.
    pub(super) fn text(self, out: &mut String, key: &str, value: &dyn fmt::Display) {
        self.key(out, key);
        self.value(out, VALUE_LIMIT, |text| write!(text, "{value}"));
    }

    fn key(self, out: &mut String, key: &str) {
        match self {
            Self::Json => {
                out.push_str(",\"");
                escaped(out, Escape::Json, KEY_LIMIT, |text| text.write_str(key));
                out.push_str("\":");
            }
            Self::Pretty => {
                out.push(' ');
                let start = out.len();
                escaped(out, Escape::Plain, KEY_LIMIT, |text| text.write_str(key));
                if out[start..].contains(|c: char| c == '=' || needs_quotes(c)) {
                    let spelt = out.split_off(start);
                    let _ = write!(out, "{spelt:?}");
                }
                out.push('=');
            }
            Self::Syslog => {
                out.push(' ');
                let allowed = |c: &char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"');
                let start = out.len();
                out.extend(key.chars().filter(allowed).take(32));
                if out.len() == start {
                    out.push('_');
                }
                out.push('=');
            }
        }
    }

    /// Numbers and booleans, which need no escaping; syslog knows only text.
    fn literal(self, out: &mut String, value: &dyn fmt::Display) {
        let quote = if self == Self::Syslog { "\"" } else { "" };
        let _ = write!(out, "{quote}{value}{quote}");
    }

    fn value(
        self,
        out: &mut String,
        limit: usize,
        write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result,
    ) {
        match self {
            Self::Json => quoted(out, Escape::Json, limit, write),
            Self::Syslog => quoted(out, Escape::Parameter, limit, write),
            Self::Pretty => {
                let start = out.len();
                escaped(out, Escape::Quoted, limit, write);
                if out[start..].contains(needs_quotes) {
                    out.insert(start, '"');
                    out.push('"');
                }
            }
        }
    }

    /// Takes away the quotes that `Debug` puts around a string, where nothing inside is escaped.
    fn strip_quotes(self, out: &mut String, start: usize) {
        let inner = out[start..]
            .strip_prefix("\"\\\"")
            .and_then(|text| text.strip_suffix("\\\"\""))
            .filter(|text| !text.contains('\\'))
            .map(ToOwned::to_owned);
        if let Some(inner) = inner {
            let quote =
                if self == Self::Pretty && !inner.contains(needs_quotes) { "" } else { "\"" };
            out.truncate(start);
            out.extend([quote, &inner, quote]);
        }
    }

    fn message(self) -> Escape {
        match self {
            Self::Json => Escape::Json,
            Self::Pretty | Self::Syslog => Escape::Plain,
        }
    }
}

/// The key that a field gets.
pub(super) fn key(declared: &FieldSet, field: &Field) -> Cow<'static, str> {
    let raw = field.name();
    // `error.r#type` is how the macros spell `error.type`.
    let name: Cow<'static, str> =
        if raw.as_bytes().contains(&b'#') { raw.replace("r#", "").into() } else { raw.into() };
    let is_reserved = RESERVED.contains(&&*name) || name.starts_with("fields.");
    match earlier(declared, field, &name) + usize::from(is_reserved) {
        0 => name,
        1 => format!("fields.{name}").into(),
        nth => format!("fields.{name}.{nth}").into(),
    }
}

/// How many fields before this one have its name: the macros let one name stand twice, but a key may
/// not.
fn earlier(declared: &FieldSet, field: &Field, name: &str) -> usize {
    let earlier = declared.iter().take(field.index());
    earlier.filter(|earlier| is_spelt(earlier.name(), name)).count()
}
impl Fields<'_> {
    fn key(&mut self, field: &Field) {
        let key = key(self.declared, field);
        self.style.key(self.pairs, &key);
    }

    /// Says how many fields there was no room for.
    pub(super) fn finish(self) {
        if self.omitted > 0 {
            self.style.key(self.pairs, OMITTED);
            self.style.literal(self.pairs, &self.omitted);
        }
    }

    fn room(&self) -> usize {
        EVENT_LIMIT.saturating_sub(self.message.len() + self.pairs.len())
    }

    /// Appends the key of a field, and gives the bytes that there are for its value.
    fn begin(&mut self, field: &Field) -> Option<usize> {
        let room = self.room().checked_sub(field.name().len().min(KEY_LIMIT) + FIELD_ROOM);
        match room {
            Some(_) => self.key(field),
            None => self.omitted += 1,
        }
        room.map(|room| room.min(VALUE_LIMIT))
    }

    fn literal(&mut self, field: &Field, value: &dyn fmt::Display) {
        if is_message(field) {
            return self.text(field, |text| write!(text, "{value}"));
        }
        if self.begin(field).is_some() {
            self.style.literal(self.pairs, value);
        }
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        if is_message(field) {
            let limit = self.room().min(VALUE_LIMIT);
            return escaped(self.message, self.style.message(), limit, write);
        }
        if let Some(limit) = self.begin(field) {
            self.style.value(self.pairs, limit, write);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.literal(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.literal(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for infinities and not-a-number.
        if value.is_finite() {
            self.literal(field, &value);
        } else {
            self.record_str(field, &value.to_string());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |text| text.write_str(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, |text| causes::write(text, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if is_message(field) {
            return self.text(field, |text| write!(text, "{value:?}"));
        }
        if let Some(limit) = self.begin(field) {
            let start = self.pairs.len();
            self.style.value(self.pairs, limit, |text| write!(text, "{value:?}"));
            self.style.strip_quotes(self.pairs, start);
        }
    }
}

/// Whether the name `raw`, as the macros have it, means `name`.
fn is_spelt(raw: &str, name: &str) -> bool {
    raw == name
        || (raw.len() > name.len()
            && raw.as_bytes().contains(&b'#')
            && raw.replace("r#", "") == name)
}

fn quoted(
    out: &mut String,
    escape: Escape,
    limit: usize,
    write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result,
) {
    out.push('"');
    escaped(out, escape, limit, write);
    out.push('"');
}

fn escaped(
    out: &mut String,
    escape: Escape,
    limit: usize,
    write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result,
) {
    // An error says that the limit was reached, or that a value refuses to be formatted; the line
    // is written with what there is.
    let _ = write(&mut Escaped::new(out, escape, limit));
}

/// Whether a value of a pretty line would end early, or have escapes that nobody sees as such.
fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\\')
}

pub(super) fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

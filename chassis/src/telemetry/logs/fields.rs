//! The fields of one event as they stand on its line.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, FieldSet, Visit};

use super::escape::{Escape, Escaped};
use crate::telemetry::resource::{DEPLOYMENT_ENVIRONMENT, SERVICE_NAME, SERVICE_VERSION};

/// Keys that every line has from elsewhere. A field of that name becomes `fields.<name>`.
const RESERVED: [&str; 10] = [
    "timestamp",
    "level",
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
}

impl Style {
    /// Appends a pair whose value is text.
    pub(super) fn text(self, out: &mut String, key: &str, value: &dyn fmt::Display) {
        self.key(out, key);
        self.value(out, |text| write!(text, "{value}"));
    }

    fn key(self, out: &mut String, key: &str) {
        match self {
            Self::Json => {
                out.push_str(",\"");
                escaped(out, Escape::Json, |text| text.write_str(key));
                out.push_str("\":");
            }
            Self::Pretty => {
                out.push(' ');
                escaped(out, Escape::Plain, |text| text.write_str(key));
                out.push('=');
            }
            Self::Syslog => {
                out.push(' ');
                let allowed = |c: &char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"');
                out.extend(key.chars().filter(allowed).take(32));
                out.push('=');
            }
        }
    }

    /// Numbers and booleans, which need no escaping; syslog knows only text.
    fn literal(self, out: &mut String, value: &dyn fmt::Display) {
        let quote = if self == Self::Syslog { "\"" } else { "" };
        let _ = write!(out, "{quote}{value}{quote}");
    }

    fn value(self, out: &mut String, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        match self {
            Self::Json => quoted(out, Escape::Json, write),
            Self::Syslog => quoted(out, Escape::Parameter, write),
            Self::Pretty => {
                let start = out.len();
                escaped(out, Escape::Quoted, write);
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

impl Fields<'_> {
    /// The macros let one name stand twice; a key may not.
    fn is_repeated(&self, field: &Field) -> bool {
        let first = self.declared.field(field.name());
        first.is_some_and(|first| first.index() != field.index())
    }

    fn key(&mut self, field: &Field) {
        let name = field.name();
        if RESERVED.contains(&name) || self.is_repeated(field) {
            return self.style.key(self.pairs, &format!("fields.{name}"));
        }
        // `error.r#type` is how the macros spell `error.type`.
        if name.contains("r#") {
            return self.style.key(self.pairs, &name.replace("r#", ""));
        }
        self.style.key(self.pairs, name);
    }

    fn literal(&mut self, field: &Field, value: &dyn fmt::Display) {
        if is_message(field) {
            let _ = write!(self.message, "{value}");
            return;
        }
        self.key(field);
        self.style.literal(self.pairs, value);
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        if is_message(field) {
            return escaped(self.message, self.style.message(), write);
        }
        self.key(field);
        self.style.value(self.pairs, write);
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
        self.text(field, |text| {
            write!(text, "{value}")?;
            let mut cause = value.source();
            while let Some(error) = cause {
                write!(text, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if is_message(field) {
            return self.text(field, |text| write!(text, "{value:?}"));
        }
        self.key(field);
        let start = self.pairs.len();
        self.style.value(self.pairs, |text| write!(text, "{value:?}"));
        self.style.strip_quotes(self.pairs, start);
    }
}

fn quoted(out: &mut String, escape: Escape, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
    out.push('"');
    escaped(out, escape, write);
    out.push('"');
}

fn escaped(out: &mut String, escape: Escape, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
    // An error says that the limit was reached, or that a value refuses to be formatted; the line
    // is written with what there is.
    let _ = write(&mut Escaped::new(out, escape));
}

/// Whether a value of a pretty line would end early, or have escapes that nobody sees as such.
fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\\')
}

fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

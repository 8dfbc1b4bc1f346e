//! One line out of one event: JSON, text for people, or a syslog message.

use std::fmt::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::Resource;
use tracing::{Event, Level};

use super::fields::{Fields, Style};
use crate::settings::Environ;
use crate::telemetry::RequestScope;
use crate::telemetry::resource::{
    DEPLOYMENT_ENVIRONMENT, SERVICE_NAME, SERVICE_VERSION, attribute,
};

/// Facility local0: a site routes it as it likes, apart from the daemons of the operating system.
const FACILITY: u8 = 16;
/// RFC 5424 section 6.3.2 leaves names without `@` to IANA; own ones end in an enterprise number.
/// A template has none, so this is the one that RFC 5612 sets aside for examples: it can collide
/// with no enterprise's. `opentelemetry` is the name that OpenTelemetry's specification prescribes.
const FIELDS_ELEMENT: &str = "fields@32473";
/// RFC 5424 section 6.4: a message in UTF-8 starts with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How lines are written, with the parts that are the same on each.
#[derive(Clone, Debug)]
pub(super) enum Format {
    /// Holds the pairs of the resource.
    Json(String),
    Pretty {
        colours: bool,
    },
    Syslog(Box<Syslog>),
}

/// The parts of a syslog message that do not change.
#[derive(Clone, Debug)]
pub(super) struct Syslog {
    /// HOSTNAME, APP-NAME, PROCID, MSGID.
    header: String,
    /// The element `origin`, RFC 5424 section 7.2.
    origin: String,
    /// The pair of the environment.
    environment: String,
}

/// Buffers that a thread uses again for each line.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) line: String,
    message: String,
    pairs: String,
    request: String,
    trace: String,
}

/// What every line starts with.
struct Head<'a> {
    time: String,
    level: Level,
    target: &'a str,
}

impl Format {
    pub(super) fn json(resource: &Resource) -> Self {
        let mut pairs = String::new();
        for key in [SERVICE_NAME, SERVICE_VERSION, DEPLOYMENT_ENVIRONMENT] {
            Style::Json.text(&mut pairs, key, &attribute(resource, key));
        }
        Self::Json(pairs)
    }

    pub(super) fn syslog(resource: &Resource, environ: &Environ) -> Self {
        let name = attribute(resource, SERVICE_NAME);
        let (host, app) = (header_part(&host_name(environ), 255), header_part(&name, 48));
        let mut origin = "[origin".to_owned();
        let version = attribute(resource, SERVICE_VERSION);
        Style::Syslog.text(&mut origin, "software", &origin_part(&name, 48));
        Style::Syslog.text(&mut origin, "swVersion", &origin_part(&version, 32));
        origin.push(']');
        let mut environment = String::new();
        let value = attribute(resource, DEPLOYMENT_ENVIRONMENT);
        Style::Syslog.text(&mut environment, DEPLOYMENT_ENVIRONMENT, &value);
        Self::Syslog(Box::new(Syslog {
            header: format!("{host} {app} {} -", std::process::id()),
            origin,
            environment,
        }))
    }

    /// Leaves the line, with its line feed, in the scratch.
    pub(super) fn render(&self, event: &Event<'_>, time: DateTime<Utc>, scratch: &mut Scratch) {
        let metadata = event.metadata();
        let style = self.style();
        scratch.clear();
        let mut fields = Fields {
            style,
            declared: metadata.fields(),
            message: &mut scratch.message,
            pairs: &mut scratch.pairs,
            omitted: 0,
        };
        event.record(&mut fields);
        fields.finish();
        push_request(style, &mut scratch.request);
        push_trace(style, &mut scratch.trace);
        let head = Head {
            time: time.to_rfc3339_opts(SecondsFormat::Micros, true),
            level: *metadata.level(),
            target: metadata.target(),
        };
        let written = match self {
            Self::Json(service) => scratch.json(&head, service),
            Self::Pretty { colours } => scratch.pretty(&head, *colours),
            Self::Syslog(syslog) => scratch.syslog(&head, syslog),
        };
        // Writing to a string does not fail.
        let _ = written;
    }

    pub(super) fn style(&self) -> Style {
        match self {
            Self::Json(_) => Style::Json,
            Self::Pretty { .. } => Style::Pretty,
            Self::Syslog(_) => Style::Syslog,
        }
    }
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self {
            line: String::new(),
            message: String::new(),
            pairs: String::new(),
            request: String::new(),
            trace: String::new(),
        }
    }

    fn clear(&mut self) {
        self.line.clear();
        self.message.clear();
        self.pairs.clear();
        self.request.clear();
        self.trace.clear();
    }

    fn json(&mut self, head: &Head<'_>, service: &str) -> fmt::Result {
        let Head { time, level, .. } = head;
        let message = &self.message;
        write!(self.line, r#"{{"timestamp":"{time}","level":"{level}","message":"{message}""#)?;
        Style::Json.text(&mut self.line, "target", &head.target);
        let (request, trace, pairs) = (&self.request, &self.trace, &self.pairs);
        writeln!(self.line, "{service}{request}{trace}{pairs}}}")
    }

    fn pretty(&mut self, head: &Head<'_>, colours: bool) -> fmt::Result {
        let Head { time, target, .. } = head;
        let level = level_word(head.level, colours);
        let (message, pairs) = (&self.message, &self.pairs);
        let (request, trace) = (&self.request, &self.trace);
        writeln!(self.line, "{time} {level} {target}: {message}{pairs}{request}{trace}")
    }

    fn syslog(&mut self, head: &Head<'_>, syslog: &Syslog) -> fmt::Result {
        let priority = FACILITY * 8 + severity(head.level);
        let (time, Syslog { header, origin, environment }) = (&head.time, syslog);
        write!(self.line, "<{priority}>1 {time} {header} {origin}")?;
        if !self.trace.is_empty() {
            write!(self.line, "[opentelemetry{}]", self.trace)?;
        }
        write!(self.line, "[{FIELDS_ELEMENT}{environment}")?;
        Style::Syslog.text(&mut self.line, "target", &head.target);
        let (message, request, pairs) = (&self.message, &self.request, &self.pairs);
        writeln!(self.line, "{request}{pairs}] {BYTE_ORDER_MARK}{message}")
    }
}

fn push_request(style: Style, out: &mut String) {
    RequestScope::with_current(|scope| {
        if let Some(scope) = scope {
            style.text(out, "request_id", &scope.request_id());
        }
    });
}

/// Absent outside a span, as OpenTelemetry has it for logs that do not travel by OTLP.
fn push_trace(style: Style, out: &mut String) {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        if ids.is_valid() {
            style.text(out, "trace_id", &ids.trace_id());
            style.text(out, "span_id", &ids.span_id());
            let flags = ids.trace_flags().to_u8();
            style.text(out, "trace_flags", &format_args!("{flags:02x}"));
        }
    });
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn level_word(level: Level, colours: bool) -> String {
    let colour = match level {
        _ if !colours => return format!("{level:>5}"),
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    format!("\u{1b}[{colour}m{level:>5}\u{1b}[0m")
}

fn header_part(text: &str, length: usize) -> String {
    let printable = text.chars().filter(char::is_ascii_graphic);
    let part: String = printable.take(length).collect();
    if part.is_empty() { "-".to_owned() } else { part }
}

/// A receiver may hold longer values against the message, RFC 5424 section 7.2.
fn origin_part(text: &str, length: usize) -> String {
    // An escape would be longer than what it stands for.
    text.chars().filter(|c| !c.is_control()).take(length).collect()
}

/// What containers and shells say, else what the kernel says.
fn host_name(environ: &Environ) -> String {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    environ.get("HOSTNAME").map_or_else(kernel, ToOwned::to_owned)
}

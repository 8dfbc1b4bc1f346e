//! What one request left behind, wherever somebody may look for it, held against its two ids.
//!
//! How the request went is for the test to say, in [`Expected`]. What must be true at each place is in
//! `places`; how the findings of many requests look side by side is `table`'s.

mod places;
mod table;

use std::fmt;

use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

use self::places::{Count, attribute, trace_id_of};
use super::{Answer, Witness};
use crate::telemetry::exposition::{Format, expose};

pub use table::StoryTable;

/// The places where the ids of a request stand, in the order of [`Story::places`].
pub const PLACES: [&str; 7] =
    ["log lines", "headers", "problem", "server span", "spans below", "exemplar", "SQL comment"];

/// One request as its log lines, spans and exemplars tell it.
pub struct Story {
    request_id: String,
    trace_id: String,
    /// The line `request`.
    outcome: Value,
    /// Whatever has one of the ids, so that what lacks the other is noticed.
    lines: Vec<Value>,
    spans: Vec<SpanData>,
    exemplars: Vec<String>,
}

/// How a request went, as the test knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// What the caller was answered; none where nobody was left to be.
    pub answer: Option<&'a Answer>,
    /// The caller's own `traceparent`.
    pub traceparent: Option<&'a str>,
    /// OpenTelemetry's `error.type`.
    pub error_type: Option<&'a str>,
    /// Whether there were statements.
    pub statements: bool,
    /// How many passwords were hashed or verified.
    pub hashes: usize,
    /// What the database got to see.
    pub seen: Seen<'a>,
}

/// Texts of a request's statements, as its database tells them.
#[derive(Clone, Copy, Debug, Default)]
pub enum Seen<'a> {
    /// No statement came as far as the database.
    #[default]
    Nothing,
    /// At least these came.
    Texts(&'a [String]),
    /// This database does not tell; the named test looks at it.
    Elsewhere(&'static str),
}

/// What was found at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Both ids stand so many times, and no other ones.
    Stands(usize),
    /// Nothing is there, and nothing can be.
    Nowhere,
    /// Another test looks there.
    Elsewhere(&'static str),
    /// An id is missing or another's, or something stands where nothing can be.
    Wrong(String),
}

impl Story {
    pub(super) fn gather(witness: &Witness, request_id: &str) -> Self {
        let outcome = witness.request_line(request_id);
        let trace_id = outcome["trace_id"].as_str().unwrap_or_default().to_owned();
        let mut lines = witness.lines();
        lines.retain(|line| line["request_id"] == request_id || line["trace_id"] == *trace_id);
        let mut spans = witness.spans();
        spans.retain(|span| {
            trace_id_of(span) == trace_id || attribute(span, "request_id") == request_id
        });
        let scrape = expose(witness.metrics(), Format::OpenMetrics1).expect("a scrape");
        let scrape = String::from_utf8(scrape.body).expect("UTF-8");
        let told = |line: &&str| line.contains(&trace_id) || line.contains(request_id);
        let exemplars = scrape.lines().filter(|line| line.contains(" # {")).filter(told);
        let exemplars = exemplars.map(str::to_owned).collect();
        Self { request_id: request_id.to_owned(), trace_id, outcome, lines, spans, exemplars }
    }

    /// Every log line, in their order.
    pub fn lines(&self) -> &[Value] {
        &self.lines
    }

    /// The line with this message; fails when there is none.
    #[track_caller]
    pub fn line(&self, message: &str) -> &Value {
        let found = self.lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no line {message:?} in {:?}", self.lines))
    }

    /// Every finished span, in the order of their ends.
    pub fn spans(&self) -> &[SpanData] {
        &self.spans
    }

    /// The span of this name; fails when there is none.
    #[track_caller]
    pub fn span(&self, name: &str) -> &SpanData {
        let found = self.spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name:?} in {:?}", self.spans))
    }

    /// What stands at each of the [`PLACES`].
    pub fn places(&self, expected: &Expected<'_>) -> [Finding; 7] {
        [
            self.log_lines(expected).into(),
            self.headers(expected).into(),
            self.problem(expected).into(),
            self.server_span(expected).into(),
            self.spans_below(expected).into(),
            self.exemplar().into(),
            match expected.seen {
                Seen::Nothing => Finding::Nowhere,
                Seen::Texts(texts) => self.sql_comments(texts).into(),
                Seen::Elsewhere(test) => Finding::Elsewhere(test),
            },
        ]
    }
}

impl From<Count> for Finding {
    fn from(count: Count) -> Self {
        match count {
            Ok(0) => Self::Nowhere,
            Ok(count) => Self::Stands(count),
            Err(what) => Self::Wrong(what),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stands(count) => write!(f, "{count}"),
            Self::Nowhere => f.write_str("-"),
            Self::Elsewhere(test) => f.write_str(test),
            Self::Wrong(_) => f.write_str("WRONG"),
        }
    }
}

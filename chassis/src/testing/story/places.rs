//! What must be true at each place. Where both ids stand is counted; anything else is a complaint.

use std::fmt::Debug;

use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

use super::{Expected, Story};
use crate::problem::CONTENT_TYPE;

const DURATIONS: &str = "http_server_request_duration_seconds_bucket{";

pub(super) type Count = Result<usize, String>;

impl Story {
    pub(super) fn log_lines(&self, expected: &Expected<'_>) -> Count {
        for line in &self.lines {
            for (key, id) in [("request_id", &self.request_id), ("trace_id", &self.trace_id)] {
                same(key, line[key].as_str(), Some(id))?;
            }
            same("trace_flags", &line["trace_flags"], &self.outcome["trace_flags"])?;
            let span_id = line["span_id"].as_str().unwrap_or_default();
            let known = !self.is_sampled() || self.spans.iter().any(|span| id_of(span) == span_id);
            same("a line is within a span of the trace", known, true)?;
        }
        let status = expected.answer.map(|answer| u64::from(answer.status.as_u16()));
        same("the line's status", self.outcome["http.response.status_code"].as_u64(), status)?;
        same("the line's error.type", self.outcome["error.type"].as_str(), expected.error_type)?;
        Ok(self.lines.len())
    }

    pub(super) fn headers(&self, expected: &Expected<'_>) -> Count {
        let Some(answer) = expected.answer else { return Ok(0) };
        same("X-Request-Id", answer.header("x-request-id"), &self.request_id)?;
        let timing = answer.header("server-timing");
        let own = format!("traceparent;desc=\"00-{}-{}\"", self.trace_id, self.span_and_flags());
        same("the end of Server-Timing", timing.ends_with(&own), true)?;
        Ok(2)
    }

    pub(super) fn problem(&self, expected: &Expected<'_>) -> Count {
        let Some(answer) = expected.answer else { return Ok(0) };
        let is_problem = answer.header("content-type") == CONTENT_TYPE;
        same("a problem", is_problem, answer.status.as_u16() >= 400)?;
        if !is_problem {
            return Ok(0);
        }
        let problem = answer.json();
        same("the problem's request_id", problem["request_id"].as_str(), Some(&self.request_id))?;
        same("the problem's trace_id", problem["trace_id"].as_str(), Some(&self.trace_id))?;
        Ok(2)
    }

    pub(super) fn server_span(&self, expected: &Expected<'_>) -> Count {
        let continued = expected.traceparent.map(|parent| &parent[3..35]);
        same("the caller's trace", continued.unwrap_or(&self.trace_id), &self.trace_id)?;
        let is_server = |span: &&SpanData| span.span_kind == SpanKind::Server;
        let servers: Vec<&SpanData> = self.spans.iter().filter(is_server).collect();
        same("server spans", servers.len(), usize::from(self.is_sampled()))?;
        for span in &servers {
            self.is_ours(span)?;
            same("the server span's id", id_of(span).as_str(), self.span_id())?;
            let parent = expected.traceparent.map_or(SpanId::INVALID.to_string(), |parent| {
                parent.get(36..52).unwrap_or_default().to_owned()
            });
            same("the server span's parent", &span.parent_span_id.to_string(), &parent)?;
            for key in ["http.response.status_code", "error.type"] {
                same(key, &attribute(span, key), &bare(&self.outcome[key]))?;
            }
        }
        Ok(servers.len())
    }

    pub(super) fn spans_below(&self, expected: &Expected<'_>) -> Count {
        let queries = self.outcome["db.queries"].as_u64().unwrap_or_default();
        same("statements", queries > 0, expected.statements)?;
        let below = self.spans.iter().filter(|span| span.span_kind != SpanKind::Server);
        let below: Vec<&SpanData> = below.collect();
        if !self.is_sampled() {
            same("spans of a trace that is not sampled", below.len(), 0)?;
            return Ok(0);
        }
        for span in &below {
            self.is_ours(span)?;
            self.leads_to_the_server_span(span)?;
        }
        let count = |is: fn(&&&SpanData) -> bool| below.iter().filter(is).count();
        let statements = count(|span| !attribute(span, "db.system.name").is_empty());
        same("statements by their spans", u64::try_from(statements), Ok(queries))?;
        let hashes = count(|span| span.name.starts_with("password "));
        same("hashes by their spans", hashes, expected.hashes)?;
        Ok(below.len())
    }

    /// In the series that the line describes; what statements and hashes added has both ids too.
    pub(super) fn exemplar(&self) -> Count {
        let (trace, request) = (&self.trace_id, &self.request_id);
        let ids = [format!("trace_id=\"{trace}\""), format!("request_id=\"{request}\"")];
        let labels = [
            ("http_request_method", "http.request.method"),
            ("http_route", "http.route"),
            ("http_response_status_code", "http.response.status_code"),
            ("error_type", "error.type"),
        ];
        let labels = labels.map(|(label, key)| format!("{label}=\"{}\"", bare(&self.outcome[key])));
        for exemplar in &self.exemplars {
            for id in &ids {
                same(exemplar, exemplar.contains(id), true)?;
            }
        }
        let own = self.exemplars.iter().filter(|exemplar| exemplar.starts_with(DURATIONS));
        let own: Vec<&String> = own.collect();
        same("exemplars", own.len(), usize::from(self.is_sampled()))?;
        for exemplar in &own {
            for label in &labels {
                same(&format!("{label} of {exemplar}"), exemplar.contains(label), true)?;
            }
        }
        Ok(own.len())
    }

    pub(super) fn sql_comments(&self, texts: &[String]) -> Count {
        same("the database saw no statement", texts.is_empty(), false)?;
        let spans = self.spans.iter().map(id_of).chain([self.span_id().to_owned()]);
        let comments: Vec<String> = spans
            .map(|span| {
                let (request, trace) = (&self.request_id, &self.trace_id);
                let flags = bare(&self.outcome["trace_flags"]);
                format!(" /*request_id='{request}',traceparent='00-{trace}-{span}-{flags}'*/")
            })
            .collect();
        for text in texts {
            let commented = comments.iter().any(|comment| text.ends_with(comment));
            same(text, commented, true)?;
        }
        Ok(texts.len())
    }

    fn is_ours(&self, span: &SpanData) -> Result<(), String> {
        let request_id = attribute(span, "request_id");
        same(&format!("request_id of {}", span.name), &request_id, &self.request_id)?;
        same(&format!("trace of {}", span.name), &trace_id_of(span), &self.trace_id)
    }

    fn leads_to_the_server_span(&self, span: &SpanData) -> Result<(), String> {
        let mut above = span;
        // There are no more steps than spans.
        for _ in &self.spans {
            if above.parent_span_id.to_string() == self.span_id() {
                return Ok(());
            }
            let parent = above.parent_span_id;
            let found = self.spans.iter().find(|span| span.span_context.span_id() == parent);
            above = found.ok_or_else(|| format!("{} has no parent here", above.name))?;
        }
        Err(format!("{} is above itself", span.name))
    }

    fn is_sampled(&self) -> bool {
        self.outcome["trace_flags"] == "01"
    }

    fn span_id(&self) -> &str {
        self.outcome["span_id"].as_str().unwrap_or_default()
    }

    fn span_and_flags(&self) -> String {
        format!("{}-{}", self.span_id(), bare(&self.outcome["trace_flags"]))
    }
}

fn same<F: PartialEq<E> + Debug + Copy, E: Debug + Copy>(
    what: &str,
    found: F,
    expected: E,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?} instead of {expected:?}"))
}

pub(super) fn trace_id_of(span: &SpanData) -> String {
    span.span_context.trace_id().to_string()
}

fn id_of(span: &SpanData) -> String {
    span.span_context.span_id().to_string()
}

/// The attribute as text, empty where there is none.
pub(super) fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key);
    found.map(|pair| pair.value.to_string()).unwrap_or_default()
}

/// The value as a label or an attribute shows it, empty for none.
fn bare(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

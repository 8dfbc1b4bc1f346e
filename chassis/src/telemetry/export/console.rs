//! `OTEL_TRACES_EXPORTER=console`: a finished span as a line of JSON. Lines go to stderr, because
//! stdout carries log lines and nothing else.

use std::io::Write;

use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Map, Value, json};

use super::spans::unix_nanos;

pub(super) fn write(span: &SpanData, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = writeln!(out, "{}", describe(span));
}

fn describe(span: &SpanData) -> Value {
    let attributes: Map<String, Value> =
        span.attributes.iter().map(|pair| (pair.key.to_string(), attribute(&pair.value))).collect();
    let parent = span.parent_span_id;
    json!({
        "name": span.name,
        "kind": format!("{:?}", span.span_kind),
        "trace_id": span.span_context.trace_id().to_string(),
        "span_id": span.span_context.span_id().to_string(),
        "parent_span_id": (parent != SpanId::INVALID).then(|| parent.to_string()),
        "start_unix_nanos": unix_nanos(span.start_time),
        "end_unix_nanos": unix_nanos(span.end_time),
        "status": match &span.status {
            Status::Unset => "unset".to_owned(),
            Status::Ok => "ok".to_owned(),
            Status::Error { description } => format!("error {description}").trim_end().to_owned(),
        },
        "attributes": attributes,
    })
}

fn attribute(value: &opentelemetry::Value) -> Value {
    match value {
        opentelemetry::Value::Bool(value) => json!(value),
        opentelemetry::Value::I64(value) => json!(value),
        opentelemetry::Value::F64(value) => json!(value),
        other => json!(other.as_str()),
    }
}

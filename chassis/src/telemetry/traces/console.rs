//! `OTEL_TRACES_EXPORTER=console`: each finished span as a line of JSON. On stderr, because stdout
//! carries log lines and nothing else.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Map, Value, json};

#[derive(Debug)]
pub(super) struct Console;

impl SpanExporter for Console {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut stderr = std::io::stderr().lock();
        batch
            .iter()
            .try_for_each(|span| writeln!(stderr, "{}", describe(span)))
            .map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
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

fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

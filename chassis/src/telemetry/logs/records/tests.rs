//! What a record says, read with OpenTelemetry's own messages.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod reference;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};

use super::*;
use crate::telemetry::Metrics;
use crate::telemetry::export::outlet_for_tests;

struct Recording(Records);

impl<S: tracing::Subscriber> Layer<S> for Recording {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        self.0.push(event, DateTime::from_timestamp(1_700_000_000, 5).unwrap());
    }
}

/// The records of what `work` logs, each with its scope.
fn records(limits: AttributeLimits, work: impl FnOnce()) -> Vec<(String, LogRecord)> {
    let outlet = outlet_for_tests(&Metrics::new().unwrap());
    let layer = Records::new(&outlet, limits, &Resource::builder_empty().build()).unwrap();
    let subscriber = tracing_subscriber::registry().with(Recording(layer));
    tracing::subscriber::with_default(subscriber, work);
    let request = outlet.queue.unwrap().request_for_tests(&[]);
    by_scope(ExportLogsServiceRequest::decode(request.as_slice()).unwrap())
}

fn by_scope(request: ExportLogsServiceRequest) -> Vec<(String, LogRecord)> {
    let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    scopes
        .flat_map(|logs| {
            let scope = logs.scope.unwrap().name;
            logs.log_records.into_iter().map(move |record| (scope.clone(), record))
        })
        .collect()
}

fn record(work: impl FnOnce()) -> LogRecord {
    let limits = AttributeLimits { count: 128, length: None };
    records(limits, work).remove(0).1
}

fn value(attributes: &[KeyValue], key: &str) -> Value {
    let found: Vec<_> = attributes.iter().filter(|pair| pair.key == key).collect();
    assert_eq!(found.len(), 1, "{key} in {attributes:?}");
    found[0].value.clone().unwrap().value.unwrap()
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

#[test]
fn values_keep_their_types() {
    let error = std::io::Error::other("broken");
    let error: &(dyn Error + 'static) = &error;
    let record = record(|| {
        tracing::info!(
            i = -7_i64,
            u = 7_u64,
            huge = u64::MAX,
            b = true,
            f = 1.5,
            s = "text",
            d = ?"quoted",
            list = ?[1, 2],
            shown = %"shown",
            error,
            "the {} message",
            1
        );
    });
    let Some(AnyValue { value: Some(body) }) = record.body else { panic!("no body") };
    assert_eq!(body, text("the 1 message"));
    let value = |key| value(&record.attributes, key);
    assert_eq!(value("i"), Value::IntValue(-7));
    assert_eq!(value("u"), Value::IntValue(7));
    assert_eq!(value("huge"), text("18446744073709551615"));
    assert_eq!(value("b"), Value::BoolValue(true));
    assert_eq!(value("f"), Value::DoubleValue(1.5));
    assert_eq!(value("s"), text("text"));
    assert_eq!(value("d"), text("quoted"));
    assert_eq!(value("list"), text("[1, 2]"));
    assert_eq!(value("shown"), text("shown"));
    assert_eq!(value("error"), text("broken"));
    assert_eq!(record.attributes.len(), 10);
    assert_eq!(record.time_unix_nano, 1_700_000_000_000_000_005);
    assert_eq!(record.observed_time_unix_nano, record.time_unix_nano);
}

#[test]
fn levels_are_the_data_models_numbers_and_the_target_is_the_scope() {
    let limits = AttributeLimits { count: 128, length: None };
    let records = records(limits, || {
        tracing::trace!(target: "one", "t");
        tracing::debug!(target: "two", "d");
        tracing::info!(target: "one", "i");
        tracing::warn!(target: "one", "w");
        tracing::error!(target: "one", "e");
    });
    let told: Vec<_> = records
        .iter()
        .map(|(scope, record)| (scope.as_str(), record.severity_number, &*record.severity_text))
        .collect();
    let expected = [
        ("one", 1, "TRACE"),
        ("one", 9, "INFO"),
        ("one", 13, "WARN"),
        ("one", 17, "ERROR"),
        ("two", 5, "DEBUG"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn names_are_those_of_the_lines_and_the_event_has_a_name_of_its_own() {
    let record = record(|| {
        tracing::info!(
            event.name = "authn_login_fail",
            error.r#type = "timeout",
            request_id = "forged",
            level = "forged",
            "m"
        );
    });
    assert_eq!(record.event_name, "authn_login_fail");
    let keys: Vec<_> = record.attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["error.type", "fields.request_id", "fields.level"]);
}

#[test]
fn inside_a_request_it_has_the_requests_ids() {
    let ids = SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId::from(0xb7ad_6b71_6920_3331),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let inside = record(|| {
        let context = Context::new().with_value(RequestScope::new("r-1".into()));
        let _attached = context.with_remote_span_context(ids.clone()).attach();
        tracing::info!("inside");
    });
    assert_eq!(value(&inside.attributes, "request_id"), text("r-1"));
    assert_eq!(inside.trace_id, ids.trace_id().to_bytes());
    assert_eq!(inside.span_id, ids.span_id().to_bytes());
    assert_eq!(inside.flags, 1);
    let outside = record(|| tracing::info!("outside"));
    assert!(outside.trace_id.is_empty() && outside.span_id.is_empty());
    assert!(outside.attributes.is_empty());
}

#[test]
fn long_values_are_cut_and_too_many_are_counted() {
    let long = "é".repeat(VALUE_LIMIT);
    let limits = AttributeLimits { count: 2, length: Some(3) };
    let records = records(limits, || tracing::info!(a = long, b = ?long, c = 1, d = 2, "{long}"));
    let record = &records[0].1;
    assert_eq!(value(&record.attributes, "a"), text("ééé"));
    assert_eq!(value(&record.attributes, "b"), text("\"éé"));
    assert_eq!((record.attributes.len(), record.dropped_attributes_count), (2, 2));
    let Some(AnyValue { value: Some(body) }) = &record.body else { panic!("no body") };
    assert_eq!(body, &text(&"é".repeat(VALUE_LIMIT / 2)));
}

//! What a span says, read with OpenTelemetry's own messages, and how much memory it takes.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod reference;

use std::borrow::Cow;

use opentelemetry::trace::{TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, StringValue};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use prost::Message;

use super::*;

fn context(span_id: u64, is_remote: bool) -> SpanContext {
    let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
    SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId::from(span_id),
        TraceFlags::SAMPLED,
        is_remote,
        state,
    )
}

fn span(attributes: Vec<KeyValue>) -> SpanData {
    SpanData {
        span_context: context(7, false),
        parent_span_id: SpanId::from(6),
        parent_span_is_remote: true,
        span_kind: SpanKind::Server,
        name: Cow::Borrowed("GET /users/{user_id}"),
        start_time: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001),
        end_time: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_002),
        attributes,
        dropped_attributes_count: 1,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("scope").build(),
    }
}

fn decode(span: &SpanData, length: Option<usize>) -> proto::Span {
    let mut out = Vec::new();
    encode(&mut out, span, length);
    proto::Span::decode(out.as_slice()).unwrap()
}

#[test]
fn everything_in_a_span_arrives() {
    let mut given = span(vec![KeyValue::new("a", true)]);
    given.status = Status::error("broken");
    given.events.events.push(Event::new(
        "event",
        UNIX_EPOCH + Duration::from_nanos(3),
        vec![KeyValue::new("b", 1)],
        2,
    ));
    given.events.dropped_count = 4;
    given.links.links.push(Link::new(context(5, true), vec![KeyValue::new("c", 2)], 6));
    // OpenTelemetry's own conversion says what is expected.
    let expected = proto::Span::from(given.clone());
    assert_eq!(decode(&given, None), expected);
    given.parent_span_id = SpanId::INVALID;
    given.parent_span_is_remote = false;
    given.span_kind = SpanKind::Client;
    given.status = Status::Ok;
    given.links.links[0].span_context = context(5, false);
    assert_eq!(decode(&given, None), proto::Span::from(given.clone()));
}

#[test]
fn attributes_of_every_kind_arrive_and_texts_are_cut() {
    let values = [
        Value::from(true),
        Value::from(-1_i64),
        Value::from(0.5),
        Value::from("äöüß"),
        Value::Array(vec![true, false].into()),
        Value::Array(vec![1_i64, 2].into()),
        Value::Array(vec![0.5, 1.5].into()),
        Value::Array(vec![StringValue::from("äöüß"), StringValue::from("b")].into()),
    ];
    let given = span(values.map(|value| KeyValue::new("k", value)).into());
    assert_eq!(decode(&given, None).attributes, proto::Span::from(given.clone()).attributes);
    let cut = decode(&given, Some(3)).attributes;
    let AnyValue::StringValue(text) = cut[3].value.clone().unwrap().value.unwrap() else {
        unreachable!("a text")
    };
    assert_eq!(text, "äöü");
}

#[test]
fn a_server_span_takes_some_half_a_kibibyte() {
    let server = span(vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.path", "/users/0190b5a4-7d3e-7c6a-9c5e-3a1f2b4c5d6e"),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("http.route", "/users/{user_id}"),
        KeyValue::new("http.response.status_code", 200),
        KeyValue::new("client.address", "203.0.113.7"),
        KeyValue::new("network.peer.address", "203.0.113.7"),
        KeyValue::new("network.peer.port", 54_321),
        KeyValue::new("network.protocol.version", "1.1"),
        KeyValue::new("server.address", "users.example.com"),
        KeyValue::new("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0"),
        KeyValue::new("request_id", "0190b5a4-7d3e-7c6a-9c5e-3a1f2b4c5d6e"),
    ]);
    let mut out = Vec::new();
    nested(&mut out, ITEM, |out| encode(out, &server, None));
    assert!((400..640).contains(&out.len()), "{}", out.len());
}

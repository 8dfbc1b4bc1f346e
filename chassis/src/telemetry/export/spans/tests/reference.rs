//! Hundreds of different spans, sent by us and by opentelemetry-otlp: both say the same.
//!
//! One difference is on purpose: attributes and schema URLs of a scope are not sent. All spans are
//! made by the chassis's tracer (`traces`), and its scope has neither.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;

use super::*;
use crate::telemetry::Metrics;
use crate::telemetry::export::outlet_for_tests;
use crate::telemetry::export::reference::{self, Dice};

const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];
/// Requests, and spans in each: together every kind with every status many times.
const REQUESTS: usize = 8;
const SPANS: usize = 60;

#[test]
fn spans_are_sent_as_the_reference_sends_them() {
    let mut dice = Dice::new();
    let resource =
        Resource::builder_empty().with_attributes((0..40).map(|_| pair(&mut dice))).build();
    let outlet = outlet_for_tests(&Metrics::new().unwrap());
    let processor = SpanQueue::new(&outlet, None).unwrap();
    let queue = outlet.queue.unwrap();
    for _ in 0..REQUESTS {
        let spans: Vec<_> = (0..SPANS).map(|n| any_span(n, &mut dice)).collect();
        spans.iter().cloned().for_each(|span| processor.on_end(span));
        let ours = queue.request_for_tests(&super::super::resource(&resource));
        let ours = ExportTraceServiceRequest::decode(ours.as_slice()).unwrap();
        assert_same(ours, reference::spans(&resource, spans));
    }
}

/// As texts, because no NaN is the same as another.
#[track_caller]
fn assert_same(ours: ExportTraceServiceRequest, theirs: ExportTraceServiceRequest) {
    let [(our_resource, ours), (their_resource, theirs)] = [ours, theirs].map(in_order);
    assert_eq!(our_resource, their_resource);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.scope, theirs.scope);
        assert_eq!(ours.spans.len(), theirs.spans.len());
        for (our_span, their_span) in ours.spans.iter().zip(&theirs.spans) {
            assert_eq!(format!("{our_span:#?}"), format!("{their_span:#?}"));
        }
    }
}

/// The resource as a text, and the scopes by their names: a request says nothing by their order.
fn in_order(request: ExportTraceServiceRequest) -> (String, Vec<ScopeSpans>) {
    let [mut spans] = <[_; 1]>::try_from(request.resource_spans).unwrap();
    spans.resource.as_mut().unwrap().attributes.sort_by(|a, b| a.key.cmp(&b.key));
    spans.scope_spans.sort_by_key(|spans| {
        let scope = spans.scope.clone().unwrap();
        (scope.name, scope.version)
    });
    (format!("{:?} {}", spans.resource, spans.schema_url), spans.scope_spans)
}

fn any_span(n: usize, dice: &mut Dice) -> SpanData {
    let mut events = SpanEvents::default();
    events.events = dice.some(event);
    events.dropped_count = count(dice);
    let mut links = SpanLinks::default();
    links.links = dice.some(link);
    links.dropped_count = count(dice);
    SpanData {
        span_context: any_context(dice),
        parent_span_id: parent(dice),
        parent_span_is_remote: dice.flag(),
        span_kind: KINDS[n % KINDS.len()].clone(),
        name: dice.text().into(),
        start_time: time(dice),
        end_time: time(dice),
        attributes: dice.some(pair),
        dropped_attributes_count: count(dice),
        events,
        links,
        status: match n % 4 {
            0 => Status::Unset,
            1 => Status::Ok,
            2 => Status::error(""),
            _ => Status::error(dice.text()),
        },
        instrumentation_scope: scope(dice),
    }
}

fn event(dice: &mut Dice) -> Event {
    Event::new(dice.text(), time(dice), dice.some(pair), count(dice))
}

fn link(dice: &mut Dice) -> Link {
    Link::new(any_context(dice), dice.some(pair), count(dice))
}

fn any_context(dice: &mut Dice) -> SpanContext {
    let id = u128::from(dice.number()) << 64 | u128::from(dice.number());
    // Also flags that nobody has given a meaning yet.
    let flags = dice.one_of(&[0, 1, 2, 3, 0xff]);
    let members = [("one", "1"), ("tenant@vendor", "a b"), ("three", "x:y;z")];
    let members = members.into_iter().take(dice.one_of(&[0, 1, 3]));
    SpanContext::new(
        TraceId::from(id),
        SpanId::from(dice.number()),
        TraceFlags::new(flags),
        dice.flag(),
        TraceState::from_key_value(members).unwrap(),
    )
}

fn parent(dice: &mut Dice) -> SpanId {
    let parent = SpanId::from(dice.number());
    dice.one_of(&[SpanId::INVALID, parent])
}

/// Up to the year 2554, which is as far as 64 bits of nanoseconds reach.
fn time(dice: &mut Dice) -> SystemTime {
    let any = UNIX_EPOCH + Duration::from_nanos(dice.number());
    dice.one_of(&[UNIX_EPOCH, UNIX_EPOCH - Duration::from_secs(1), any, any])
}

fn count(dice: &mut Dice) -> u32 {
    dice.one_of(&[0, 0, 1, 128, u32::MAX])
}

/// Also two versions of one name.
fn scope(dice: &mut Dice) -> InstrumentationScope {
    let scope = |name| InstrumentationScope::builder(name);
    dice.one_of(&[
        scope("").build(),
        scope("one").build(),
        scope("one").with_version("1.0").build(),
        scope("one").with_version("2.0").build(),
        scope("two").with_version("1.0").build(),
    ])
}

fn pair(dice: &mut Dice) -> KeyValue {
    let value = match dice.number() % 8 {
        0 => dice.flag().into(),
        1 => dice.int().into(),
        2 => dice.float().into(),
        3 => dice.text().into(),
        4 => Value::Array(dice.some(Dice::flag).into()),
        5 => Value::Array(dice.some(Dice::int).into()),
        6 => Value::Array(dice.some(Dice::float).into()),
        _ => Value::Array(dice.some(|dice| StringValue::from(dice.text())).into()),
    };
    KeyValue::new(dice.text(), value)
}

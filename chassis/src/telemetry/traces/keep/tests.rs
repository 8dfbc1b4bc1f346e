//! Which traces are kept, and the bounds of what waits.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, TraceFlags, TraceState, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use prometheus::IntCounter;

use super::*;
use crate::telemetry::traces::Memory;

const SLOW: Duration = Duration::from_secs(1);

struct World {
    tracer: SdkTracer,
    exported: Memory,
    dropped: IntCounter,
    waiting: Arc<Mutex<Waiting>>,
    _provider: SdkTracerProvider,
}

impl World {
    fn new(sampler: Sampler, slow: Option<Duration>) -> Self {
        let exported = Memory::default();
        let dropped = IntCounter::new("dropped", "spans").unwrap();
        let processor = KeepProcessor::new(exported.clone(), slow, dropped.clone());
        let waiting = Arc::clone(&processor.waiting);
        let provider = SdkTracerProvider::builder()
            .with_sampler(RecordAll(sampler))
            .with_span_processor(processor)
            .build();
        Self { tracer: provider.tracer("test"), exported, dropped, waiting, _provider: provider }
    }

    fn unsampled() -> Self {
        Self::new(Sampler::AlwaysOff, Some(SLOW))
    }

    fn start(&self, name: &'static str, parent: &Context) -> Context {
        let span = SpanBuilder::from_name(name).start_with_context(&self.tracer, parent);
        parent.with_span(span)
    }

    /// A span that took no time.
    fn child(&self, name: &'static str, parent: &Context) {
        self.start(name, parent).span().end();
    }

    fn names(&self) -> Vec<String> {
        self.exported.finished().iter().map(|span| span.name.to_string()).collect()
    }

    fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().spans
    }
}

fn fail(context: &Context) {
    context.span().set_status(Status::error(""));
    context.span().end();
}

fn end_after(context: &Context, elapsed: Duration) {
    context.span().end_with_timestamp(SystemTime::now() + elapsed);
}

fn caller() -> Context {
    let (trace, span) = (TraceId::from(7_u128), SpanId::from(7_u64));
    let flags = TraceFlags::default();
    Context::new().with_remote_span_context(SpanContext::new(
        trace,
        span,
        flags,
        true,
        TraceState::NONE,
    ))
}

#[test]
fn a_failed_trace_is_exported_whole_and_marked_as_sampled() {
    let world = World::unsampled();
    let root = world.start("root", &Context::new());
    world.child("statement", &root);
    assert_eq!(world.names(), [""; 0]);
    fail(&root);
    assert_eq!(world.names(), ["statement", "root"]);
    assert!(world.exported.finished().iter().all(|span| span.span_context.is_sampled()));
    assert_eq!(world.waiting(), 0);
}

#[test]
fn a_slow_trace_is_exported_and_a_quick_one_is_forgotten() {
    let world = World::unsampled();
    let quick = world.start("quick", &Context::new());
    world.child("quick statement", &quick);
    end_after(&quick, SLOW / 2);
    let slow = world.start("slow", &caller());
    world.child("slow statement", &slow);
    end_after(&slow, SLOW);
    assert_eq!(world.names(), ["slow statement", "slow"]);
    assert_eq!(world.waiting(), 0);
}

#[test]
fn a_failed_statement_under_a_good_request_keeps_nothing() {
    let world = World::unsampled();
    let root = world.start("root", &Context::new());
    fail(&world.start("conflict", &root));
    root.span().end();
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn spans_that_outlive_a_kept_root_follow_it_and_those_of_others_do_not() {
    let world = World::unsampled();
    let (kept, other) = (world.start("kept", &Context::new()), world.start("o", &Context::new()));
    let (late, lost) = (world.start("late", &kept), world.start("lost", &other));
    fail(&kept);
    other.span().end();
    late.span().end();
    lost.span().end();
    assert_eq!(world.names(), ["kept", "late"]);
}

#[test]
fn two_requests_of_one_trace_are_kept_together() {
    let world = World::unsampled();
    let (first, second) = (world.start("first", &caller()), world.start("second", &caller()));
    world.child("statement", &second);
    first.span().end();
    fail(&second);
    assert_eq!(world.names(), ["statement", "first", "second"]);
}

#[test]
fn sampled_traces_pass_at_once_and_nothing_else_without_the_setting() {
    let world = World::new(Sampler::AlwaysOn, Some(SLOW));
    let root = world.start("root", &Context::new());
    world.child("statement", &root);
    assert_eq!(world.names(), ["statement"]);
    let world = World::new(Sampler::AlwaysOff, None);
    fail(&world.start("root", &Context::new()));
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn one_trace_cannot_take_all_the_room() {
    let world = World::unsampled();
    let root = world.start("root", &Context::new());
    for _ in 0..SPANS_PER_TRACE + 3 {
        world.child("statement", &root);
    }
    assert_eq!(world.waiting(), SPANS_PER_TRACE);
    fail(&root);
    assert_eq!(world.names().len(), SPANS_PER_TRACE + 1);
    assert_eq!(world.dropped.get(), 3);
}

#[test]
fn many_requests_of_one_open_trace_stay_within_the_bound_too() {
    let world = World::unsampled();
    let holder = world.start("holder", &caller());
    for _ in 0..3 * SPANS_PER_TRACE {
        world.start("quick", &caller()).span().end();
    }
    assert_eq!(world.waiting(), SPANS_PER_TRACE);
    fail(&holder);
    assert_eq!(world.names().len(), SPANS_PER_TRACE + 1);
    assert_eq!(world.dropped.get(), 2 * SPANS_PER_TRACE as u64);
}

#[test]
fn all_traces_together_stay_within_the_bound() {
    let world = World::unsampled();
    let roots: Vec<_> =
        (0..=SPANS / SPANS_PER_TRACE).map(|_| world.start("root", &Context::new())).collect();
    for root in &roots {
        for _ in 0..SPANS_PER_TRACE {
            world.child("statement", root);
        }
    }
    assert_eq!(world.waiting(), SPANS);
    roots.iter().for_each(fail);
    assert_eq!(world.names().len(), SPANS + roots.len());
    assert_eq!(world.dropped.get(), SPANS_PER_TRACE as u64);
    assert_eq!(world.waiting(), 0);
}

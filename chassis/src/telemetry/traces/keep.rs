//! `tracing.keep = "errors_and_slow"`: head sampling decides before anything is known, so here the
//! spans that it leaves out are recorded all the same and kept until their local root has ended.
//! Where that failed or was slow they are exported, else they are forgotten.
//!
//! The bounds hold whatever happens: spans that find no room are given up, and counted when their
//! trace turns out to be one that was wanted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};
use prometheus::IntCounter;

/// Spans that wait for their roots, over all traces: some 10 MB, or 1,000 requests in flight with
/// eight spans each.
const SPANS: usize = 8_192;
/// Spans of one trace; a loop of statements must not take the place of all others.
const SPANS_PER_TRACE: usize = 512;
/// Roots that ended a moment ago and were kept: spans of tasks that outlive the request follow them.
const REMEMBERED: usize = 1_024;

/// Records what `inner` would drop.
#[derive(Clone, Debug)]
pub(super) struct RecordAll<S>(pub(super) S);

/// Passes sampled spans on, and those of failed and slow traces when their root ends.
#[derive(Debug)]
pub(super) struct KeepProcessor<P> {
    inner: P,
    /// `None` keeps what was sampled and nothing else.
    slow: Option<Duration>,
    dropped: IntCounter,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    traces: HashMap<TraceId, Pending>,
    spans: usize,
    kept: VecDeque<TraceId>,
}

/// The spans of one trace that have ended before its last local root.
#[derive(Debug, Default)]
struct Pending {
    spans: Vec<SpanData>,
    /// Local roots under way: a caller may call twice within one trace.
    roots: usize,
    /// One of its roots failed or was slow: what comes after it goes the same way.
    wanted: bool,
    given_up: u64,
}

impl<S: ShouldSample + Clone + 'static> ShouldSample for RecordAll<S> {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let Self(inner) = self;
        let mut result =
            inner.should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

impl<P> KeepProcessor<P> {
    pub(super) fn new(inner: P, slow: Option<Duration>, dropped: IntCounter) -> Self {
        Self { inner, slow, dropped, waiting: Arc::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: SpanProcessor> SpanProcessor for KeepProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let unsampled = span.is_recording() && !span.span_context().is_sampled();
        if unsampled && self.slow.is_some() && starts_locally(context) {
            self.waiting().begin(span.span_context().trace_id());
        }
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            return self.inner.on_end(span);
        }
        let Some(slow) = self.slow else {
            return;
        };
        // Not passed on under the lock: that may take a moment.
        let (wanted, given_up) = self.waiting().end(span, slow);
        self.dropped.inc_by(given_up);
        for span in wanted {
            self.inner.on_end(sampled(span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl Waiting {
    fn begin(&mut self, trace: TraceId) {
        self.traces.entry(trace).or_default().roots += 1;
    }

    /// The spans that are to be exported now, and how many of their trace found no room.
    fn end(&mut self, span: SpanData, slow: Duration) -> (Vec<SpanData>, u64) {
        let trace = span.span_context.trace_id();
        let Some(pending) = self.traces.get_mut(&trace) else {
            // It outlived its root.
            return (if self.kept.contains(&trace) { vec![span] } else { Vec::new() }, 0);
        };
        let is_root = is_local_root(&span);
        if is_root {
            pending.roots = pending.roots.saturating_sub(1);
            pending.wanted |= is_wanted(&span, slow);
        }
        let (wanted, over) = (pending.wanted, pending.roots == 0);
        // What decides is not held, but passed on at once with the rest.
        let decides = is_root && (wanted || over);
        if decides || (self.spans < SPANS && pending.spans.len() < SPANS_PER_TRACE) {
            pending.spans.push(span);
            self.spans += 1;
        } else {
            pending.given_up += 1;
        }
        if !wanted && !over {
            return (Vec::new(), 0);
        }
        let spans = std::mem::take(&mut pending.spans);
        let given_up = std::mem::take(&mut pending.given_up);
        self.spans -= spans.len();
        if over {
            self.traces.remove(&trace);
        }
        if !wanted {
            return (Vec::new(), 0);
        }
        if over {
            self.kept.truncate(REMEMBERED - 1);
            self.kept.push_front(trace);
        }
        (spans, given_up)
    }
}

/// Whether a trace of this outcome is kept without having been sampled.
fn is_wanted(root: &SpanData, slow: Duration) -> bool {
    let elapsed = root.end_time.duration_since(root.start_time).unwrap_or_default();
    matches!(root.status, Status::Error { .. }) || elapsed >= slow
}

fn is_local_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

fn starts_locally(context: &Context) -> bool {
    let parent = context.span();
    let parent = parent.span_context();
    !parent.is_valid() || parent.is_remote()
}

/// An exported span is a sampled one; its children elsewhere were told otherwise, as they must be
/// with every decision that is made at the end.
fn sampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    span.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags().with_sampled(true),
        context.is_remote(),
        context.trace_state().clone(),
    );
    span
}

#[cfg(test)]
mod tests;

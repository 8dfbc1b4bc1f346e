//! Which traces are recorded: those that the environment's sampler chooses, and every request with a
//! debug header, whatever that sampler and the caller say.

use std::sync::Arc;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::telemetry::RequestScope;

/// The environment's sampler, for all but debugged requests.
#[derive(Clone, Debug)]
pub(super) struct DebugSampler(Sampler);

impl DebugSampler {
    pub(super) fn new(configured: Sampler) -> Self {
        Self(configured)
    }
}

impl ShouldSample for DebugSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        match parent_context.filter(|context| is_debugged(context)) {
            Some(context) => SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: Vec::new(),
                trace_state: context.span().span_context().trace_state().clone(),
            },
            None => {
                self.0.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
            }
        }
    }
}

/// The scope travels in the context, so the spans below the request's find it there as well.
fn is_debugged(context: &Context) -> bool {
    context.get::<Arc<RequestScope>>().is_some_and(|scope| scope.is_debug())
}

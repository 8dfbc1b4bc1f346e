//! Spans: the tracer that makes them, the layer that turns other code's `tracing` spans into
//! OpenTelemetry's, and what becomes of them. Which spans exist is decided where things happen.

mod keep;
mod memory;
mod propagation;
mod sampler;
mod stamp;

use std::time::Duration;

use hyper::HeaderMap;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    SdkTracer, SdkTracerProvider, SpanProcessor, TracerProviderBuilder,
};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use self::keep::{KeepProcessor, RecordAll};
pub(super) use self::memory::Memory;
use self::sampler::DebugSampler;
use self::stamp::Stamp;
use super::export::{Outlet, SpanQueue};
use super::otel_environment::OtelEnvironment;
use super::{Metrics, carrier};

/// Crates that a statement runs through; `chassis::database` describes statements itself. What an
/// export runs through needs no place here: its thread has no subscriber.
const NOISY_CRATES: [&str; 2] = ["sqlx", "sea_orm"];

crate::settings! {
    /// How spans of this service relate to those of its callers.
    pub struct TracingSettings {
        /// Continue the trace that a caller's `traceparent` names, and follow its sampling decision.
        pub trust_incoming: bool = true,
        /// Which traces are exported that head sampling leaves out. `errors_and_slow` records every
        /// span, so an unsampled request costs as much as a sampled one, but for the export.
        pub keep: Keep = Keep::All,
        /// A trace that takes this long is slow.
        pub slow: Duration = Duration::from_secs(1),
    }
}

crate::one_of! {
    /// Which traces are exported.
    pub enum Keep {
        /// All that were sampled.
        All = "all",
        /// Also the unsampled ones that failed (5xx, client gone) or were slow.
        ErrorsAndSlow = "errors_and_slow",
    }
}

/// The spans of one service.
pub(super) struct Traces {
    tracer: SdkTracer,
    trace_context: bool,
}

impl Traces {
    /// Ids are made and handed on even where nothing is exported.
    pub(super) fn start(
        otel: &OtelEnvironment,
        settings: &TracingSettings,
        resource: Resource,
        outlet: &Outlet,
        metrics: &Metrics,
    ) -> Self {
        match SpanQueue::new(outlet, otel.traces.attributes.length) {
            Some(queue) => Self::keep(otel, settings, resource, queue, metrics),
            None => Self::assemble(otel, builder(otel, None, resource)),
        }
    }

    /// What is kept goes to `processor`.
    pub(super) fn keep(
        otel: &OtelEnvironment,
        settings: &TracingSettings,
        resource: Resource,
        processor: impl SpanProcessor + 'static,
        metrics: &Metrics,
    ) -> Self {
        let slow = (settings.keep == Keep::ErrorsAndSlow).then_some(settings.slow);
        let dropped = metrics.telemetry_dropped.with_label_values(&["traces"]);
        // One processor around the other: the SDK copies each span for each of its processors.
        let processor = Stamp(KeepProcessor::new(processor, slow, dropped));
        Self::assemble(otel, builder(otel, slow, resource).with_span_processor(processor))
    }

    fn assemble(otel: &OtelEnvironment, builder: TracerProviderBuilder) -> Self {
        let provider = builder.build();
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let tracer = provider.tracer_with_scope(scope);
        Self { tracer, trace_context: otel.trace_context }
    }

    /// Makes the spans of requests and statements.
    pub(super) fn tracer(&self) -> &SdkTracer {
        &self.tracer
    }

    /// Turns INFO spans into OpenTelemetry's. Independent of `log.level`: with `RUST_LOG=error`
    /// traces are complete. Log events do not become span events, lines have the ids instead.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        // Without the hint, every callsite of every crate would be asked for TRACE.
        let filter = FilterFn::new(is_wanted).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_error_events_to_status(false)
            .with_error_events_to_exceptions(false)
            .with_error_records_to_exceptions(false)
            .with_error_fields_to_exceptions(false)
            .with_filter(filter)
    }

    pub(super) fn remote_parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.trace_context.then(|| propagation::remote_parent(headers)).flatten()
    }
}

fn builder(
    otel: &OtelEnvironment,
    slow: Option<Duration>,
    resource: Resource,
) -> TracerProviderBuilder {
    let builder = SdkTracerProvider::builder()
        .with_max_attributes_per_span(otel.traces.attributes.count)
        .with_resource(resource);
    let sampler = DebugSampler::new(otel.sampler.clone());
    match slow {
        Some(_) => builder.with_sampler(RecordAll(sampler)),
        None => builder.with_sampler(sampler),
    }
}

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of = target.split("::").next().unwrap_or(target);
    // Also their satellites: `hyper_util`, `opentelemetry_sdk`, `sqlx_core`.
    let noisy = NOISY_CRATES.iter().any(|name| {
        of.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    });
    metadata.is_span()
        && *metadata.level() <= Level::INFO
        && !noisy
        && !carrier::is_carrier(metadata)
}

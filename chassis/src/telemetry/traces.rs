//! Spans: the provider that makes their ids, the layer that turns `tracing` spans into
//! OpenTelemetry's, and what becomes of them. Which spans exist is decided where things happen.

mod console;
mod export;
mod http_client;
mod memory;
mod otlp;
mod propagation;

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use self::console::Console;
use self::export::Account;
pub(super) use self::memory::Memory;
use super::otel_environment::{Exporter, OtelEnvironment};
use super::target::ExportTarget;
use super::{Metrics, TelemetryError};

/// Crates that an export or a statement runs through. Their spans would be exported too, and so
/// make the next export; `chassis::database` describes statements itself.
const NOISY_CRATES: [&str; 7] =
    ["opentelemetry", "h2", "hyper", "tonic", "tower", "sqlx", "sea_orm"];

crate::settings! {
    /// How spans of this service relate to those of its callers.
    pub struct TracingSettings {
        /// Continue the trace that a caller's `traceparent` names, and follow its sampling decision.
        pub trust_incoming: bool = true,
    }
}

/// The spans of one service.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    account: Arc<Account>,
    target: Option<ExportTarget>,
    trace_context: bool,
}

impl Traces {
    /// Ids are made and handed on even where nothing is exported.
    pub(super) fn start(
        otel: &OtelEnvironment,
        resource: Resource,
        metrics: &Metrics,
    ) -> Result<Self, TelemetryError> {
        let account = Arc::new(Account::new(metrics, otel));
        let builder = builder(otel, resource);
        let (builder, target) = match &otel.exporter {
            Exporter::None => (builder, None),
            Exporter::Console => (account.export_each(builder, Console), None),
            Exporter::Otlp(target) => {
                let exporter = otlp::exporter(target, &otel.otlp)?;
                let builder = account.export_batches(builder, exporter, &otel.batch);
                (builder, Some(target.clone()))
            }
        };
        Ok(Self { provider: builder.build(), account, target, trace_context: otel.trace_context })
    }

    /// Every finished span stays in memory.
    pub(super) fn keep(
        otel: &OtelEnvironment,
        resource: Resource,
        metrics: &Metrics,
        memory: Memory,
    ) -> Self {
        let account = Arc::new(Account::new(metrics, otel));
        Self {
            provider: account.export_each(builder(otel, resource), memory).build(),
            account,
            target: None,
            trace_context: otel.trace_context,
        }
    }

    /// Turns INFO spans into OpenTelemetry's. Independent of `log.level`: with `RUST_LOG=error`
    /// traces are complete. Log events do not become span events, lines have the ids instead.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        // Without the hint, every callsite of every crate would be asked for TRACE.
        let filter = FilterFn::new(is_wanted).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer_with_scope(scope))
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

    pub(super) fn report_failures_to(&self, dispatch: &Dispatch) {
        self.account.report_to(dispatch);
    }

    pub(super) fn target(&self) -> Option<&ExportTarget> {
        self.target.as_ref()
    }

    pub(super) fn remote_parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.trace_context.then(|| propagation::remote_parent(headers)).flatten()
    }

    /// Blocks. False where spans were left behind.
    pub(super) fn shutdown(&self, within: Duration) -> bool {
        let ended = match self.provider.shutdown_with_timeout(within) {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => true,
            Err(_) => false,
        };
        // The SDK's answer says nothing about whether the last batch arrived.
        ended && self.account.is_delivering()
    }
}

fn builder(otel: &OtelEnvironment, resource: Resource) -> TracerProviderBuilder {
    let builder =
        SdkTracerProvider::builder().with_sampler(otel.sampler.clone()).with_resource(resource);
    match otel.attribute_count {
        Some(limit) => builder.with_max_attributes_per_span(limit),
        None => builder,
    }
}

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of = target.split("::").next().unwrap_or(target);
    // Also their satellites: `hyper_util`, `opentelemetry_sdk`, `sqlx_core`.
    let noisy = NOISY_CRATES.iter().any(|name| {
        of.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    });
    metadata.is_span() && *metadata.level() <= Level::INFO && !noisy
}

//! What becomes of finished spans: counted, cut to the attribute limit, batched without ever
//! holding up a request. Failures are logged when they begin and when they end, not per batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{Context, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SimpleSpanProcessor, Span, SpanData, SpanExporter,
    SpanProcessor, TracerProviderBuilder,
};
use prometheus::{Gauge, IntCounter};
use tracing::Dispatch;
use tracing::dispatcher::WeakDispatch;

use crate::telemetry::Metrics;
use crate::telemetry::otel_environment::{Batch, OtelEnvironment};

const SIGNAL: &str = "traces";

/// The books of one service's export.
#[derive(Debug)]
pub(super) struct Account {
    exported: IntCounter,
    dropped: IntCounter,
    failed: IntCounter,
    last_success: Gauge,
    queued: AtomicUsize,
    failing: AtomicBool,
    attribute_length: Option<usize>,
    // Weak, because the dispatch owns the layer, which owns this.
    log: OnceLock<WeakDispatch>,
}

impl Account {
    pub(super) fn new(metrics: &Metrics, otel: &OtelEnvironment) -> Self {
        Self {
            exported: metrics.telemetry_exported.with_label_values(&[SIGNAL]),
            dropped: metrics.telemetry_dropped.with_label_values(&[SIGNAL]),
            failed: metrics.telemetry_failed.with_label_values(&[SIGNAL]),
            last_success: metrics.telemetry_last_success.with_label_values(&[SIGNAL]),
            queued: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            attribute_length: otel.attribute_length,
            log: OnceLock::new(),
        }
    }

    /// Exports in batches from a thread of its own; what the queue cannot hold is dropped.
    pub(super) fn export_batches(
        self: &Arc<Self>,
        builder: TracerProviderBuilder,
        exporter: impl SpanExporter + 'static,
        batch: &Batch,
    ) -> TracerProviderBuilder {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(batch.queue)
            .with_max_export_batch_size(batch.size)
            .with_scheduled_delay(batch.delay)
            .build();
        builder.with_span_processor(Bounded {
            inner: BatchSpanProcessor::new(self.book(exporter), config),
            account: Arc::clone(self),
            limit: batch.queue,
        })
    }

    /// Exports each span when it ends, on the thread that ends it.
    pub(super) fn export_each(
        self: &Arc<Self>,
        builder: TracerProviderBuilder,
        exporter: impl SpanExporter + 'static,
    ) -> TracerProviderBuilder {
        builder.with_span_processor(Bounded {
            inner: SimpleSpanProcessor::new(self.book(exporter)),
            account: Arc::clone(self),
            limit: usize::MAX,
        })
    }

    /// Tells failures to the log of the same telemetry; the first dispatch stays.
    pub(super) fn report_to(&self, dispatch: &Dispatch) {
        let _ = self.log.set(dispatch.downgrade());
    }

    /// Whether the last export went well, or none was needed.
    pub(super) fn is_delivering(&self) -> bool {
        !self.failing.load(Ordering::Acquire)
    }

    fn book<E: SpanExporter>(self: &Arc<Self>, exporter: E) -> Booked<E> {
        Booked { inner: exporter, account: Arc::clone(self) }
    }

    fn enter(&self, spans: usize, result: &OTelSdkResult) {
        let count = u64::try_from(spans).unwrap_or(u64::MAX);
        match result {
            Ok(()) => {
                self.exported.inc_by(count);
                self.last_success.set(unix_seconds());
                if self.failing.swap(false, Ordering::AcqRel) {
                    self.tell(|| tracing::info!("spans are exported again"));
                }
            }
            Err(error) => {
                self.failed.inc_by(count);
                if !self.failing.swap(true, Ordering::AcqRel) {
                    self.tell(|| tracing::warn!(%error, "spans cannot be exported"));
                }
            }
        }
    }

    fn tell(&self, line: impl FnOnce()) {
        if let Some(dispatch) = self.log.get().and_then(WeakDispatch::upgrade) {
            tracing::dispatcher::with_default(&dispatch, line);
        }
    }
}

/// Counts what an exporter does.
#[derive(Debug)]
struct Booked<E> {
    inner: E,
    account: Arc<Account>,
}

impl<E: SpanExporter> SpanExporter for Booked<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.account.queued.fetch_sub(spans, Ordering::AcqRel);
        if let Some(limit) = self.account.attribute_length {
            for span in &mut batch {
                cut(span, limit);
            }
        }
        let result = self.inner.export(batch).await;
        self.account.enter(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts the spans that wait. The SDK's queue drops silently, but it holds `limit` spans and
/// forgets each before it counts here as exported: so it is never full when this one is not.
#[derive(Debug)]
struct Bounded<P> {
    inner: P,
    account: Arc<Account>,
    limit: usize,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.account.queued.fetch_add(1, Ordering::AcqRel) < self.limit {
            return self.inner.on_end(span);
        }
        self.account.queued.fetch_sub(1, Ordering::AcqRel);
        self.account.dropped.inc();
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

fn cut(span: &mut SpanData, limit: usize) {
    for attribute in &mut span.attributes {
        if let Value::String(text) = &attribute.value
            && let Some((at, _)) = text.as_str().char_indices().nth(limit)
        {
            attribute.value = Value::from(text.as_str()[..at].to_owned());
        }
    }
}

fn unix_seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

//! One service's logs, traces and metrics: how they start, where they go, how they end.
//!
//! Nothing here is global unless [`Telemetry::install`] is called, so two services in one process
//! stay apart. What a request says about itself is decided in `http::observe`.

pub mod exposition;
pub mod logs;
pub mod metrics;
mod otel_environment;
mod panics;
mod resource;
mod runtime;
pub mod scope;
pub mod target;
pub mod traces;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::oneshot;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

use self::logs::{Destination, InvalidFilter, LogFilter, LogLayer, LogSettings};
use self::otel_environment::OtelEnvironment;
use self::target::ExportTarget;
use self::traces::{Memory, Traces};
use crate::settings::{Environ, Environment};

pub use metrics::Metrics;
pub use scope::RequestScope;

/// The parts of a shutdown's time that exporting spans may take; the rest writes the last lines.
const SPANS_SHARE: (u32, u32) = (4, 5);

/// Who speaks: the facts that stand on every line, span and in `target_info`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `service.name`; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` beat it.
    pub name: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    pub environment: Environment,
}

/// One service's logs, traces and metrics. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry(Arc<Parts>);

struct Parts {
    dispatch: Dispatch,
    _second: Dispatch,
    metrics: Metrics,
    log_filter: LogFilter,
    destination: Destination,
    traces: Traces,
}

/// What a [`Telemetry::capture`] wrote, for tests.
#[derive(Clone)]
pub struct Captured {
    text: Arc<Mutex<String>>,
    spans: Memory,
}

/// Telemetry that cannot start as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not in `EnvFilter`'s syntax.
    #[error("log.level is not a filter")]
    LogLevel(#[source] InvalidFilter),
    /// `log.file` cannot be opened for appending.
    #[error("log.file cannot be written: {}", path.display())]
    LogFile {
        /// The file as it was named.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The thread that writes the lines did not start.
    #[error("the log writer cannot start")]
    LogWriter(#[source] std::io::Error),
    /// A certificate or key that an `OTEL_EXPORTER_OTLP_*` variable names cannot be used.
    #[error("the TLS files of the OTLP exporter cannot be used: {}", path.display())]
    Certificate {
        /// The file that was read.
        path: PathBuf,
        /// Why it is no use.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Spans are to be exported and there is no Tokio runtime to do it.
    #[error("telemetry must start within a Tokio runtime")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// The exporter refuses its settings.
    #[error("the OTLP exporter cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Two metric families collide.
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl Telemetry {
    /// Opens the real outputs: lines to stdout and `log.file`, spans to the collector that the
    /// `OTEL_*` variables name. Must be called within a Tokio runtime, which then carries the export.
    ///
    /// Malformed `OTEL_*` variables do not stop the service: each is ignored with a warning.
    pub fn start(
        identity: &Identity,
        log: &LogSettings,
        environ: &Environ,
    ) -> Result<Self, TelemetryError> {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        Self::start_into(stdout, terminal, identity, log, environ)
    }

    /// The same with lines into something else than stdout; on a `terminal` they are coloured.
    pub fn start_into(
        lines: impl Write + Send + 'static,
        terminal: bool,
        identity: &Identity,
        log: &LogSettings,
        environ: &Environ,
    ) -> Result<Self, TelemetryError> {
        let otel = OtelEnvironment::read(environ);
        let metrics = Metrics::new()?;
        let resource = resource::describe(identity, &otel);
        let destination = Destination::open(lines, terminal, log, &resource, environ, &metrics)?;
        let traces = Traces::start(&otel, resource.clone(), &metrics)?;
        let telemetry = Self::assemble(log, &resource, metrics, destination, traces)?;
        telemetry.tell_what_was_ignored(&otel);
        Ok(telemetry)
    }

    /// The same layers, with lines and finished spans kept in memory: for tests.
    pub fn capture(
        identity: &Identity,
        log: &LogSettings,
    ) -> Result<(Self, Captured), TelemetryError> {
        Self::capture_in(identity, log, &Environ::from([("", ""); 0]))
    }

    fn capture_in(
        identity: &Identity,
        log: &LogSettings,
        environ: &Environ,
    ) -> Result<(Self, Captured), TelemetryError> {
        let otel = OtelEnvironment::read(environ);
        let captured = Captured { text: Arc::default(), spans: Memory::default() };
        let metrics = Metrics::new()?;
        let resource = resource::describe(identity, &otel);
        let destination = Destination::memory(log, &resource, environ, &captured.text);
        let traces = Traces::keep(&otel, resource.clone(), &metrics, captured.spans.clone());
        let telemetry = Self::assemble(log, &resource, metrics, destination, traces)?;
        telemetry.tell_what_was_ignored(&otel);
        Ok((telemetry, captured))
    }

    fn assemble(
        log: &LogSettings,
        resource: &Resource,
        metrics: Metrics,
        destination: Destination,
        traces: Traces,
    ) -> Result<Self, TelemetryError> {
        resource::register_info(&metrics, resource)?;
        let (log_filter, event_filter) =
            LogFilter::new(&log.level).map_err(TelemetryError::LogLevel)?;
        let subscriber = tracing_subscriber::registry()
            .with(LogLayer::new(&metrics, destination.clone()).with_filter(event_filter))
            .with(traces.layer());
        let dispatch = Dispatch::new(subscriber);
        traces.report_failures_to(&dispatch);
        Ok(Self(Arc::new(Parts {
            dispatch,
            // While `tracing` knows a single dispatch, it asks the current thread's instead of that
            // one whether a callsite is wanted, and keeps the answer: a thread without telemetry
            // would switch lines off for all. A second dispatch makes it ask both.
            _second: Dispatch::new(NoSubscriber::default()),
            metrics,
            log_filter,
            destination,
            traces,
        })))
    }

    fn tell_what_was_ignored(&self, otel: &OtelEnvironment) {
        tracing::dispatcher::with_default(&self.0.dispatch, || {
            for ignored in &otel.ignored {
                tracing::warn!(variable = ignored.variable, reason = %ignored.reason, "environment variable ignored");
            }
        });
    }

    /// The subscriber of these layers, for `WithSubscriber` and `dispatcher::with_default`.
    pub fn dispatch(&self) -> Dispatch {
        self.0.dispatch.clone()
    }

    /// Makes this the telemetry of the whole process, panics included. For the binary alone.
    pub fn install(&self) {
        if tracing::dispatcher::set_global_default(self.dispatch()).is_err() {
            tracing::warn!("telemetry is installed already");
        }
        panics::log_panics();
    }

    /// The metric families of the service.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Reads and changes what is logged while the service runs.
    pub fn log_filter(&self) -> &LogFilter {
        &self.0.log_filter
    }

    /// Where spans are sent, if anywhere.
    pub fn export_target(&self) -> Option<&ExportTarget> {
        self.0.traces.target()
    }

    /// The caller's span as its `traceparent` and `tracestate` name it, W3C Trace Context level 2;
    /// none where they are malformed or `OTEL_PROPAGATORS` leaves them out.
    pub fn remote_parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.0.traces.remote_parent(headers)
    }

    /// Sends the last spans, then writes the last lines. Returns within the given time, false where
    /// something was left behind. Spans that end later are lost, lines that come later may be.
    pub async fn shutdown(&self, within: Duration) -> bool {
        self.aside(within, move |parts| parts.flush(within)).await
    }

    /// Writes the lines so far. Returns within the given time, false where some are left.
    pub async fn flush_lines(&self, within: Duration) -> bool {
        self.aside(within, |parts| parts.destination.flush()).await
    }

    /// The SDK blocks the thread that it is shut down on, and on a worker of a small runtime it would
    /// wait for an export that only this worker could carry; an output may block for ever.
    async fn aside(
        &self,
        within: Duration,
        work: impl FnOnce(&Parts) -> bool + Send + 'static,
    ) -> bool {
        let (done, finished) = oneshot::channel();
        let deadline = Instant::now() + within;
        let parts = Arc::clone(&self.0);
        let spawned = thread::Builder::new()
            .name("telemetry-flush".to_owned())
            .spawn(move || done.send(work(&parts)));
        if spawned.is_err() {
            return false;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        matches!(tokio::time::timeout(left, finished).await, Ok(Ok(true)))
    }
}

impl Parts {
    fn flush(&self, within: Duration) -> bool {
        let spans = self.traces.shutdown(within * SPANS_SHARE.0 / SPANS_SHARE.1);
        if !spans {
            tracing::dispatcher::with_default(&self.dispatch, || {
                tracing::warn!("the last spans were not delivered");
            });
        }
        self.destination.flush() && spans
    }
}

impl Captured {
    /// The lines as JSON; a line in another format is left out.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The lines as they would stand on stdout.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans that have ended and were sampled, in the order of their ends.
    pub fn spans(&self) -> Vec<SpanData> {
        self.spans.finished()
    }
}

#[cfg(test)]
mod tests;

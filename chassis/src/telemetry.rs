//! One service's logs, traces and metrics: how they start, where they go, how they end.
//!
//! Nothing here is global unless [`Telemetry::install`] is called, so two services in one process
//! stay apart. What a request says about itself is decided in `http::observe`.

pub(crate) mod audit;
pub(crate) mod carrier;
pub mod catalogue;
pub mod debug_header;
mod error;
mod export;
pub mod exposition;
pub mod logs;
pub(crate) mod methods;
pub mod metrics;
mod otel_environment;
mod panics;
pub mod period;
#[cfg(target_os = "linux")]
mod process;
mod resource;
mod runtime;
pub mod scope;
pub mod target;
pub mod traces;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SpanData};
use tokio::sync::oneshot;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

use self::audit::Audit;
use self::export::Export;
use self::logs::{Destination, LogFilter, LogLayer, LogSettings, Records};
use self::methods::KnownMethods;
use self::otel_environment::OtelEnvironment;
use self::target::ExportTarget;
use self::traces::{Memory, Traces, TracingSettings};
use crate::settings::{Environ, Environment};

pub use catalogue::catalogue;
pub use error::TelemetryError;
pub use export::{ExportError, ExportState, SignalStatus, TelemetryStatus};
pub use metrics::Metrics;
pub use scope::RequestScope;

/// The parts of a shutdown's time that the export may take; the rest writes the last lines.
const EXPORT_SHARE: (u32, u32) = (9, 10);

/// Who speaks: the facts that stand on every line, span and in `target_info`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `service.name`; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` beat it.
    ///
    /// It should be the name of the service's crate: a debug header lets events at DEBUG through
    /// whose target is in the crate of this name (`-` read as `_`), in one that begins with it and
    /// `_`, or in the chassis, and no others.
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
    audit: Audit,
    destination: Destination,
    traces: Traces,
    export: Export,
    methods: KnownMethods,
}

/// What a [`Telemetry::capture`] wrote, for tests.
#[derive(Clone)]
pub struct Captured {
    text: Arc<Mutex<String>>,
    spans: Memory,
}

impl Telemetry {
    /// Opens the real outputs: lines to stdout and `log.file`, spans and log records to the collector
    /// that the `OTEL_*` variables name.
    ///
    /// Malformed `OTEL_*` variables do not stop the service: each is ignored with a warning. A file that
    /// one of them names and that cannot be read does stop it.
    pub fn start(
        identity: &Identity,
        log: &LogSettings,
        tracing: &TracingSettings,
        environ: &Environ,
    ) -> Result<Self, TelemetryError> {
        let stdout = logs::stdout()?;
        let terminal = stdout.is_terminal();
        Self::start_into(stdout, terminal, identity, log, tracing, environ)
    }

    /// The same with lines into something else than stdout; on a `terminal` they are coloured.
    pub fn start_into(
        lines: impl Write + Send + 'static,
        terminal: bool,
        identity: &Identity,
        log: &LogSettings,
        tracing: &TracingSettings,
        environ: &Environ,
    ) -> Result<Self, TelemetryError> {
        let otel = OtelEnvironment::read(environ);
        let metrics = Metrics::with_exemplars(otel.exemplars)?;
        let resource = resource::describe(identity, &otel);
        let destination = Destination::open(lines, terminal, log, &resource, environ, &metrics)?;
        let export = Export::start(&otel, &resource, &metrics)?;
        let traces = Traces::start(&otel, tracing, resource.clone(), export.traces(), &metrics);
        let parts = (destination, traces, export);
        let telemetry = Self::assemble(identity, log, &otel, &resource, metrics, parts)?;
        telemetry.tell_what_was_ignored(&otel);
        Ok(telemetry)
    }

    /// The same layers, with lines and finished spans kept in memory: for tests.
    pub fn capture(
        identity: &Identity,
        log: &LogSettings,
    ) -> Result<(Self, Captured), TelemetryError> {
        Self::capture_in(identity, log, &TracingSettings::default(), &Environ::from([("", ""); 0]))
    }

    /// The same with settings of its own for traces, and with `OTEL_*` variables.
    pub fn capture_in(
        identity: &Identity,
        log: &LogSettings,
        tracing: &TracingSettings,
        environ: &Environ,
    ) -> Result<(Self, Captured), TelemetryError> {
        let otel = OtelEnvironment::read(environ);
        let captured = Captured { text: Arc::default(), spans: Memory::default() };
        let metrics = Metrics::with_exemplars(otel.exemplars)?;
        let resource = resource::describe(identity, &otel);
        let destination = Destination::memory(log, &resource, environ, &captured.text, &metrics);
        let export = Export::none(&metrics);
        let spans = captured.spans.clone().cut_at(otel.traces.attributes.length);
        let traces = Traces::keep(&otel, tracing, resource.clone(), spans, &metrics);
        let parts = (destination, traces, export);
        let telemetry = Self::assemble(identity, log, &otel, &resource, metrics, parts)?;
        telemetry.tell_what_was_ignored(&otel);
        Ok((telemetry, captured))
    }

    fn assemble(
        identity: &Identity,
        log: &LogSettings,
        otel: &OtelEnvironment,
        resource: &Resource,
        metrics: Metrics,
        (destination, traces, export): (Destination, Traces, Export),
    ) -> Result<Self, TelemetryError> {
        resource::register_info(&metrics, resource)?;
        let audit = Audit::new(&metrics);
        let (log_filter, event_filter) = LogFilter::new(&log.level, &identity.name, audit.clone())
            .map_err(TelemetryError::LogLevel)?;
        let records = Records::new(export.logs(), otel.logs.attributes, resource);
        let layer = LogLayer::new(&metrics, destination.clone(), records);
        let subscriber = tracing_subscriber::registry()
            .with(layer.with_filter(event_filter))
            .with(traces.layer())
            .with(carrier::layer());
        let dispatch = Dispatch::new(subscriber);
        export.report_to(&dispatch);
        destination.report_losses_to(&dispatch);
        Ok(Self(Arc::new(Parts {
            dispatch,
            // While `tracing` knows a single dispatch, it asks the current thread's instead of that
            // one whether a callsite is wanted, and keeps the answer: a thread without telemetry
            // would switch lines off for all. A second dispatch makes it ask both.
            _second: Dispatch::new(NoSubscriber::default()),
            metrics,
            log_filter,
            audit,
            destination,
            traces,
            export,
            methods: otel.methods.clone(),
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

    pub(crate) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Where spans are sent, if anywhere.
    pub fn traces_target(&self) -> Option<&ExportTarget> {
        self.0.export.traces().target.as_ref()
    }

    /// Where log records are sent, if anywhere.
    pub fn logs_target(&self) -> Option<&ExportTarget> {
        self.0.export.logs().target.as_ref()
    }

    /// How the export stands, for `/health`.
    pub fn status(&self) -> TelemetryStatus {
        self.0.export.status()
    }

    /// The caller's span as its `traceparent` and `tracestate` name it, W3C Trace Context level 2;
    /// none where they are malformed or `OTEL_PROPAGATORS` leaves them out.
    pub fn remote_parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.0.traces.remote_parent(headers)
    }

    /// The HTTP methods that are told by name.
    pub(crate) fn known_methods(&self) -> &KnownMethods {
        &self.0.methods
    }

    /// Makes the spans of requests and statements, without the detour through `tracing`.
    pub(crate) fn tracer(&self) -> &SdkTracer {
        self.0.traces.tracer()
    }

    /// Sends the last spans and log records, then writes the last lines. Returns within the given
    /// time, false where something was left behind; what that was is counted and logged. What comes
    /// later is not exported.
    pub async fn shutdown(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let exported = self.0.export.end(within * EXPORT_SHARE.0 / EXPORT_SHARE.1).await;
        let left = deadline.saturating_duration_since(Instant::now());
        self.flush_lines(left).await && exported
    }

    /// Writes the lines so far. Returns within the given time, false where some are left. An output
    /// may block for ever, so a thread waits for it.
    pub async fn flush_lines(&self, within: Duration) -> bool {
        let (done, finished) = oneshot::channel();
        let destination = self.0.destination.clone();
        let spawned = thread::Builder::new()
            .name("log-flush".to_owned())
            .spawn(move || done.send(destination.flush()));
        spawned.is_ok() && matches!(tokio::time::timeout(within, finished).await, Ok(Ok(true)))
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

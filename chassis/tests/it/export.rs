//! Spans and log records on their way to real collectors, over both protocols.

mod bad_days;
mod delivery;
mod ending;
mod tls;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::settings::{Environ, Environment};
use chassis::telemetry::logs::{LogFormat, LogSettings};
use chassis::telemetry::traces::TracingSettings;
use chassis::telemetry::{Identity, SignalStatus, Telemetry};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use tracing::dispatcher::with_default;

use chassis::testing::Delivery;

pub(crate) const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];
/// Whatever takes longer hangs.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// Telemetry that exports, and the lines that it writes.
pub(crate) struct Exporting {
    pub(crate) telemetry: Telemetry,
    lines: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Exporting {
    /// Batches leave at once.
    pub(crate) fn start(url: &str, protocol: &str, more: &[(&str, &str)]) -> Self {
        let quick = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "5"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "5"),
        ];
        let environ = quick.iter().chain(more).map(|(name, value)| (name.into(), value.into()));
        let log = LogSettings {
            level: "trace".to_owned(),
            format: LogFormat::Json,
            ..LogSettings::default()
        };
        let identity = Identity {
            name: "exporting".to_owned(),
            version: "1.2.3".to_owned(),
            environment: Environment::Development,
        };
        let lines = Lines::default();
        let environ: Environ = environ.collect();
        let telemetry = Telemetry::start_into(
            lines.clone(),
            false,
            &identity,
            &log,
            &TracingSettings::default(),
            &environ,
        )
        .unwrap();
        Self { telemetry, lines }
    }

    /// Ends spans, in each of which a line is logged.
    pub(crate) fn make(&self, count: usize) {
        with_default(&self.telemetry.dispatch(), || {
            for number in 0..count {
                tracing::info_span!("work", number).in_scope(|| tracing::info!(number, "working"));
            }
        });
    }

    pub(crate) fn traces(&self) -> SignalStatus {
        self.telemetry.status().traces
    }

    pub(crate) fn logs(&self) -> SignalStatus {
        self.telemetry.status().logs
    }

    /// Waits until this is true, for things that nobody tells.
    pub(crate) async fn until(&self, what: &str, truth: impl Fn(&Self) -> bool) {
        let wait = async {
            while !truth(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        waited.unwrap_or_else(|_| panic!("{what}: {:?}", self.telemetry.status()));
    }

    /// The lines, once there are any.
    pub(crate) async fn told(&self) -> Vec<Value> {
        self.until("a line", |e| !e.written().is_empty()).await;
        self.lines().await
    }

    /// Everything but the lines of [`Self::make`].
    pub(crate) async fn lines(&self) -> Vec<Value> {
        assert!(self.telemetry.flush_lines(DEADLINE).await);
        self.written()
    }

    fn written(&self) -> Vec<Value> {
        let text = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] != "working").collect()
    }
}

pub(crate) fn spans(deliveries: &[Delivery]) -> Vec<Span> {
    let requests =
        deliveries.iter().filter(|delivery| delivery.path.to_lowercase().contains("trace"));
    let requests = requests.map(|d| ExportTraceServiceRequest::decode(&*d.message).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans).collect()
}

pub(crate) fn records(deliveries: &[Delivery]) -> Vec<LogRecord> {
    let requests =
        deliveries.iter().filter(|delivery| delivery.path.to_lowercase().contains("logs"));
    let requests = requests.map(|d| ExportLogsServiceRequest::decode(&*d.message).unwrap());
    let resources = requests.flat_map(|request| request.resource_logs);
    resources.flat_map(|logs| logs.scope_logs).flat_map(|logs| logs.log_records).collect()
}

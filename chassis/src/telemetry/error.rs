//! Why telemetry cannot start.

use std::path::PathBuf;

use super::logs::InvalidFilter;

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
    /// An endpoint that no request can be made for.
    #[error("the endpoint of the OTLP exporter cannot be used")]
    Endpoint,
    /// The thread that exports did not start.
    #[error("the export cannot start")]
    Export(#[source] std::io::Error),
    /// Two metric families collide.
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl TelemetryError {
    /// Whether settings are to be changed before it is tried again.
    pub fn is_unusable(&self) -> bool {
        use TelemetryError::{Certificate, Endpoint, LogFile, LogLevel};
        matches!(self, LogLevel(_) | LogFile { .. } | Certificate { .. } | Endpoint)
    }
}

//! OpenTelemetry's environment variables, read once from a snapshot: what each means and what it is
//! worth. Nothing here fails; what is malformed is ignored and told, as the specification asks
//! (configuration/sdk-environment-variables). How spans are exported is in `traces`.

mod reader;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_otlp::Compression;
use opentelemetry_sdk::trace::Sampler;

use self::reader::Reader;
use super::target::ExportTarget;
use crate::settings::Environ;

/// Everything that the `OTEL_*` variables say to this service.
pub(super) struct OtelEnvironment {
    pub(super) service_name: Option<String>,
    pub(super) resource_attributes: Vec<(String, String)>,
    pub(super) exporter: Exporter,
    pub(super) otlp: Otlp,
    pub(super) sampler: Sampler,
    pub(super) trace_context: bool,
    pub(super) batch: Batch,
    pub(super) attribute_count: Option<u32>,
    /// In characters.
    pub(super) attribute_length: Option<usize>,
    pub(super) ignored: Vec<Ignored>,
}

/// Where finished spans go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Exporter {
    Otlp(ExportTarget),
    Console,
    None,
}

/// How the collector is spoken to. No `Debug`: headers carry credentials.
pub(super) struct Otlp {
    pub(super) headers: HashMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) compression: Option<Compression>,
    pub(super) certificate: Option<PathBuf>,
    /// Certificate and key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// How spans are gathered before they are sent.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) delay: Duration,
    pub(super) queue: usize,
    pub(super) size: usize,
}

/// A variable that was given and is not followed. The value is left out: it may be a secret.
#[derive(Debug)]
pub(super) struct Ignored {
    pub(super) variable: &'static str,
    pub(super) reason: String,
}

impl OtelEnvironment {
    pub(super) fn read(environ: &Environ) -> Self {
        let mut reader = Reader { environ, ignored: Vec::new() };
        let disabled = reader.flag("OTEL_SDK_DISABLED");
        Self {
            service_name: environ.get("OTEL_SERVICE_NAME").map(ToOwned::to_owned),
            resource_attributes: reader.resource_attributes(),
            exporter: reader.exporter(disabled),
            otlp: reader.otlp(),
            sampler: reader.sampler(disabled),
            trace_context: reader.trace_context(),
            batch: reader.batch(),
            attribute_count: reader
                .first(["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"]),
            attribute_length: reader.first([
                "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            ]),
            ignored: reader.ignored,
        }
    }
}

#[cfg(test)]
mod tests;

//! OpenTelemetry's environment variables, read once from a snapshot: what each means and what it is
//! worth. Nothing here fails; what is malformed is ignored and told, as the specification asks
//! (configuration/sdk-environment-variables). How telemetry is exported is in `export`.

mod methods;
mod names;
mod otlp;
mod reader;
mod sampling;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;

use self::reader::Reader;
use super::methods::KnownMethods;
use super::metrics::exemplars::ExemplarFilter;
use super::target::ExportTarget;
use crate::settings::Environ;

/// Everything that the `OTEL_*` variables say to this service.
pub(super) struct OtelEnvironment {
    pub(super) service_name: Option<String>,
    pub(super) resource_attributes: Vec<(String, String)>,
    pub(super) sampler: Sampler,
    pub(super) trace_context: bool,
    pub(super) traces: SignalEnvironment,
    pub(super) logs: SignalEnvironment,
    pub(super) exemplars: ExemplarFilter,
    pub(super) methods: KnownMethods,
    pub(super) ignored: Vec<Ignored>,
}

/// What the variables say of one signal.
pub(super) struct SignalEnvironment {
    pub(super) exporter: Exporter,
    pub(super) otlp: Otlp,
    pub(super) batch: Batch,
    pub(super) attributes: AttributeLimits,
}

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Exporter {
    Otlp(ExportTarget),
    Console,
    None,
}

/// How the collector is spoken to. No `Debug`: headers carry credentials.
pub(super) struct Otlp {
    pub(super) headers: HashMap<String, String>,
    pub(super) gzip: bool,
    pub(super) certificate: Option<PathBuf>,
    /// Certificate and key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// How items are gathered before they are sent.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    /// The longest that an item waits for others.
    pub(super) delay: Duration,
    /// Items that may wait.
    pub(super) queue: usize,
    /// Items that are sent together.
    pub(super) size: usize,
    /// For a batch, retries included.
    pub(super) timeout: Duration,
}

/// What of an item's attributes is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AttributeLimits {
    pub(super) count: u32,
    /// Of a text, in characters.
    pub(super) length: Option<usize>,
}

/// A variable that was given and is not followed. The value is left out: it may be a secret.
#[derive(Debug, PartialEq)]
pub(super) struct Ignored {
    pub(super) variable: &'static str,
    pub(super) reason: String,
}

impl OtelEnvironment {
    pub(super) fn read(environ: &Environ) -> Self {
        Self::read_by(&mut Reader::new(environ))
    }

    fn read_by(reader: &mut Reader<'_>) -> Self {
        let disabled = reader.flag("OTEL_SDK_DISABLED");
        Self {
            service_name: reader.get("OTEL_SERVICE_NAME").map(ToOwned::to_owned),
            resource_attributes: reader.resource_attributes(),
            sampler: reader.sampler(disabled),
            trace_context: reader.trace_context(),
            traces: reader.signal(&names::TRACES, disabled),
            logs: reader.signal(&names::LOGS, disabled),
            exemplars: reader.exemplar_filter(),
            methods: reader.known_methods(),
            ignored: std::mem::take(&mut reader.ignored),
        }
    }
}

#[cfg(test)]
mod tests;

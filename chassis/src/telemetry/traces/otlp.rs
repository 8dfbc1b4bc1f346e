//! The OTLP exporter over gRPC or HTTP, told everything in code: the variables were read and judged
//! in `otel_environment`.

use std::path::PathBuf;

use hyper::HeaderMap;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};

use tokio::runtime::Handle;

use super::http_client::RuntimeClient;
use crate::telemetry::TelemetryError;
use crate::telemetry::otel_environment::Otlp;
use crate::telemetry::target::{ExportTarget, Protocol};

/// The PEM files behind `OTEL_EXPORTER_OTLP_CERTIFICATE` and its two siblings.
pub(super) struct TlsFiles {
    pub(super) certificate: Option<Vec<u8>>,
    /// Certificate and key.
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

pub(super) fn exporter(target: &ExportTarget, otlp: &Otlp) -> Result<SpanExporter, TelemetryError> {
    // Asked for here because gRPC would panic without one.
    let runtime = Handle::try_current()?;
    let files = TlsFiles::read(otlp)?;
    match target.protocol {
        Protocol::Grpc => grpc(target, otlp, files),
        Protocol::HttpProtobuf => http(target, otlp, runtime, &files),
    }
}

impl TlsFiles {
    fn read(otlp: &Otlp) -> Result<Self, TelemetryError> {
        let certificate = otlp.certificate.as_ref().map(read).transpose()?;
        let client = match &otlp.client {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Self { certificate, client })
    }
}

fn grpc(
    target: &ExportTarget,
    otlp: &Otlp,
    files: TlsFiles,
) -> Result<SpanExporter, TelemetryError> {
    let headers = HeaderMap::try_from(&otlp.headers).unwrap_or_default();
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&target.endpoint)
        .with_timeout(otlp.timeout)
        .with_metadata(MetadataMap::from_headers(headers));
    if let Some(compression) = otlp.compression {
        builder = builder.with_compression(compression);
    }
    if target.endpoint.starts_with("https:") {
        builder = builder.with_tls_config(grpc_tls(files));
    }
    Ok(builder.build()?)
}

fn grpc_tls(files: TlsFiles) -> ClientTlsConfig {
    let tls = match files.certificate {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_webpki_roots(),
    };
    match files.client {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    }
}

fn http(
    target: &ExportTarget,
    otlp: &Otlp,
    runtime: Handle,
    files: &TlsFiles,
) -> Result<SpanExporter, TelemetryError> {
    let client = RuntimeClient::new(runtime, otlp.timeout, files).map_err(|source| {
        let client = otlp.client.as_ref().map(|(certificate, _)| certificate);
        let path = otlp.certificate.as_ref().or(client).cloned();
        TelemetryError::Certificate { path: path.unwrap_or_default(), source }
    })?;
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(&target.endpoint)
        .with_timeout(otlp.timeout)
        .with_headers(otlp.headers.clone());
    if let Some(compression) = otlp.compression {
        builder = builder.with_compression(compression);
    }
    Ok(builder.build()?)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, TelemetryError> {
    std::fs::read(path)
        .map_err(|error| TelemetryError::Certificate { path: path.clone(), source: error.into() })
}

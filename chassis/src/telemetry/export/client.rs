//! The HTTP client that reaches the collector, over HTTP/1.1 for `http/protobuf` and HTTP/2 for
//! gRPC, with the certificates that the `OTEL_EXPORTER_OTLP_*` variables name.

use std::fs;
use std::path::{Path, PathBuf};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::telemetry::TelemetryError;
use crate::telemetry::otel_environment::Otlp;
use crate::telemetry::target::Protocol;

pub(super) type CollectorClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client without connections; it makes them on the runtime that its requests run on.
pub(super) fn client(tls: ClientConfig, protocol: Protocol) -> CollectorClient {
    let mut tcp = HttpConnector::new();
    // Whether it is TLS is decided one layer above.
    tcp.enforce_http(false);
    // A request in two writes would wait for the acknowledgement of the first, some 40 ms.
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new());
    match protocol {
        Protocol::Grpc => {
            builder.http2_only(true).build(connector.enable_http2().wrap_connector(tcp))
        }
        Protocol::HttpProtobuf => builder.build(connector.enable_http1().wrap_connector(tcp)),
    }
}

/// Without a certificate of its own, the collector's must be signed by a public authority.
pub(super) fn tls(otlp: &Otlp) -> Result<ClientConfig, TelemetryError> {
    let provider = aws_lc_rs::default_provider().into();
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unusable(Path::new(""), error))?;
    let builder = match &otlp.certificate {
        None => builder.with_webpki_roots(),
        Some(path) => builder.with_root_certificates(roots(path)?),
    };
    let Some((certificate, key)) = &otlp.client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let pem = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(key, error))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| unusable(key, error))
}

fn roots(path: &Path) -> Result<RootCertStore, TelemetryError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TelemetryError> {
    let pem = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, TelemetryError> {
    fs::read(path).map_err(|error| unusable(path, error))
}

fn unusable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TelemetryError {
    TelemetryError::Certificate { path: PathBuf::from(path), source: source.into() }
}

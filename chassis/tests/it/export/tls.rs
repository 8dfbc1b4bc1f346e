//! Collectors behind TLS: with a private authority, and with certificates of their clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::telemetry::{ExportError, ExportState};
use chassis::testing::Collector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::{DEADLINE, Exporting, PROTOCOLS, spans};

/// An authority that nobody else knows, and what it signed.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let authority = Self { folder: TempDir::new().unwrap(), issuer };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn write(&self, name: &str, pem: &str) {
        std::fs::write(self.path(name), pem).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The TLS of a collector, which may want its clients to have a certificate.
    fn server(&self, with_client: bool) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if with_client {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = self.sign("localhost");
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_named() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    for protocol in PROTOCOLS {
        let collector = Collector::start_tls(authority.server(false)).await;
        let certificate = [("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&ca))];
        let exporting = Exporting::start(&collector.url(), protocol, &certificate);
        exporting.make(1);
        assert!(exporting.telemetry.shutdown(DEADLINE).await, "{protocol}");
        assert_eq!(spans(&collector.deliveries()).len(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_believed() {
    let authority = Authority::new();
    for protocol in PROTOCOLS {
        let collector = Collector::start_tls(authority.server(false)).await;
        let none = [("OTEL_LOGS_EXPORTER", "none")];
        let exporting = Exporting::start(&collector.url(), protocol, &none);
        exporting.make(1);
        exporting.until("a failure", |e| e.traces().state == ExportState::Failing).await;
        assert_eq!(exporting.traces().error, Some(ExportError::Unreachable));
        // The line stands there once the export has ended.
        exporting.telemetry.shutdown(DEADLINE).await;
        let lines = exporting.lines().await;
        assert!(lines[0]["error"].as_str().unwrap().contains("UnknownIssuer"), "{lines:?}");
        assert!(collector.deliveries().is_empty());
    }
}

#[tokio::test]
async fn a_collector_that_wants_certificates_gets_ours() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("belvedere");
    authority.write("client.pem", &certificate.pem());
    authority.write("client.key", &key.serialize_pem());
    let paths = ["ca.pem", "client.pem", "client.key"].map(|name| authority.path(name));
    let [ca, certificate, key] = paths.each_ref().map(|path| text(path));
    for protocol in PROTOCOLS {
        let collector = Collector::start_tls(authority.server(true)).await;
        let with = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key),
        ];
        let exporting = Exporting::start(&collector.url(), protocol, &with);
        exporting.make(1);
        assert!(exporting.telemetry.shutdown(DEADLINE).await, "{protocol}");
        assert_eq!(spans(&collector.deliveries()).len(), 1, "{protocol}");

        let without = Exporting::start(&collector.url(), protocol, &with[..1]);
        without.make(1);
        without.until("a failure", |e| e.traces().state == ExportState::Failing).await;
        assert_eq!(spans(&collector.deliveries()).len(), 1, "{protocol}");
    }
}

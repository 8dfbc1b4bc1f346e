//! What a start is told of TLS that cannot be had. The listener only negotiates it, which is all that
//! counts here; databases with TLS are in `scripts/check-database-tls`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{at, telemetry};
use crate::database::{ConnectError, Database, DatabaseSettings};

/// An authority, and the files that its certificates are in.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = TempDir::new().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A listener that shows a certificate for this name.
    async fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }
}

/// Answers PostgreSQL's request for TLS, and ends the connection after the handshake.
async fn listen(tls: Option<TlsAcceptor>) -> SocketAddr {
    listen_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), tls)
}

fn listen_on(listener: TcpListener, tls: Option<TlsAcceptor>) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut request = [0; 8];
                socket.read_exact(&mut request).await.unwrap();
                socket.write_all(if tls.is_some() { b"S" } else { b"N" }).await.unwrap();
                if let Some(tls) = tls {
                    let _ = tls.accept(socket).await;
                }
            });
        }
    });
    address
}

/// With a limit that nobody would wait for.
async fn failure(address: SocketAddr, query: &str) -> ConnectError {
    let url = format!("postgres://ada@{address}/users?{query}");
    let settings = DatabaseSettings { connect_timeout: Duration::MAX / 4, ..at(&url) };
    Database::connect(&settings, &telemetry().0).await.unwrap_err()
}

#[tokio::test]
async fn tls_that_is_demanded_and_missing_fails_at_once() {
    let address = listen(None).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = failure(address, &format!("sslmode={mode}")).await;
        assert!(!matches!(error, ConnectError::Unreachable { .. }));
        assert_eq!(
            error.to_string(),
            format!("the database server {address}: TLS is demanded, and the server offers none")
        );
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_told_with_the_reason() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (address, elsewhere) = (ours.serve("127.0.0.1").await, ours.serve("db-9").await);
    let trusting = |authority: &Authority| format!("sslrootcert={}", authority.file().display());
    for (address, query, reason) in [
        (address, "sslmode=verify-full".to_owned(), "not signed by a trusted authority"),
        (
            address,
            format!("sslmode=verify-ca&{}", trusting(&theirs)),
            "not signed by a trusted authority",
        ),
        (elsewhere, format!("sslmode=verify-full&{}", trusting(&ours)), "is for another name"),
    ] {
        let error = failure(address, &query).await;
        assert!(
            !matches!(error, ConnectError::Unreachable { .. })
                && error.to_string().contains(reason),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_holds_is_no_trouble() {
    let ours = Authority::new();
    let (address, elsewhere) = (ours.serve("127.0.0.1").await, ours.serve("db-9").await);
    let ca = ours.file();
    for (address, query) in [
        (address, "require".to_owned()),
        (elsewhere, format!("verify-ca&sslrootcert={}", ca.display())),
        (address, format!("verify-full&sslrootcert={}", ca.display())),
    ] {
        let url = format!("postgres://ada@{address}/users?sslmode={query}");
        let error = Database::connect(&at(&url), &telemetry().0).await.unwrap_err();
        // The listener is no database; TLS was had.
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_is_reached_by_ipv6() {
    // Machines without IPv6 cannot tell.
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
    let address = listen_on(listener, None);
    let error = failure(address, "sslmode=require").await;
    assert!(error.to_string().starts_with(&format!("the database server {address}: TLS is")));
}

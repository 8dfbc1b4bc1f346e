//! TLS from both ends: an authority, the files of a service that it signs for, and clients that trust it
//! and nobody else.

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::http::settings::ServerSettings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http2::Http2;
use super::raw::Raw;
use super::{App, Settings, in_time};

/// An authority that nobody else knows, with the files that a service has from it.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Both versions, the newer first.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

impl Authority {
    /// Files are there already.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let authority = Self { folder: TempDir::new().unwrap(), issuer };
        authority.issue();
        authority
    }

    /// Puts a new certificate and its key in the place of the old.
    pub(crate) fn issue(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write("tls.crt", &certificate.pem());
        self.write("tls.key", &key.serialize_pem());
        certificate.der().clone()
    }

    /// Puts this into one of the files.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Has the public listener use the files.
    pub(crate) fn secure(&self, settings: &mut ServerSettings) {
        settings.tls_cert_file = Some(self.folder.path().join("tls.crt"));
        settings.tls_key_file = Some(self.folder.path().join("tls.key"));
    }

    /// A service with the defaults over TLS.
    pub(crate) async fn start(&self) -> App {
        self.start_with(|_| {}).await
    }

    /// The same, whose settings the test changes.
    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Settings)) -> App {
        App::with(|settings| {
            self.secure(&mut settings.stack.server);
            change(settings);
        })
        .await
    }

    /// A client of these versions that offers these protocols.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A connection that says nothing of protocols.
    pub(crate) async fn raw(&self, app: &App) -> Raw<TlsStream<TcpStream>> {
        Raw::over(connect(app.client.address(), self.client(&VERSIONS, &[])).await.unwrap())
    }

    /// A connection that agrees on HTTP/2.
    pub(crate) async fn http2(&self, app: &App) -> Http2 {
        let client = self.client(&VERSIONS, &["h2"]);
        let stream = connect(app.client.address(), client).await.unwrap();
        Http2::over(stream, format!("https://localhost:{}", app.client.address().port())).await
    }
}

/// Shakes hands.
pub(crate) async fn connect(
    address: SocketAddr,
    config: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(config.into());
    in_time("the handshake", connector.connect(name, stream)).await
}

/// The certificate that the service showed.
pub(crate) fn shown(connection: &Raw<TlsStream<TcpStream>>) -> CertificateDer<'static> {
    let certificates = connection.stream().get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

/// The same with room for next to nothing.
pub(crate) async fn narrow(address: SocketAddr, config: ClientConfig) -> Raw<TlsStream<TcpStream>> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    Raw::over(in_time("the handshake", connector.connect(name, stream)).await.unwrap())
}

//! GET of a small document from another service, within bounds of time and size: for what an operator
//! has named, such as the keys of an issuer. No redirects, no proxies, no credentials, and no connection
//! is kept: it is asked for now and then.
//!
//! Each request is a client span. What the document means belongs to whoever wanted it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tracing::field::Empty as Later;
use tracing::{Instrument, Span, info_span};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Fetches documents.
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    timeout: Duration,
    limit: usize,
}

/// A document.
#[derive(Debug)]
pub struct Fetched {
    /// As it came.
    pub body: Bytes,
    /// How long it may be kept, where the answer says so (RFC 9111, section 5.2.2.1).
    pub max_age: Option<Duration>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The file of authorities is no use.
    #[error("the certificates cannot be used")]
    Certificates(#[source] BoxError),
    /// No request can be made of it.
    #[error("the address cannot be asked")]
    Address(#[source] hyper::http::Error),
    /// No connection, or nothing that is HTTP.
    #[error("there is no answer")]
    Network(#[source] ClientError),
    /// Not 200.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Longer than allowed, or broken off.
    #[error("the answer cannot be read to its end")]
    Body(#[source] BoxError),
    /// No whole answer in time.
    #[error("there is no whole answer within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl Fetcher {
    /// A request takes no longer than `timeout`, and a document has at most `limit` bytes. Servers show
    /// a certificate of an authority in this PEM file; without one, of a public authority.
    pub fn new(
        authorities: Option<&Path>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Self, FetchError> {
        let mut tcp = HttpConnector::new();
        // Whether it is TLS is decided one layer above.
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(authorities).map_err(FetchError::Certificates)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(0);
        Ok(Self { client: builder.build(connector), timeout, limit })
    }

    /// The document at this address.
    pub async fn get(&self, uri: &Uri) -> Result<Fetched, FetchError> {
        let span = info_span!(
            "GET",
            otel.kind = "client",
            otel.status_code = Later,
            http.request.method = "GET",
            http.response.status_code = Later,
            server.address = uri.host(),
            server.port = uri.port_u16().map(i64::from),
            url.full = without_query(uri),
            "error.type" = Later,
        );
        let request = async {
            let fetched = tokio::time::timeout(self.timeout, self.ask(uri)).await;
            let fetched = fetched.unwrap_or(Err(FetchError::Timeout(self.timeout)));
            if let Err(error) = &fetched {
                Span::current().record("otel.status_code", "ERROR");
                Span::current().record("error.type", error.kind());
            }
            fetched
        };
        request.instrument(span).await
    }

    async fn ask(&self, uri: &Uri) -> Result<Fetched, FetchError> {
        let request = Request::get(uri).header(header::ACCEPT, "application/json");
        let request = request.body(Empty::new()).map_err(FetchError::Address)?;
        let answer = self.client.request(request).await.map_err(FetchError::Network)?;
        self.read(answer).await
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Fetched, FetchError> {
        let (head, body) = answer.into_parts();
        Span::current().record("http.response.status_code", i64::from(head.status.as_u16()));
        // A redirect is no answer either: it may lead where the operator never meant to go.
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        let body = Limited::new(body, self.limit).collect().await.map_err(FetchError::Body)?;
        Ok(Fetched { body: body.to_bytes(), max_age: max_age(&head.headers) })
    }
}

impl FetchError {
    /// `error.type` of the span.
    fn kind(&self) -> &'static str {
        match self {
            Self::Certificates(_) | Self::Address(_) => "_OTHER",
            Self::Network(_) => "network",
            Self::Status(_) => "status",
            Self::Body(_) => "body",
            Self::Timeout(_) => "timeout",
        }
    }
}

fn tls(authorities: Option<&Path>) -> Result<ClientConfig, BoxError> {
    let provider = aws_lc_rs::default_provider().into();
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match authorities {
        None => builder.with_webpki_roots(),
        Some(path) => builder.with_root_certificates(roots(path)?),
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(path)?) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("there is none".into());
    }
    Ok(roots)
}

/// A query may hold what is nobody's business.
fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    text.split_once('?').map_or(text.as_str(), |(address, _)| address).to_owned()
}

/// `no-store` and `no-cache` are an age of nothing.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let directives = texts.iter().flat_map(|text| text.split(','));
    directives.map(str::trim).filter_map(age).min()
}

fn age(directive: &str) -> Option<Duration> {
    let directive = directive.to_ascii_lowercase();
    if directive == "no-store" || directive == "no-cache" {
        return Some(Duration::ZERO);
    }
    let seconds = directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;

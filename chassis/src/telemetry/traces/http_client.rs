//! The HTTP client of the OTLP exporter.
//!
//! The exporter runs on the batch processor's own thread, where no reactor is; each request
//! therefore runs on the service's runtime and the thread waits for it.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::Handle;

use super::otlp::TlsFiles;

/// An answer holds a few words about rejected spans; OpenTelemetry's own clients allow as much.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

type CollectorClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Debug)]
pub(super) struct RuntimeClient {
    client: CollectorClient,
    runtime: Handle,
    timeout: Duration,
}

impl RuntimeClient {
    pub(super) fn new(
        runtime: Handle,
        timeout: Duration,
        files: &TlsFiles,
    ) -> Result<Self, HttpError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(files)?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connector),
            runtime,
            timeout,
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (timeout, client) = (self.timeout, self.client.clone());
        let bounded = async move {
            // Made in here, where the runtime's timer is.
            tokio::time::timeout(timeout, exchange(client, request)).await?
        };
        let answer = match self.runtime.spawn(bounded).await {
            Ok(answer) => answer,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &answer {
            // The exporter reports no more than "network error".
            let error: &(dyn Error + 'static) = error.as_ref();
            tracing::debug!(error, "the collector cannot be reached");
        }
        answer
    }
}

async fn exchange(
    client: CollectorClient,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let answer = client.request(request.map(Full::new)).await?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

fn tls(files: &TlsFiles) -> Result<ClientConfig, HttpError> {
    let provider = aws_lc_rs::default_provider().into();
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &files.certificate {
        None => builder.with_webpki_roots(),
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let Some((certificate, key)) = &files.client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
    Ok(builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?)
}

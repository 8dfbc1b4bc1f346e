//! A document that is made once and served many times: compressed, with an entity tag.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Endpoint, Request, Response, Result};
use tokio::sync::OnceCell;

use super::negotiate::accepts_gzip;
use crate::problem::Problem;

/// What the document is made of.
pub struct Source {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub text: String,
    /// A `Content-Security-Policy` of its own, for documents that a browser runs.
    pub security_policy: Option<HeaderValue>,
}

/// Serves one document; clones share it.
#[derive(Clone)]
pub struct Asset(Arc<Lazy>);

struct Lazy {
    make: Box<dyn Fn() -> Source + Send + Sync>,
    made: OnceCell<Made>,
}

struct Made {
    content_type: HeaderValue,
    security_policy: Option<HeaderValue>,
    /// Only the compressed form is kept: nearly every client takes it, and it is a quarter of the size.
    gzip: Bytes,
    etag: String,
}

impl Asset {
    /// A document that `make` produces. On a runtime it is made in the background at once, so that
    /// it delays neither the start nor the first reader.
    pub fn new(make: impl Fn() -> Source + Send + Sync + 'static) -> Self {
        let asset = Self(Arc::new(Lazy { make: Box::new(make), made: OnceCell::new() }));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let warm = asset.clone();
            runtime.spawn(async move { warm.made().await.map(|_| ()) });
        }
        asset
    }

    async fn made(&self) -> Result<&Made, Problem> {
        let lazy = self.0.clone();
        let make = async || {
            let made = tokio::task::spawn_blocking(move || Made::from((lazy.make)()));
            made.await.map_err(Problem::internal)
        };
        self.0.made.get_or_try_init(make).await
    }
}

impl Endpoint for Asset {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let made = self.made().await?;
        let compressed = accepts_gzip(request.headers());
        let mut response = if is_current(request.headers(), &made.etag(compressed)) {
            Response::builder().status(StatusCode::NOT_MODIFIED).finish()
        } else {
            made.whole(compressed)?
        };
        made.describe(compressed, response.headers_mut());
        Ok(response)
    }
}

impl From<Source> for Made {
    fn from(source: Source) -> Self {
        let gzip = compress(source.text.as_bytes());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, source.text.as_bytes());
        Self {
            content_type: HeaderValue::from_static(source.content_type),
            security_policy: source.security_policy,
            // Half of a SHA-256 tells versions of a document apart as surely as all of it.
            etag: BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]),
            gzip: gzip.into(),
        }
    }
}

impl Made {
    fn whole(&self, compressed: bool) -> Result<Response, Problem> {
        let response = Response::builder().header(header::CONTENT_TYPE, self.content_type.clone());
        if compressed {
            let gzip = HeaderValue::from_static("gzip");
            return Ok(response.header(header::CONTENT_ENCODING, gzip).body(self.gzip.clone()));
        }
        let mut text = Vec::new();
        GzDecoder::new(&self.gzip[..]).read_to_end(&mut text).map_err(Problem::internal)?;
        Ok(response.body(text))
    }

    /// Each encoding is a representation with a tag of its own (RFC 9110, section 8.8.3.3).
    fn etag(&self, compressed: bool) -> String {
        let suffix = if compressed { "-gzip" } else { "" };
        format!("\"{}{suffix}\"", self.etag)
    }

    /// What a 304 repeats as well (RFC 9110, section 15.4.5).
    fn describe(&self, compressed: bool, headers: &mut HeaderMap) {
        headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
        // Kept, but asked about each time: the document changes with the release.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(etag) = HeaderValue::from_str(&self.etag(compressed)) {
            headers.insert(header::ETAG, etag);
        }
        if let Some(policy) = &self.security_policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
    }
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

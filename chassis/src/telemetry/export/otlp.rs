//! One batch in one request to the collector, over gRPC or HTTP, and what its answer means. OTLP's
//! protocol specification says which answers ask for another attempt.
//!
//! A gRPC call of one message is an HTTP/2 request whose body has five bytes before the message and
//! whose status comes after it (gRPC over HTTP2, PROTOCOL-HTTP2.md), so both protocols share all but
//! that.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;

use super::Signal;
use super::client::{self, CollectorClient};
use super::failure::{Failure, Retry};
use super::protobuf::{Fields, Value};
use crate::telemetry::TelemetryError;
use crate::telemetry::otel_environment::Otlp;
use crate::telemetry::target::{ExportTarget, Protocol};

/// An answer holds a few words about rejected items; OpenTelemetry's own clients allow as much.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// Before a gRPC message: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;
const USER_AGENT: &str =
    concat!("OTel-OTLP-Exporter-", env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The way to one collector.
pub(super) struct Collector {
    client: CollectorClient,
    tls: ClientConfig,
    uri: Uri,
    headers: HeaderMap,
    protocol: Protocol,
    gzip: bool,
}

/// How many items of a batch the collector did not want; 0 in the normal case.
pub(super) type Rejected = u64;

impl Collector {
    pub(super) fn new(
        signal: Signal,
        target: &ExportTarget,
        otlp: &Otlp,
    ) -> Result<Self, TelemetryError> {
        let tls = client::tls(otlp)?;
        let (uri, credentials) = address(signal, target).ok_or(TelemetryError::Endpoint)?;
        Ok(Self {
            client: client::client(tls.clone(), target.protocol),
            tls,
            uri,
            headers: headers(target.protocol, otlp, credentials),
            protocol: target.protocol,
            gzip: otlp.gzip,
        })
    }

    /// Forgets the connections. One whose peer is gone for good would be used again and again.
    pub(super) fn reconnect(&mut self) {
        self.client = client::client(self.tls.clone(), self.protocol);
    }

    /// The body of a request: `write` appends the message.
    pub(super) fn body(&self, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let prefix = if self.protocol == Protocol::Grpc { GRPC_PREFIX } else { 0 };
        let mut body = vec![0; prefix];
        write(&mut body);
        if self.gzip {
            body = compress(&body, prefix);
        }
        if prefix > 0 {
            let length = u32::try_from(body.len() - prefix).unwrap_or(u32::MAX);
            body[0] = u8::from(self.gzip);
            body[1..prefix].copy_from_slice(&length.to_be_bytes());
        }
        body.into()
    }

    /// One attempt.
    pub(super) async fn send(&self, body: Bytes) -> Result<Rejected, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if self.protocol == Protocol::Grpc {
            *request.version_mut() = Version::HTTP_2;
        }
        let answer = self.client.request(request).await.map_err(|e| Failure::network(&e))?;
        match self.protocol {
            Protocol::Grpc => judge_grpc(answer).await,
            Protocol::HttpProtobuf => judge_http(answer).await,
        }
    }
}

/// Where requests go, and the user and password that stand in the endpoint.
fn address(signal: Signal, target: &ExportTarget) -> Option<(Uri, Option<HeaderValue>)> {
    let uri: Uri = target.endpoint.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    let path = match target.protocol {
        Protocol::Grpc => signal.grpc_path(),
        Protocol::HttpProtobuf => uri.path_and_query()?.as_str(),
    };
    let address = Uri::builder().scheme(uri.scheme_str()?).authority(host).path_and_query(path);
    Some((address.build().ok()?, credentials.and_then(basic)))
}

fn basic(credentials: &str) -> Option<HeaderValue> {
    let decoded: Vec<u8> = percent_decode_str(credentials).collect();
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(decoded))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn headers(protocol: Protocol, otlp: &Otlp, credentials: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(credentials) = credentials {
        headers.insert(header::AUTHORIZATION, credentials);
    }
    // They were judged when they were read; none is left out here.
    let mut own = HeaderMap::try_from(&otlp.headers).unwrap_or_default();
    // Most are keys: HPACK does not index such values, and `Debug` does not show them.
    own.values_mut().for_each(|value: &mut HeaderValue| value.set_sensitive(true));
    headers.extend(own);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let (media_type, encoding) = match protocol {
        Protocol::Grpc => ("application/grpc", HeaderName::from_static("grpc-encoding")),
        Protocol::HttpProtobuf => ("application/x-protobuf", header::CONTENT_ENCODING),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if otlp.gzip {
        headers.insert(encoding, HeaderValue::from_static("gzip"));
    }
    if protocol == Protocol::Grpc {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    headers
}

/// Compresses what comes after the prefix. Writing to memory does not fail.
fn compress(body: &[u8], prefix: usize) -> Vec<u8> {
    let (kept, message) = body.split_at(prefix);
    let mut encoder = GzEncoder::new(kept.to_vec(), Compression::fast());
    let _ = encoder.write_all(message);
    encoder.finish().unwrap_or_default()
}

async fn judge_http(answer: Response<Incoming>) -> Result<Rejected, Failure> {
    let (head, body) = answer.into_parts();
    if !head.status.is_success() {
        return Err(refusal(head.status, &head.headers));
    }
    let body = Limited::new(body, ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| Failure::network(error.as_ref()))?;
    Ok(rejected(&body.to_bytes()))
}

async fn judge_grpc(answer: Response<Incoming>) -> Result<Rejected, Failure> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(refusal(head.status, &head.headers));
    }
    let body = Limited::new(body, ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| Failure::network(error.as_ref()))?;
    // An answer without a message has its status in front.
    let end = body.trailers().filter(|trailers| trailers.contains_key("grpc-status"));
    let end = end.unwrap_or(&head.headers);
    let status = end.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
    match status {
        Some(0) => Ok(rejected(body.to_bytes().get(GRPC_PREFIX..).unwrap_or_default())),
        Some(status) => Err(grpc_failure(status, end)),
        None => Err(Failure::refused("the answer is not gRPC", Retry::Never)),
    }
}

fn refusal(status: StatusCode, headers: &HeaderMap) -> Failure {
    let retry = match status.as_u16() {
        429 | 502 | 503 | 504 => retry_after(headers).map_or(Retry::Soon, Retry::After),
        _ => Retry::Never,
    };
    Failure::refused(format!("the collector answered {status}"), retry)
}

/// RFC 9110 section 10.2.3; a date counts as no answer.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn grpc_failure(status: u32, end: &HeaderMap) -> Failure {
    /// `RESOURCE_EXHAUSTED`, which is worth another attempt only where the collector says when.
    const EXHAUSTED: u32 = 8;
    let retry = match (status, retry_info(end)) {
        (1 | 4 | EXHAUSTED | 10 | 11 | 14 | 15, Some(delay)) => Retry::After(delay),
        (1 | 4 | 10 | 11 | 14 | 15, None) => Retry::Soon,
        _ => Retry::Never,
    };
    Failure::refused(format!("the collector answered gRPC status {status}"), retry)
}

/// The delay in a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(end: &HeaderMap) -> Option<Duration> {
    let details = end.get("grpc-status-details-bin")?.to_str().ok()?;
    let details = BASE64_STANDARD_NO_PAD.decode(details.trim_end_matches('=')).ok()?;
    Fields::of(&details).find_map(|field| match field {
        (3, Value::Bytes(any)) => retry_delay(any),
        _ => None,
    })
}

/// The `retry_delay` of a `google.rpc.RetryInfo` in a `google.protobuf.Any`.
fn retry_delay(any: &[u8]) -> Option<Duration> {
    if !Fields::of(any).bytes(1)?.ends_with(b"/google.rpc.RetryInfo") {
        return None;
    }
    let delay = Fields::of(Fields::of(any).bytes(2)?).bytes(1)?;
    let seconds = Fields::of(delay).number(1).unwrap_or(0);
    let nanos = u32::try_from(Fields::of(delay).number(2).unwrap_or(0)).ok()?;
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

/// The count in the `partial_success` of an `Export…ServiceResponse`. Such items are not sent again.
fn rejected(message: &[u8]) -> Rejected {
    let partial = Fields::of(message).bytes(1).unwrap_or_default();
    Fields::of(partial).number(1).unwrap_or(0)
}

#[cfg(test)]
mod tests;

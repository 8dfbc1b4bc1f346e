//! The headers that every answer carries, errors and redirects included. A handler that sets one
//! itself keeps its own value.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::exchange::Exchange;

/// Completes what is answered below it.
pub(super) struct CommonHeaders<E>(pub E);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// After OWASP's Secure Headers Project, in the strictest form: an API needs none of a browser's powers.
const DEFAULTS: [(HeaderName, HeaderValue); 9] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        HeaderValue::from_static("require-corp"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
        ),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Two years, what the preload list asks for; browsers ignore it over plain HTTP (RFC 6797, section 8.1).
const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=63072000; includeSubDomains");

impl<E: Endpoint<Output = Response>> Endpoint for CommonHeaders<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let exchange = Exchange::of(&request);
        let mut response = self.0.call(request).await?;
        let https = exchange.as_ref().is_some_and(|exchange| exchange.client.https);
        complete(response.headers_mut(), https);
        if let Some(exchange) = exchange {
            describe(&exchange, response.headers_mut());
        }
        Ok(response)
    }
}

/// Adds what is missing of the headers that do not depend on the request, but for its scheme.
pub(super) fn complete(headers: &mut HeaderMap, https: bool) {
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
    }
}

fn describe(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(quota) = exchange.quota.get() {
        for (name, field) in
            [(RATE_LIMIT_POLICY, quota.policy_field()), (RATE_LIMIT, quota.field())]
        {
            headers.extend(field.map(|field| (name, field)));
        }
    }
}

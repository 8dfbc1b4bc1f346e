//! Cross-origin calls from browsers (Fetch standard, section 3.2): exact origins only, without
//! cookies, and on errors too, which poem's middleware leaves bare.

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, Result};

use super::exchange::Exchange;
use super::unambiguous;

const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-match, if-none-match, idempotency-key, traceparent, tracestate, x-request-id",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, idempotency-replayed, link, location, ratelimit, ratelimit-policy, retry-after, server-timing, www-authenticate, x-request-id",
);
/// Ten minutes: long enough to spare a page its preflights, short enough to change one's mind.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// Answers preflights and marks answers that other origins may read.
pub(super) struct Cors<E> {
    inner: E,
    origins: Vec<String>,
}

impl<E> Cors<E> {
    /// Lets pages of these origins call `inner`.
    pub(super) fn new(inner: E, origins: Vec<String>) -> Self {
        Self { inner, origins }
    }

    fn allowed_origin(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let allowed = self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
        allowed.then(|| origin.clone())
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Cors<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if self.origins.is_empty() {
            return self.inner.call(request).await;
        }
        let origin = self.allowed_origin(&request);
        let mut response = match &origin {
            Some(_) if is_preflight(&request) && unambiguous::check(&request).is_ok() => {
                preflight(&request)
            }
            _ => self.inner.call(request).await?,
        };
        let headers = response.headers_mut();
        // The answer differs by origin, also for those that are not allowed.
        headers.append(header::VARY, HeaderValue::from_name(header::ORIGIN));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
        Ok(response)
    }
}

fn is_preflight(request: &Request) -> bool {
    let asks = |name: HeaderName| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && asks(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(request: &Request) -> Response {
    let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
    let headers: &mut HeaderMap = response.headers_mut();
    if let Some(route) = Exchange::of(request).and_then(|exchange| exchange.route.clone()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, route.allow().clone());
        headers.insert(header::ALLOW, route.allow().clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    response
}

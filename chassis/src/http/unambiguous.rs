//! Refuses heads that a proxy in front may understand otherwise than the service does, before anything
//! else is answered on the same connection.

use poem::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use poem::{Endpoint, Request, Result};

use super::authority;
use crate::problem::{Problem, ProblemType};

/// Four times what clients and proxies send at most.
const HEADERS_MAX: usize = 64 * 1024;

/// Lets through what can be understood in one way.
pub(super) struct Unambiguous<E>(pub E);

impl<E: Endpoint> Endpoint for Unambiguous<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        check(&request)?;
        self.0.call(request).await
    }
}

/// Refuses a request whose end, host or size is in doubt.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if !is_framed(headers) {
        return Err(Problem::new(&ProblemType::BAD_REQUEST)
            .detail("the only Transfer-Encoding is chunked")
            .header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    // Of HTTP/1 hyper's own limit is as large.
    if request.version() == Version::HTTP_2 && size(headers) > HEADERS_MAX {
        return Err(Problem::from_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            .detail(format!("the headers must not exceed {HEADERS_MAX} bytes")));
    }
    let fault = authority::fault(request.uri(), request.version(), headers);
    fault.map_or(Ok(()), |detail| Err(Problem::new(&ProblemType::BAD_REQUEST).detail(detail)))
}

/// hyper reads any list that ends in `chunked` as if that were all of it. Who stands in front may decode
/// the rest, and find the end of the body elsewhere (RFC 9112, section 6.1).
fn is_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    codings.next().is_none()
        && coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// As RFC 9113, section 6.5.2, counts the size of a list of headers.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

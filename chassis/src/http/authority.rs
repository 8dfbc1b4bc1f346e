//! For whom a request is: the host that its head names, which must be one.
//!
//! Where it names none, two, or something that is no host, a proxy and the service may see different sites
//! (RFC 9112, section 3.2; RFC 9113, section 8.3.1).

use poem::Request;
use poem::http::header::HOST;
use poem::http::uri::Authority;
use poem::http::{HeaderValue, Version};

use crate::problem::{Problem, ProblemType};

/// Refuses a request that does not name one host.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    fault(request)
        .map_or(Ok(()), |detail| Err(Problem::new(&ProblemType::BAD_REQUEST).detail(detail)))
}

fn fault(request: &Request) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let target = request.uri().authority().filter(|_| request.version() >= Version::HTTP_2);
    match (host, target) {
        _ if more.is_some() => Some("the request must have one Host header"),
        (None, None) if request.version() == Version::HTTP_11 => {
            Some("the request must have one Host header")
        }
        (Some(host), _) if !is_host(host) => {
            Some("the Host header must be a name or an address, with a port or without")
        }
        (Some(host), Some(target)) if !is_same(host, target) => {
            Some("the Host header must say the same as :authority")
        }
        // What identifies a person has no place in the name of a server.
        (_, Some(target)) if target.as_str().contains('@') => {
            Some(":authority must be a name or an address, with a port or without")
        }
        _ => None,
    }
}

/// `uri-host [ ":" port ]`, or nothing, where the target has no authority.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

fn is_same(host: &HeaderValue, target: &Authority) -> bool {
    host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        for host in
            ["site", "site:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a-b.c_d.example", ""]
        {
            assert!(is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
        for host in ["a b", "http://x/", "x@y", "x, y", "x/", "[::1", "x:80:90", "\u{e9}"] {
            assert!(!is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
    }
}

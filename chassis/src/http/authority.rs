//! For whom a request is: the host that its head names. Two, or something that is none, are refused.
//!
//! A proxy and the service might see different sites in them (RFC 9112, section 3.2; RFC 9113, section
//! 8.3.1).

use std::net::Ipv6Addr;

use poem::http::header::HOST;
use poem::http::uri::Authority;
use poem::http::{HeaderMap, HeaderValue, Uri, Version};

/// What is wrong with it.
pub(super) fn fault(uri: &Uri, version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    // In HTTP/1 an authority in the target beats the header, whatever it says.
    let target = uri.authority().filter(|_| version >= Version::HTTP_2);
    match (host, target) {
        _ if more.is_some() => Some("the request must have one Host header"),
        (None, None) if version == Version::HTTP_11 => {
            Some("the request must have one Host header")
        }
        (Some(host), _) if !is_host(host.as_bytes()) => {
            Some("the Host header must be a name or an address, with a port or without")
        }
        (_, Some(target)) if !is_host(target.as_str().as_bytes()) => {
            Some(":authority must be a name or an address, with a port or without")
        }
        (Some(host), Some(target)) if !is_same(host, target, uri.scheme_str()) => {
            Some("the Host header must say the same as :authority")
        }
        _ => None,
    }
}

/// `uri-host [ ":" port ]`, or nothing, where the target has no authority.
fn is_host(value: &[u8]) -> bool {
    if value.is_empty() {
        return true;
    }
    let (Ok(_), Ok(text)) = (Authority::try_from(value), std::str::from_utf8(value)) else {
        return false;
    };
    let (is_named, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) => (address.parse::<Ipv6Addr>().is_ok(), port),
        Some(None) => return false,
        None => {
            let name = text.split(':').next().unwrap_or_default();
            (!name.is_empty() && !name.contains('@'), &text[name.len()..])
        }
    };
    is_named && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// May be nothing (RFC 3986, section 3.2.3).
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.is_empty() || text.parse::<u16>().is_ok())
}

/// The scheme's own port says nothing, nor does the case of a name.
fn is_same(host: &HeaderValue, target: &Authority, scheme: Option<&str>) -> bool {
    let usual = if scheme == Some("https") { ":443" } else { ":80" };
    let bare = |text: &[u8]| {
        let text = text.strip_suffix(usual.as_bytes()).unwrap_or(text);
        text.strip_suffix(b":").unwrap_or(text).to_ascii_lowercase()
    };
    bare(host.as_bytes()) == bare(target.as_str().as_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        for host in [
            "site",
            "site:80",
            "site:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "a-b.c_d.example.",
            "",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "http://x/",
            "x@y",
            "x, y",
            "x/",
            "[::1",
            "[zz]",
            "[::1]x",
            "x:80:90",
            "x:abc",
            "x:65536",
            "x:+80",
            ":80",
            "\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn over_http2_the_header_is_the_authority_with_the_usual_port_or_without() {
        let faults = |authority: &str, scheme: &str, host: &str| {
            let uri = format!("{scheme}://{authority}/").parse().unwrap();
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]);
            fault(&uri, Version::HTTP_2, &headers).is_some()
        };
        assert!(!faults("Site.example", "https", "site.example:443"));
        assert!(!faults("site.example:80", "http", "site.example"));
        assert!(!faults("site.example:", "http", "site.example"));
        assert!(faults("site.example", "http", "site.example:443"));
        assert!(faults("site.example", "https", "other.example"));
        assert!(faults("ada@site.example", "https", "site.example"));
    }
}

//! The host that the client asked for, which a proxy may have replaced by its own word for us.

use std::net::SocketAddr;

use poem::Request;
use poem::http::uri::Authority;
use poem::http::{HeaderMap, Uri, header};

use super::{Clients, forwarded};

impl Clients {
    /// Host and port as the client named them: by the word of a trusted proxy, or by the request itself.
    pub(in crate::http) fn authority(&self, request: &Request) -> Option<Authority> {
        let peer = request.remote_addr().as_socket_addr().copied();
        self.authority_from(peer, request.uri(), request.headers())
    }

    fn authority_from(
        &self,
        peer: Option<SocketAddr>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Authority> {
        let trusted = peer.is_some_and(|peer| self.trusts(peer.ip().to_canonical()));
        let told = trusted.then(|| self.told_host(headers)).flatten();
        // HTTP/2 has no `Host`: its authority stands in the URI.
        told.or_else(|| uri.authority().cloned())
            .or_else(|| headers.get(header::HOST)?.to_str().ok()?.parse().ok())
    }

    /// The nearest proxy's word counts, as it does for the scheme.
    fn told_host(&self, headers: &HeaderMap) -> Option<Authority> {
        let listed = || forwarded::listed_host(headers)?.parse().ok();
        let forwarded = || forwarded::forwarded_host(headers)?.parse().ok();
        match self.header.of(listed, forwarded) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use poem::http::HeaderName;

    use super::super::ForwardingHeader;
    use super::*;

    fn seen(clients: &Clients, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        map.insert(header::HOST, "inner:8080".parse().unwrap());
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let peer = Some(peer.parse().unwrap());
        clients.authority_from(peer, &Uri::from_static("/"), &map).unwrap().to_string()
    }

    #[test]
    fn a_trusted_proxy_says_which_host_was_asked_for() {
        let clients = Clients::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (headers, host) in [
            (&[][..], "inner:8080"),
            (&[("x-forwarded-host", "users.example.org")], "users.example.org"),
            (&[("x-forwarded-host", "lies, users.example.org:81")], "users.example.org:81"),
            (&[("forwarded", "for=192.0.2.1;host=\"[2001:db8::1]:81\"")], "[2001:db8::1]:81"),
            (&[("forwarded", "for=192.0.2.1;host=lies, for=10.0.0.2")], "inner:8080"),
            (&[("x-forwarded-host", "a"), ("forwarded", "host=a")], "a"),
            (&[("x-forwarded-host", "a"), ("forwarded", "host=b")], "inner:8080"),
            (&[("x-forwarded-host", "no host")], "inner:8080"),
        ] {
            assert_eq!(seen(&clients, "10.0.0.1:5", headers), host, "{headers:?}");
            assert_eq!(seen(&clients, "192.0.2.1:5", headers), "inner:8080", "a stranger");
        }
        let clients = clients.by(ForwardingHeader::Forwarded);
        assert_eq!(seen(&clients, "10.0.0.1:5", &[("x-forwarded-host", "a")]), "inner:8080");
    }
}

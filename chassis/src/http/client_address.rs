//! Who is calling: the client's address, scheme and host behind proxies that are trusted by name.
//!
//! Limits, logs and spans all ask here, so that they agree. A header that a stranger can write is
//! never believed: entries count from the right, as far as they were added by a trusted proxy.

mod authority;
mod forwarded;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::Request;
use poem::http::{HeaderMap, uri::Scheme};

pub use forwarded::ForwardingHeader;

/// An IPv6 customer owns at least a /64, so single addresses in it are no different clients.
const IPV6_CLIENT_BITS: u32 = 64;

/// The client as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The nearest address that is not a trusted proxy's; none on a listener without addresses.
    pub address: Option<IpAddr>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// `https` over TLS or behind a trusted proxy that says so.
    pub https: bool,
}

/// What one client's budget is counted under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientKey(Option<IpAddr>);

/// Resolves clients for a set of trusted proxies.
#[derive(Clone, Debug)]
pub struct Clients {
    trusted: Vec<IpNet>,
    header: ForwardingHeader,
}

impl ClientKey {
    /// An IPv4 address or an IPv6 /64. Those without an address share one key.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> (128 - IPV6_CLIENT_BITS) << (128 - IPV6_CLIENT_BITS);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        }))
    }

    /// The address, or the first of the network.
    pub(super) fn address(self) -> Option<IpAddr> {
        self.0
    }
}

impl Client {
    /// The key of the client's budget.
    pub fn key(&self) -> ClientKey {
        ClientKey::of(self.address)
    }

    /// The address that the client's budget is counted under, if it has one.
    pub fn network(&self) -> Option<IpAddr> {
        self.key().address()
    }

    /// The scheme that the client used.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

impl Clients {
    /// Believes what proxies in these networks say.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, header: ForwardingHeader::Either }
    }

    /// Believes this header alone.
    #[must_use]
    pub fn by(self, header: ForwardingHeader) -> Self {
        Self { header, ..self }
    }

    /// The client of a request.
    pub fn resolve(&self, request: &Request) -> Client {
        let peer = request.remote_addr().as_socket_addr().copied();
        let tls = *request.scheme() == Scheme::HTTPS;
        self.resolve_from(peer, tls, request.headers())
    }

    fn resolve_from(&self, peer: Option<SocketAddr>, tls: bool, headers: &HeaderMap) -> Client {
        let direct = peer.map(|peer| peer.ip().to_canonical());
        if !direct.is_some_and(|address| self.trusts(address)) {
            return Client { address: direct, peer, https: tls };
        }
        let listed = || self.nearest_stranger(direct, forwarded::listed(headers));
        let forwarded = || self.nearest_stranger(direct, forwarded::forwarded(headers));
        // A proxy writes one of the two and passes the other on as the client sent it: when they
        // disagree, one of them is a lie.
        let address = match self.header.of(listed, forwarded) {
            (Some(one), Some(other)) if one != other => direct,
            (one, other) => one.or(other).or(direct),
        };
        Client { address, peer, https: tls || self.says_https(headers) }
    }

    /// The nearest proxy's word counts, and it wrote the last entry.
    fn says_https(&self, headers: &HeaderMap) -> bool {
        let https = |scheme: &str| scheme.eq_ignore_ascii_case("https");
        let listed = || forwarded::listed_scheme(headers).map(https);
        let forwarded = || forwarded::forwarded_scheme(headers).map(|scheme| https(&scheme));
        match self.header.of(listed, forwarded) {
            (Some(one), Some(other)) => one && other,
            (one, other) => one.or(other).unwrap_or(false),
        }
    }

    /// The first address from the right that no trusted proxy has; `None` without entries.
    fn nearest_stranger(
        &self,
        direct: Option<IpAddr>,
        entries: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<IpAddr> {
        let mut nearest = None;
        for entry in entries {
            // What stands left of an entry that is no address (`unknown`, `_hidden`) is hearsay.
            let Some(address) = entry else {
                return nearest.or(direct);
            };
            nearest = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use poem::http::HeaderValue;

    use super::*;
    use crate::testing::Hostile;
    use crate::testing::hold;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let clients =
            Clients::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        clients.resolve_from(Some(peer.parse().unwrap()), false, &map)
    }

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        client(peer, headers).address.unwrap().to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("192.0.2.7:1", &[("x-forwarded-for", "1.1.1.1")]), "192.0.2.7");
        assert_eq!(seen("192.0.2.7:1", &[("forwarded", "for=1.1.1.1;proto=https")]), "192.0.2.7");
        assert!(!client("192.0.2.7:1", &[("x-forwarded-proto", "https")]).https);
    }

    #[test]
    fn entries_count_from_the_right_as_far_as_proxies_are_trusted() {
        let chain = ("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.1.1.1");
        assert_eq!(seen("10.0.0.1:1", &[chain]), "192.0.2.7");
        assert_eq!(
            seen("10.0.0.1:1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")]),
            "192.0.2.7"
        );
        assert_eq!(
            seen("10.0.0.1:1", &[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:443\"")]),
            "2001:db8::1"
        );
        assert_eq!(seen("10.0.0.1:1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", "10.2.2.2, 10.1.1.1")]), "10.2.2.2");
    }

    #[test]
    fn what_stands_left_of_an_unknown_entry_is_not_believed() {
        assert_eq!(
            seen("10.0.0.1:1", &[("x-forwarded-for", "6.6.6.6, unknown, 10.1.1.1")]),
            "10.1.1.1"
        );
        assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", "6.6.6.6, unknown")]), "10.0.0.1");
    }

    #[test]
    fn two_headers_that_disagree_are_both_ignored() {
        let both = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=192.0.2.7")];
        assert_eq!(seen("10.0.0.1:1", &both), "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_may_say_https() {
        assert!(client("10.0.0.1:1", &[("x-forwarded-proto", "https")]).https);
        assert!(client("10.0.0.1:1", &[("forwarded", "for=1.1.1.1;Proto=HTTPS")]).https);
        assert!(!client("10.0.0.1:1", &[("x-forwarded-proto", "https, http")]).https);
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_64_bit_network() {
        let one = client("[2001:db8:1:2:3::1]:1", &[]).key();
        assert_eq!(one, client("[2001:db8:1:2:ffff::9]:1", &[]).key());
        assert_ne!(one, client("[2001:db8:1:3::1]:1", &[]).key());
        assert_eq!(client("[::ffff:192.0.2.7]:1", &[]).key(), client("192.0.2.7:9", &[]).key());
    }

    #[test]
    fn the_header_that_the_proxy_does_not_write_can_be_left_out() {
        let headers = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=6.6.6.6;proto=http"),
        ];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        let clients = Clients::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let peer = Some("10.0.0.1:1".parse().unwrap());
        for (header, address, https) in [
            (ForwardingHeader::Either, "10.0.0.1", false),
            (ForwardingHeader::XForwardedFor, "192.0.2.7", true),
            (ForwardingHeader::Forwarded, "6.6.6.6", false),
        ] {
            let seen = clients.clone().by(header).resolve_from(peer, false, &map);
            assert_eq!(seen.address.unwrap().to_string(), address, "{header:?}");
            assert_eq!(seen.https, https, "{header:?}");
        }
    }

    #[test]
    fn callers_without_an_address_share_one_budget_whatever_they_say() {
        let clients = Clients::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        let nobody = clients.resolve_from(None, false, &headers);
        headers.insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
        headers.insert("forwarded", "for=6.6.6.6;proto=https".parse().unwrap());
        assert_eq!(clients.resolve_from(None, false, &headers), nobody);
        assert_eq!((nobody.address, nobody.key()), (None, ClientKey::default()));
        assert_ne!(nobody.key(), client("192.0.2.7:1", &[]).key());
    }

    #[test]
    fn a_proxy_that_names_no_client_makes_nobody_believed() {
        let spoofed = "for=6.6.6.6;proto=https, proto=http;by=10.0.0.1";
        let seen = client("10.0.0.1:1", &[("forwarded", spoofed)]);
        assert_eq!(seen.address.unwrap().to_string(), "10.0.0.1");
        assert!(!seen.https);
        assert!(
            !client("10.0.0.1:1", &[("forwarded", "for=1.1.1.1;proto=https, for=1.1.1.2")]).https
        );
    }

    #[test]
    fn nothing_that_a_stranger_sends_changes_who_it_is_and_nothing_at_all_panics() {
        const NAMES: [&str; 5] =
            ["x-forwarded-for", "forwarded", "x-forwarded-proto", "x-real-ip", "x-forwarded-host"];
        const PARTS: [&str; 20] = [
            "for=",
            "proto=",
            "by=",
            "https",
            "\"",
            "\\",
            ",",
            ";",
            " ",
            "=",
            "6.6.6.6",
            "10.1.1.1",
            "[",
            "]",
            "2001:db8::1",
            ":80",
            "_x",
            "unknown",
            "\u{e9}",
            "127.0.0.1",
        ];
        let clients = Clients::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let (stranger, proxy) = ("192.0.2.7:1".parse().unwrap(), "10.0.0.1:1".parse().unwrap());
        let alone = clients.resolve_from(Some(stranger), false, &HeaderMap::new());
        let mut chance = Hostile::new(7);
        for _ in 0..20_000 {
            let mut headers = HeaderMap::new();
            for _ in 0..chance.below(5) {
                let length = chance.below(14);
                let value: String = (0..length).map(|_| PARTS[chance.below(PARTS.len())]).collect();
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(NAMES[chance.below(NAMES.len())], value);
            }
            assert_eq!(clients.resolve_from(Some(stranger), false, &headers), alone, "{headers:?}");
            // Whatever else there is, a client is whom the trusted proxy has added last.
            headers.remove("forwarded");
            headers.append("x-forwarded-for", "192.0.2.9".parse().unwrap());
            let seen = clients.resolve_from(Some(proxy), false, &headers);
            assert_eq!(seen.address.unwrap().to_string(), "192.0.2.9", "{headers:?}");
        }
    }

    const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-forwarded-proto"];

    #[test]
    fn nothing_that_a_stranger_writes_is_believed() {
        hold("[ -~]{0,60}", |value| {
            let headers = FORWARDING.map(|name| (name, value.as_str()));
            assert_eq!(client("192.0.2.7:1", &headers), client("192.0.2.7:1", &[]));
        });
    }

    /// Whatever the client wrote, the entry that the proxy adds decides.
    #[test]
    fn nothing_left_of_the_proxys_entry_is_believed() {
        hold("[ -~]{0,60}", |value| {
            let listed = format!("{value}, 192.0.2.7");
            assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", &listed)]), "192.0.2.7");
            let forwarded = format!("{value}, for=192.0.2.7;proto=http");
            let client = client("10.0.0.1:1", &[("forwarded", &forwarded)]);
            assert_eq!(client.address.unwrap().to_string(), "192.0.2.7");
            assert!(!client.https);
        });
    }
}

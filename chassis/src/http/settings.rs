//! The `server` section: how requests are taken in and bounded. The listener reads it as well.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use poem::http::{HeaderValue, Uri};

use super::client_address::{Clients, ForwardingHeader};
use crate::settings::{Environment, Report};
use crate::tls::{self, Unusable};

crate::settings! {
    /// The public listener and the limits of a request.
    pub struct ServerSettings {
        /// Address of the public listener; port 0 picks a free one.
        pub addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Base of `Location`, `Link`, the links at `/` and the document's `servers`; without it they are relative.
        pub public_url: Option<String> = None,
        /// A whole request may take this long; then it is answered 503.
        pub request_timeout: Duration = Duration::from_secs(10),
        /// The headers of a request may take this long, and so may a TLS handshake; idle connections close
        /// after it too.
        pub header_read_timeout: Duration = Duration::from_secs(10),
        /// Largest request body, counted while it is read.
        pub body_limit: ByteSize = ByteSize::mib(1),
        /// Requests beyond it are answered 503 at once.
        pub max_in_flight: usize = 1024,
        /// Beyond it those that have been idle longest are closed for new ones, which wait while all are busy.
        pub max_connections: usize = 10_000,
        /// Proxies whose `X-Forwarded-For` and `Forwarded` entries are believed, from the right.
        pub trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Which of the two the proxies write: `x-forwarded-for`, `forwarded`, or `either`, and then neither where they disagree.
        pub forwarding_header: ForwardingHeader = ForwardingHeader::Either,
        /// Origins that browsers may call from; each exact, such as `https://app.example.com`.
        pub cors_allowed_origins: Vec<String> = Vec::new(),
        /// Certificate (PEM) that the public listener shows, with those that lead from it to its authority;
        /// with its key. Without them it speaks plain HTTP. Both are taken anew when they change.
        pub tls_cert_file: Option<PathBuf> = None,
        /// Key (PEM) of that certificate.
        pub tls_key_file: Option<PathBuf> = None,
        /// Time between "not ready" and closing the listener.
        pub drain_delay: Duration = Duration::ZERO,
        /// Requests in flight get this long to finish at shutdown.
        pub drain_timeout: Duration = Duration::from_secs(20),
    }
}

impl ServerSettings {
    /// Reports values that cannot work, alone or together with the environment.
    pub fn check(&self, environment: Environment, report: &mut Report) {
        if report.is_readable("environment")
            && environment == Environment::Development
            && !self.addr.ip().is_loopback()
        {
            report.reject(
                "server.addr",
                "a loopback address in development; set environment = \"production\" to listen elsewhere",
            );
        }
        for (key, value) in [
            ("server.max_in_flight", self.max_in_flight),
            ("server.max_connections", self.max_connections),
        ] {
            if value == 0 {
                report.reject(key, "at least 1");
            }
        }
        for (key, value) in [
            ("server.request_timeout", self.request_timeout),
            ("server.header_read_timeout", self.header_read_timeout),
        ] {
            if value.is_zero() {
                report.reject(key, "longer than nothing");
            }
        }
        if self.body_limit.as_u64() == 0 {
            report.reject("server.body_limit", "at least 1 byte");
        }
        self.check_public_url(report);
        if !self.cors_allowed_origins.iter().all(|origin| is_origin(origin)) {
            report.reject(
                "server.cors_allowed_origins",
                "exact origins: scheme, host and port without a path, such as \"https://app.example.com\"",
            );
        }
        for Unusable { key, allowed } in
            tls::check(self.tls_cert_file.as_deref(), self.tls_key_file.as_deref())
        {
            report.reject(key, allowed);
        }
    }

    /// Reports a `public_url` that is none, for whoever makes links without listening.
    pub fn check_public_url(&self, report: &mut Report) {
        if let Some(url) = &self.public_url
            && !is_base_url(url)
        {
            report.reject(
                "server.public_url",
                "an http or https URL without query, such as \"https://users.example.com\"",
            );
        }
    }

    /// Resolves who is calling.
    pub fn clients(&self) -> Clients {
        Clients::new(self.trusted_proxies.clone()).by(self.forwarding_header)
    }

    /// Whether the public listener speaks TLS.
    pub fn serves_tls(&self) -> bool {
        self.tls_cert_file.is_some()
    }
}

/// A path of this service as a reference for callers: below the `public_url`, or relative without one.
pub fn link(public_url: Option<&str>, path: &str) -> String {
    format!("{}{path}", public_url.unwrap_or_default().trim_end_matches('/'))
}

/// Neither a base nor an origin does, and what everybody is sent must hold no password.
fn names_a_user(uri: &Uri) -> bool {
    // Neither has an `@` elsewhere, and in a password that is not encoded it may stand behind a slash.
    uri.to_string().contains('@')
}

fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && !names_a_user(&uri)
        && uri.query().is_none()
        && !text.contains('#')
}

/// RFC 6454: what a browser sends in `Origin`, which never ends in a slash.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty() && host == host.to_ascii_lowercase());
    scheme
        && host
        && !names_a_user(&uri)
        && !text.ends_with('/')
        && uri.path() == "/"
        && uri.query().is_none()
        && HeaderValue::from_str(text).is_ok()
}

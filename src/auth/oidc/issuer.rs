//! An issuer and where its keys are: its own discovery document says it (`OpenID` Connect Discovery 1.0,
//! section 4).

use chassis::fetch::{FetchError, Fetched, Fetcher};
use chassis::settings::Environment;
use poem::http::Uri;
use serde::Deserialize;

use super::keys::{KeySet, KeySetError};

/// What is appended to the name of an issuer.
const WELL_KNOWN: &str = ".well-known/openid-configuration";

/// An issuer, by the URL that is its name.
pub(super) struct Issuer {
    name: String,
    document: Uri,
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    /// The discovery document was not to be had.
    #[error("the discovery document cannot be fetched")]
    Document(#[source] FetchError),
    /// It is no discovery document.
    #[error("the discovery document cannot be read")]
    Json(#[from] serde_json::Error),
    /// It speaks for somebody else (section 4.3).
    #[error("the discovery document names another issuer")]
    OtherIssuer,
    /// The keys are where they must not be looked for.
    #[error("the discovery document names no address of keys that can be trusted")]
    Address,
    /// The keys were not to be had.
    #[error("the keys cannot be fetched")]
    Keys(#[source] FetchError),
    /// What came is no set of keys.
    #[error("the keys cannot be read")]
    KeySet(#[from] KeySetError),
    /// It took too long altogether.
    #[error("the keys were not there in time")]
    Timeout,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// None where it cannot be asked in a way that can be trusted: over TLS, or on this machine, or in
    /// development.
    pub(super) fn parse(name: &str, environment: Environment) -> Option<Self> {
        let issuer = Self::of(name)?;
        let uri = &issuer.document;
        let trusted = is_tls(uri) || environment == Environment::Development || is_loopback(uri);
        trusted.then_some(issuer)
    }

    /// None where the name is no URL of an issuer: with a host, without user, query or fragment.
    pub(super) fn of(name: &str) -> Option<Self> {
        let uri: Uri = name.parse().ok()?;
        let plain = matches!(uri.scheme_str(), Some("https" | "http"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !uri.authority()?.as_str().contains('@')
            && !name.contains(['?', '#']);
        // Section 4.1: a slash at the end is left out here, though it belongs to the name.
        let document = format!("{}/{WELL_KNOWN}", name.trim_end_matches('/')).parse().ok()?;
        plain.then_some(Self { name: name.to_owned(), document })
    }

    /// The URL that is its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The keys that it signs with now, and for how long they are good.
    pub(super) async fn keys(
        &self,
        fetcher: &Fetcher,
    ) -> Result<(KeySet, Option<std::time::Duration>), KeysError> {
        let document = fetcher.get(&self.document).await.map_err(KeysError::Document)?;
        let uri = self.keys_of(&document)?;
        let keys = fetcher.get(&uri).await.map_err(KeysError::Keys)?;
        Ok((KeySet::parse(&keys.body)?, keys.max_age))
    }

    fn keys_of(&self, document: &Fetched) -> Result<Uri, KeysError> {
        let metadata: Metadata = serde_json::from_slice(&document.body)?;
        if metadata.issuer != self.name {
            return Err(KeysError::OtherIssuer);
        }
        let uri: Uri = metadata.jwks_uri.parse().map_err(|_| KeysError::Address)?;
        // Without TLS only from where the document itself came without TLS.
        let at_home = uri.scheme() == self.document.scheme() && uri.host() == self.document.host();
        if is_tls(&uri) || (uri.scheme_str() == Some("http") && at_home) {
            return Ok(uri);
        }
        Err(KeysError::Address)
    }
}

fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") && uri.host().is_some()
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_issuer_is_asked_over_tls_on_this_machine_or_in_development() {
        let production = |name| Issuer::parse(name, Environment::Production).is_some();
        for name in [
            "https://id.example.com",
            "https://id.example.com/realms/one",
            "http://127.0.0.1:9000",
            "http://[::1]/realms/one",
            "http://localhost:9000/",
        ] {
            assert!(production(name), "{name}");
        }
        for name in ["http://id.example.com", "http://localhost.example.com", "http://10.0.0.1"] {
            assert!(!production(name), "{name}");
            assert!(Issuer::parse(name, Environment::Development).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_no_url_of_an_issuer_is_refused() {
        for name in [
            "",
            "id.example.com",
            "/realms/one",
            "ftp://id.example.com",
            "https://",
            "https://user@id.example.com",
            "https://id.example.com?realm=one",
            "https://id.example.com#one",
        ] {
            assert!(Issuer::parse(name, Environment::Development).is_none(), "{name}");
        }
    }

    #[test]
    fn the_document_is_below_the_name_with_or_without_a_slash() {
        for name in ["https://id.example.com/realms/one", "https://id.example.com/realms/one/"] {
            let issuer = Issuer::of(name).unwrap();
            let document = "https://id.example.com/realms/one/.well-known/openid-configuration";
            assert_eq!(issuer.document, document);
            assert_eq!(issuer.name(), name);
        }
    }

    #[test]
    fn keys_come_over_tls_or_from_where_the_document_came_without_it() {
        let uri = |issuer: &str, keys: &str| {
            let body = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}"}}"#);
            let document = Fetched { body: body.into(), max_age: None };
            Issuer::of(issuer).unwrap().keys_of(&document)
        };
        let (safe, open) = ("https://id.example.com", "http://127.0.0.1:9000");
        for (issuer, keys) in [
            (safe, "https://id.example.com/keys"),
            (safe, "https://keys.example.com/"),
            (open, "http://127.0.0.1:9001/keys"),
            (open, "https://keys.example.com/"),
        ] {
            assert_eq!(uri(issuer, keys).unwrap(), keys);
        }
        for (issuer, keys) in [
            (safe, "http://id.example.com/keys"),
            (safe, "/keys"),
            (safe, "file:///etc/passwd"),
            (open, "http://10.0.0.1/keys"),
            (open, "gopher://127.0.0.1/"),
            (open, ""),
        ] {
            assert!(matches!(uri(issuer, keys), Err(KeysError::Address)), "{issuer} {keys}");
        }
    }

    #[test]
    fn a_document_that_speaks_for_another_is_refused() {
        let issuer = Issuer::of("https://id.example.com").unwrap();
        let about = |name: &str| {
            let body = format!(r#"{{"issuer":"{name}","jwks_uri":"https://id.example.com/"}}"#);
            issuer.keys_of(&Fetched { body: body.into(), max_age: None })
        };
        assert!(about("https://id.example.com").is_ok());
        for name in ["https://id.example.com/", "https://ID.example.com", "https://example.com"] {
            assert!(matches!(about(name), Err(KeysError::OtherIssuer)), "{name}");
        }
        for body in ["", "[]", "{}", r#"{"issuer":"https://id.example.com"}"#, "<html>"] {
            let document = Fetched { body: body.into(), max_age: None };
            assert!(matches!(issuer.keys_of(&document), Err(KeysError::Json(_))), "{body}");
        }
    }
}

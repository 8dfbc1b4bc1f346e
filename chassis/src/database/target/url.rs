//! A database out of a URL, as the drivers read it, and what they would let pass in silence.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use sea_orm::sqlx;
use sea_orm::sqlx::mysql::MySqlConnectOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;

use super::super::tls::{NamedFile, TlsFiles};
use super::{Target, Unusable};

/// The parameters that name a file, and all others about TLS, in the spellings of the drivers.
const CA: [&str; 4] = ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslca"];
const CERTIFICATE: [&str; 2] = ["sslcert", "ssl-cert"];
const KEY: [&str; 2] = ["sslkey", "ssl-key"];
const MODE: [&str; 2] = ["sslmode", "ssl-mode"];

/// A URL in the settings, and its key there.
#[derive(Clone, Copy)]
pub(super) struct NamedUrl<'a> {
    pub(super) key: &'static str,
    pub(super) text: &'a str,
}

impl NamedUrl<'_> {
    pub(super) fn target(self) -> Result<Target, Unusable> {
        let Self { text, .. } = self;
        // The parsers' messages name the mistake and repeat no more than a query parameter.
        let broken = |error: sqlx::Error| self.unusable(format!("a valid URL ({error})"));
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Ok(Target::Sqlite {
                options: text.parse().map_err(broken)?,
                in_memory: text.contains(":memory:") || text.contains("mode=memory"),
            }),
            "postgres" | "postgresql" => {
                let options: PgConnectOptions = text.parse().map_err(broken)?;
                self.check_tls(options.get_ssl_mode().into())?;
                let host = without_brackets(options.get_host());
                Ok(Target::Postgres(options.host(&host)))
            }
            "mysql" | "mariadb" => {
                let options: MySqlConnectOptions = text.parse().map_err(broken)?;
                self.check_tls(options.get_ssl_mode().into())?;
                self.check_name(options.get_database())?;
                let host = without_brackets(options.get_host());
                Ok(Target::MySql(options.host(&host)))
            }
            _ => Err(self.unusable("a URL that begins with sqlite:, postgres: or mysql:")),
        }
    }

    /// Without one PostgreSQL takes the database of the user's name. MySQL takes none, and fails late.
    fn check_name(self, name: Option<&str>) -> Result<(), Unusable> {
        if name.is_none_or(str::is_empty) {
            return Err(self.unusable("a URL that names a database: scheme://host/name"));
        }
        Ok(())
    }

    /// What the drivers do not know about TLS they ignore: a mistyped `sslmode` would be none at all.
    fn check_tls(self, mode: super::super::tls::TlsMode) -> Result<(), Unusable> {
        let parameters = self.parameters();
        let known = [&CA[..], &CERTIFICATE, &KEY, &MODE].concat();
        let strange = |name: &str| name.starts_with("ssl") || name.starts_with("tls");
        if parameters.iter().any(|(name, _)| strange(name) && !known.contains(&name.as_str())) {
            let allowed = format!("a URL whose parameters about TLS are of {}", known.join(", "));
            return Err(self.unusable(allowed));
        }
        let file = |names: &[&str]| {
            let found = parameters.iter().rfind(|(name, _)| names.contains(&name.as_str()));
            found.map(|(_, value)| PathBuf::from(value))
        };
        let (ca, certificate, key) = (file(&CA), file(&CERTIFICATE), file(&KEY));
        let named = |path| NamedFile { key: self.key, path };
        let files = TlsFiles {
            ca: ca.as_deref().map(named),
            certificate: certificate.as_deref().map(named),
            key: key.as_deref().map(named),
        };
        files.check(mode)
    }

    /// Names and values behind the `?`.
    fn parameters(self) -> Vec<(String, String)> {
        let (_, query) = self.text.split_once('?').unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        let decoded = |text: &str| {
            percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }

    fn unusable(self, allowed: impl Into<String>) -> Unusable {
        Unusable { key: self.key, allowed: allowed.into() }
    }
}

/// The drivers take an IPv6 address with the brackets of the URL, look for a host of that name, and
/// find none.
fn without_brackets(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).to_owned()
}

//! The keys of the section `database`. What they amount to, a server and how to log in, is in `target`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::target::Target;
use super::tls::TlsMode;
use crate::settings::secret::reread;
use crate::settings::{Report, Secret};

/// SQLite in the working directory, so that a fresh checkout runs without a server.
const DEFAULT_URL: &str = "sqlite://belvedere.db?mode=rwc";

/// More than any server takes. Their places are made at the start, so that a slip of the finger would cost
/// all memory.
const CONNECTIONS_MAX: u32 = 10_000;

crate::settings! {
    /// Where the database is and how to treat it.
    pub struct DatabaseSettings {
        /// `sqlite:`, `postgres:` or `mysql:` URL; without any, the SQLite file `belvedere.db`. The parts
        /// below take the place of that, and cannot be combined with a URL.
        pub url: Option<Secret> = Some(Secret::new(DEFAULT_URL)),
        /// Kind of database, instead of a URL: `sqlite`, `postgres` or `mysql`.
        pub scheme: Option<String> = None,
        /// Host of the database server.
        pub host: Option<String> = None,
        /// Port of the database server; the usual one of its kind without it.
        pub port: Option<u16> = None,
        /// Name of the database, the path of the file for SQLite.
        pub name: Option<String> = None,
        /// User to log in as.
        pub user: Option<String> = None,
        /// Password to log in with; any character, nothing is escaped.
        pub password: Option<Secret> = None,
        /// Whether the connection is encrypted, and how the server proves who it is; `prefer` without it.
        /// A URL says it with `sslmode` (MySQL: `ssl-mode`).
        pub tls: Option<TlsMode> = None,
        /// Certificates (PEM) that sign the server's, beside those of public authorities. A URL says it
        /// with `sslrootcert` (MySQL: `ssl-ca`). Read again for each new connection, as the two below.
        pub tls_ca_file: Option<PathBuf> = None,
        /// Certificate (PEM) that shows the server who we are; with its key. `sslcert` of a URL.
        pub tls_cert_file: Option<PathBuf> = None,
        /// Key (PEM) of that certificate. `sslkey` of a URL.
        pub tls_key_file: Option<PathBuf> = None,
        /// URL of a read replica of the same kind: GET requests read there while it answers. What it
        /// has not got yet, and everything while it is gone, comes from the database above.
        pub read_url: Option<Secret> = None,
        /// Connections that the pool may open, and as many more to a replica.
        pub max_connections: u32 = 10,
        /// A statement waits this long for a connection.
        pub acquire_timeout: Duration = Duration::from_secs(2),
        /// The start waits this long for the database, with growing pauses between attempts.
        pub connect_timeout: Duration = Duration::from_mins(1),
        /// Apply pending migrations at start; without it only in development.
        pub migrate_on_start: Option<bool> = None,
        /// A server ends statements that take longer; `0s` lets them. Migrations are not bound by it.
        pub statement_timeout: Duration = Duration::from_secs(15),
        /// Slower statements are logged as warnings and counted.
        pub slow_query: Duration = Duration::from_millis(250),
        /// Appends request id and `traceparent` to each statement inside a trace, as a comment in the
        /// format of sqlcommenter. No text then occurs twice, so every statement is prepared anew.
        pub sql_comments: bool = false,
    }
}

impl DatabaseSettings {
    /// Rejects what cannot work, without looking for the database itself.
    pub fn check(&self, report: &mut Report) {
        if self.own_url().is_some() && self.has_parts() {
            let parts = self.parts().join(", ");
            report.reject("database.url", format!("either a URL or the parts, not both ({parts})"));
        } else if let Err(unusable) = Target::from_settings(self) {
            report.reject(unusable.key, unusable.allowed);
        }
        if let Err(unusable) = Target::of_replica(self) {
            report.reject(unusable.key, unusable.allowed);
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.max_connections) {
            report.reject("database.max_connections", format!("1 to {CONNECTIONS_MAX}"));
        }
        if self.acquire_timeout.is_zero() {
            report.reject("database.acquire_timeout", "more than 0s");
        }
    }

    /// The URL, where it is in force.
    pub(super) fn url(&self) -> Option<&str> {
        let default = (!self.has_parts()).then_some(DEFAULT_URL);
        self.own_url().or(default)
    }

    /// The URL, unless it is the default.
    fn own_url(&self) -> Option<&str> {
        self.url.as_ref().map(Secret::expose).filter(|url| *url != DEFAULT_URL)
    }

    fn has_parts(&self) -> bool {
        !self.parts().is_empty()
    }

    /// The keys of the parts that are set.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        let parts = [
            ("database.scheme", self.scheme.is_some()),
            ("database.host", self.host.is_some()),
            ("database.port", self.port.is_some()),
            ("database.name", self.name.is_some()),
            ("database.user", self.user.is_some()),
            ("database.password", self.password.is_some()),
            ("database.tls", self.tls.is_some()),
            ("database.tls_ca_file", self.tls_ca_file.is_some()),
            ("database.tls_cert_file", self.tls_cert_file.is_some()),
            ("database.tls_key_file", self.tls_key_file.is_some()),
        ];
        parts.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }

    /// The secrets that may change while the service runs, each with its key.
    pub(super) fn secrets(&self) -> [(&'static str, Option<&Secret>); 3] {
        [
            ("database.url", self.url.as_ref()),
            ("database.password", self.password.as_ref()),
            ("database.read_url", self.read_url.as_ref()),
        ]
    }

    /// The same settings with what the files of its secrets have now.
    pub(super) fn reread(&self) -> io::Result<Self> {
        let now = |secret: &Option<Secret>| match secret {
            Some(secret) => Ok(Some(reread(secret)?.unwrap_or_else(|| secret.clone()))),
            None => io::Result::Ok(None),
        };
        Ok(Self {
            url: now(&self.url)?,
            password: now(&self.password)?,
            read_url: now(&self.read_url)?,
            ..self.clone()
        })
    }
}

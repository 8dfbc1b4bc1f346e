//! The keys of the section `database`. What they amount to, a server and how to log in, is in `target`.

use std::time::Duration;

use super::target::Target;
use crate::settings::{Report, Secret};

/// SQLite in the working directory, so that a fresh checkout runs without a server.
const DEFAULT_URL: &str = "sqlite://belvedere.db?mode=rwc";

crate::settings! {
    /// Where the database is and how to treat it.
    pub struct DatabaseSettings {
        /// `sqlite:`, `postgres:` or `mysql:` URL. The parts below take the place of the default, and
        /// cannot be combined with another.
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
        /// Connections that the pool may open.
        pub max_connections: u32 = 10,
        /// A statement waits this long for a connection.
        pub acquire_timeout: Duration = Duration::from_secs(2),
        /// The start waits this long for the database, with growing pauses between attempts.
        pub connect_timeout: Duration = Duration::from_mins(1),
        /// Apply pending migrations at start; without it only in development.
        pub migrate_on_start: Option<bool> = None,
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
            report.reject("database.url", "either a URL or the parts, not both");
        } else if let Err(unusable) = Target::from_settings(self) {
            report.reject(unusable.key, unusable.allowed);
        }
        if self.max_connections == 0 {
            report.reject("database.max_connections", "1 or more");
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
        let texts = [&self.scheme, &self.host, &self.name, &self.user];
        texts.iter().any(|part| part.is_some()) || self.port.is_some() || self.password.is_some()
    }
}

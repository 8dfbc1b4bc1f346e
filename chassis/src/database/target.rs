//! Which database the settings mean: its kind, its address and how each kind likes to be opened.
//! Waiting for it is in `connect`, what happens on its connections in `observer`.

mod parts;
mod url;

use std::fmt;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{DatabaseConnection, SqlxMySqlConnector, SqlxPostgresConnector, SqlxSqliteConnector};

use self::url::NamedUrl;
use super::pool::Pool;
use super::settings::DatabaseSettings;

/// Writers queue in SQLite; behind a migration or a checkpoint that can take a moment. They wait no
/// longer than for a connection: whoever asks gets the same answer, 503, in the same time.
const SQLITE_BUSY_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// A database that is described completely, open or not. Its `Display` names host and port, or the
/// file: never more of a URL, where a password with unescaped characters may sit anywhere.
#[derive(Clone)]
pub(super) enum Target {
    Sqlite { options: SqliteConnectOptions, in_memory: bool },
    Postgres(PgConnectOptions),
    MySql(MySqlConnectOptions),
}

/// A setting that describes no database.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) key: &'static str,
    pub(super) allowed: String,
}

impl Target {
    pub(super) fn from_settings(settings: &DatabaseSettings) -> Result<Self, Unusable> {
        let target = match settings.url() {
            Some(text) => NamedUrl { key: "database.url", text }.target(),
            None => parts::target(settings),
        }?;
        Ok(target.prepared(settings))
    }

    /// The replica, where the settings name one: of the same kind, or its SQL would be another.
    pub(super) fn of_replica(settings: &DatabaseSettings) -> Result<Option<Self>, Unusable> {
        let (Some(url), Ok(primary)) = (&settings.read_url, Self::from_settings(settings)) else {
            return Ok(None);
        };
        let key = "database.read_url";
        let target = NamedUrl { key, text: url.expose() }.target()?;
        if discriminant(&target) != discriminant(&primary) {
            let allowed = "a URL of the same kind of database as the primary's".to_owned();
            return Err(Unusable { key, allowed });
        }
        Ok(Some(target.prepared(settings)))
    }

    fn prepared(self, settings: &DatabaseSettings) -> Self {
        let target = self.tuned(settings.acquire_timeout.min(SQLITE_BUSY_TIMEOUT_MAX));
        if settings.sql_comments { target.forgetting_statements() } else { target }
    }

    /// Adds what we want of every connection. Statements are logged by `observer`, not by the driver.
    fn tuned(self, sqlite_busy_timeout: Duration) -> Self {
        match self {
            Self::Sqlite { options, in_memory } => Self::Sqlite {
                options: options
                    .journal_mode(SqliteJournalMode::Wal)
                    // FULL: what was answered 201 survives a power cut, not only a crash.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(sqlite_busy_timeout)
                    .disable_statement_logging(),
                in_memory,
            },
            Self::Postgres(options) => Self::Postgres(options.disable_statement_logging()),
            Self::MySql(options) => Self::MySql(options.disable_statement_logging()),
        }
    }

    /// Keeps no prepared statements, for texts that never come again: they would fill the memory of
    /// each connection, here and on the server.
    fn forgetting_statements(self) -> Self {
        match self {
            Self::Sqlite { options, in_memory } => {
                Self::Sqlite { options: options.statement_cache_capacity(0), in_memory }
            }
            // Without a cache sqlx names each statement on the server all the same, and never lets go
            // of it: one place is the fewest that it tidies up behind.
            Self::Postgres(options) => Self::Postgres(options.statement_cache_capacity(1)),
            Self::MySql(options) => Self::MySql(options.statement_cache_capacity(0)),
        }
    }

    /// Opens and closes one connection; says which product answered, in OpenTelemetry's terms.
    pub(super) async fn probe(&self) -> Result<&'static str, sqlx::Error> {
        match self {
            Self::Sqlite { options, .. } => {
                SqliteConnection::connect_with(options).await?.close().await?;
                Ok("sqlite")
            }
            Self::Postgres(options) => {
                PgConnection::connect_with(options).await?.close().await?;
                Ok("postgresql")
            }
            Self::MySql(options) => {
                let mut connection = MySqlConnection::connect_with(options).await?;
                let version: String =
                    sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut connection).await?;
                connection.close().await?;
                Ok(if version.contains("MariaDB") { "mariadb" } else { "mysql" })
            }
        }
    }

    /// A pool that opens its connections when they are needed.
    pub(super) fn open(self, pool: &Pool) -> DatabaseConnection {
        match self {
            Self::Sqlite { options, in_memory } => {
                SqlxSqliteConnector::from_sqlx_sqlite_pool(if in_memory {
                    // The data lives as long as its one connection.
                    pool.lasting().max_connections(1).connect_lazy_with(options)
                } else {
                    // The probe has made the file. One that is made later stands where a file with
                    // data was removed.
                    pool.lasting().connect_lazy_with(options.create_if_missing(false))
                })
            }
            Self::Postgres(options) => SqlxPostgresConnector::from_sqlx_postgres_pool(
                pool.options().connect_lazy_with(options),
            ),
            Self::MySql(options) => {
                SqlxMySqlConnector::from_sqlx_mysql_pool(pool.options().connect_lazy_with(options))
            }
        }
    }

    /// Has the connections that this pool will open use these settings.
    pub(super) fn set_for(self, connection: &DatabaseConnection) {
        match self {
            Self::Sqlite { options, .. } => {
                connection.get_sqlite_connection_pool().set_connect_options(options);
            }
            Self::Postgres(options) => {
                connection.get_postgres_connection_pool().set_connect_options(options);
            }
            Self::MySql(options) => {
                connection.get_mysql_connection_pool().set_connect_options(options);
            }
        }
    }

    /// Whether both are the same database, whoever logs in.
    pub(super) fn is_same_database(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other)
            && self.to_string() == other.to_string()
            && self.namespace() == other.namespace()
    }

    /// The most connections that make sense.
    pub(super) fn max_connections(&self, wanted: u32) -> u32 {
        if matches!(self, Self::Sqlite { in_memory: true, .. }) { 1 } else { wanted }
    }

    /// The database file, where there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { options, in_memory: false } => Some(options.get_filename()),
            _ => None,
        }
    }

    /// Host and port of the server, where there is one that is not reached through a socket file.
    pub(super) fn address(&self) -> Option<(&str, u16)> {
        if self.socket().is_some() {
            return None;
        }
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(options) => Some((options.get_host(), options.get_port())),
            Self::MySql(options) => Some((options.get_host(), options.get_port())),
        }
    }

    /// The socket file of the server, or the directory that it is in.
    fn socket(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(options) => {
                let host = Some(options.get_host()).filter(|host| host.starts_with('/'));
                options.get_socket().map(PathBuf::as_path).or(host.map(Path::new))
            }
            Self::MySql(options) => options.get_socket().map(PathBuf::as_path),
        }
    }

    /// Name of the database on its server.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(options) => options.get_database(),
            Self::MySql(options) => options.get_database(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.socket() {
            return write!(f, "the database server at {}", path.display());
        }
        match (self.address(), self.file()) {
            (Some((host, port)), _) if host.contains(':') => {
                write!(f, "the database server [{host}]:{port}")
            }
            (Some((host, port)), _) => write!(f, "the database server {host}:{port}"),
            (None, Some(file)) => write!(f, "the database file {}", file.display()),
            (None, None) => f.write_str("the database in memory"),
        }
    }
}

#[cfg(test)]
mod tests;

//! Which database the settings mean: its kind, its address and how each kind likes to be opened.
//! Waiting for it is in `connect`, what happens on its connections in `observer`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{DatabaseConnection, SqlxMySqlConnector, SqlxPostgresConnector, SqlxSqliteConnector};

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
            Some(url) => Self::from_url(url),
            None => Self::from_parts(settings),
        }?;
        let target = target.prepared(settings.acquire_timeout.min(SQLITE_BUSY_TIMEOUT_MAX));
        Ok(if settings.sql_comments { target.forgetting_statements() } else { target })
    }

    fn from_url(url: &str) -> Result<Self, Unusable> {
        // The parsers' messages name the mistake and repeat no more than a query parameter.
        let broken = |error: sqlx::Error| Unusable::url(format!("a valid URL ({error})"));
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Ok(Self::Sqlite {
                options: url.parse().map_err(broken)?,
                in_memory: url.contains(":memory:") || url.contains("mode=memory"),
            }),
            "postgres" | "postgresql" => Ok(Self::Postgres(url.parse().map_err(broken)?)),
            "mysql" | "mariadb" => Ok(Self::MySql(url.parse().map_err(broken)?)),
            _ => Err(Unusable::url("a URL that begins with sqlite:, postgres: or mysql:")),
        }
    }

    fn from_parts(settings: &DatabaseSettings) -> Result<Self, Unusable> {
        match settings.scheme.as_deref() {
            Some("sqlite") => sqlite_from_parts(settings),
            Some("postgres" | "postgresql") => Ok(Self::Postgres(postgres_from_parts(settings))),
            Some("mysql" | "mariadb") => Ok(Self::MySql(mysql_from_parts(settings))),
            _ => Err(Unusable {
                key: "database.scheme",
                allowed: "sqlite, postgres or mysql (needed with the other parts)".to_owned(),
            }),
        }
    }

    /// Adds what we want of every connection. Statements are logged by `observer`, not by the driver.
    fn prepared(self, sqlite_busy_timeout: Duration) -> Self {
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
                    pool.lasting().connect_lazy_with(options)
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

    /// Host and port of the server, where there is one.
    pub(super) fn address(&self) -> Option<(&str, u16)> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(options) => Some((options.get_host(), options.get_port())),
            Self::MySql(options) => Some((options.get_host(), options.get_port())),
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
        match (self.address(), self.file()) {
            (Some((host, port)), _) => write!(f, "the database server {host}:{port}"),
            (None, Some(file)) => write!(f, "the database file {}", file.display()),
            (None, None) => f.write_str("the database in memory"),
        }
    }
}

impl Unusable {
    fn url(allowed: impl Into<String>) -> Self {
        Self { key: "database.url", allowed: allowed.into() }
    }
}

fn sqlite_from_parts(settings: &DatabaseSettings) -> Result<Target, Unusable> {
    let Some(name) = &settings.name else {
        return Err(Unusable {
            key: "database.name",
            allowed: "the path of the file, with database.scheme = \"sqlite\"".to_owned(),
        });
    };
    let options = SqliteConnectOptions::new().filename(name).create_if_missing(true);
    Ok(Target::Sqlite { options, in_memory: false })
}

fn postgres_from_parts(settings: &DatabaseSettings) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass();
    if let Some(host) = &settings.host {
        options = options.host(host);
    }
    if let Some(port) = settings.port {
        options = options.port(port);
    }
    if let Some(name) = &settings.name {
        options = options.database(name);
    }
    if let Some(user) = &settings.user {
        options = options.username(user);
    }
    if let Some(password) = &settings.password {
        options = options.password(password.expose());
    }
    options
}

fn mysql_from_parts(settings: &DatabaseSettings) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new();
    if let Some(host) = &settings.host {
        options = options.host(host);
    }
    if let Some(port) = settings.port {
        options = options.port(port);
    }
    if let Some(name) = &settings.name {
        options = options.database(name);
    }
    if let Some(user) = &settings.user {
        options = options.username(user);
    }
    if let Some(password) = &settings.password {
        options = options.password(password.expose());
    }
    options
}

//! A database out of the parts that the settings name.

use std::path::PathBuf;

use sea_orm::sqlx::mysql::MySqlConnectOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;

use super::super::settings::DatabaseSettings;
use super::super::tls::{NamedFile, TlsFiles, TlsMode};
use super::{Target, Unusable};

/// Both drivers take the same parts and share no trait for them.
macro_rules! with_parts {
    ($options:expr, $settings:expr, ca: $ca:ident) => {{
        let (mut options, settings) = ($options, $settings);
        options = options.ssl_mode(settings.tls.unwrap_or(TlsMode::Prefer).into());
        options = match settings.host.as_deref() {
            Some(path) if path.starts_with('/') => options.socket(path),
            Some(host) => options.host(host),
            None => options,
        };
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
        if let Some(path) = &settings.tls_ca_file {
            options = options.$ca(path);
        }
        if let Some(path) = &settings.tls_cert_file {
            options = options.ssl_client_cert(path);
        }
        if let Some(path) = &settings.tls_key_file {
            options = options.ssl_client_key(path);
        }
        options
    }};
}

pub(super) fn target(settings: &DatabaseSettings) -> Result<Target, Unusable> {
    let scheme = settings.scheme.as_deref();
    if scheme == Some("sqlite") {
        return sqlite(settings);
    }
    tls_files(settings).check(settings.tls.unwrap_or(TlsMode::Prefer))?;
    match scheme {
        Some("postgres" | "postgresql") => {
            let options = PgConnectOptions::new_without_pgpass();
            Ok(Target::Postgres(with_parts!(options, settings, ca: ssl_root_cert)))
        }
        // PostgreSQL takes the database of the user's name without one.
        Some("mysql" | "mariadb") if settings.name.is_none() => {
            let allowed = "the name of a database on the server".to_owned();
            Err(Unusable { key: "database.name", allowed })
        }
        Some("mysql" | "mariadb") => {
            let options = MySqlConnectOptions::new();
            Ok(Target::MySql(with_parts!(options, settings, ca: ssl_ca)))
        }
        _ => Err(Unusable {
            key: "database.scheme",
            allowed: "sqlite, postgres or mysql (needed with the other parts)".to_owned(),
        }),
    }
}

/// A file has a path, and nobody to log in to.
const SQLITE_PARTS: [&str; 2] = ["database.scheme", "database.name"];

fn sqlite(settings: &DatabaseSettings) -> Result<Target, Unusable> {
    if let Some(key) = settings.parts().into_iter().find(|key| !SQLITE_PARTS.contains(key)) {
        let allowed = "absent with database.scheme = \"sqlite\"".to_owned();
        return Err(Unusable { key, allowed });
    }
    let Some(name) = &settings.name else {
        return Err(Unusable {
            key: "database.name",
            allowed: "the path of the file, with database.scheme = \"sqlite\"".to_owned(),
        });
    };
    let options = SqliteConnectOptions::new().filename(name).create_if_missing(true);
    Ok(Target::Sqlite { options, in_memory: false })
}

fn tls_files(settings: &DatabaseSettings) -> TlsFiles<'_> {
    TlsFiles {
        ca: file("database.tls_ca_file", settings.tls_ca_file.as_ref()),
        certificate: file("database.tls_cert_file", settings.tls_cert_file.as_ref()),
        key: file("database.tls_key_file", settings.tls_key_file.as_ref()),
    }
}

fn file<'a>(key: &'static str, path: Option<&'a PathBuf>) -> Option<NamedFile<'a>> {
    path.map(|path| NamedFile { key, path })
}

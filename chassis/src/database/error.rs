//! What a failed statement means: try again later, a constraint was violated, or a fault; and how to
//! say so without repeating the data in it.

mod sqlite;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use sea_orm::sqlx;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// SQLite's primary result codes for busy and locked.
const SQLITE_LOCKED: [u32; 2] = [5, 6];
/// SQLite's primary result codes for I/O error, disk full and cannot open.
const SQLITE_NO_STORAGE: [u32; 3] = [10, 13, 14];
/// PostgreSQL's classes of SQLSTATE for connection exceptions, rolled back transactions (deadlock,
/// serialization), lack of resources, operator intervention (shutdown) and system errors.
const POSTGRES_UNAVAILABLE: [&str; 5] = ["08", "40", "53", "57", "58"];
/// MySQL's numbers for disk full, too many connections, shutdown, too many connections of the user,
/// lock wait timeout, deadlock, interrupted query and (MariaDB) killed connection.
const MYSQL_UNAVAILABLE: [u16; 8] = [1021, 1040, 1053, 1203, 1205, 1213, 1317, 1927];
/// SQLSTATE and MySQL's numbers for a table and a column that do not exist: the schema is behind.
const POSTGRES_MISSING: [&str; 2] = ["42P01", "42703"];
const MYSQL_MISSING: [u16; 2] = [1146, 1054];

/// A failed statement as it may stand in a log.
///
/// The drivers' messages repeat values, an e-mail address in a violated constraint for example. This
/// one shows the server's error code (with SQLite's name for it), the name of a violated constraint or
/// of what is missing, or the operating system's message. It has no `source()`, and answers the questions below.
#[derive(Clone, PartialEq, Eq)]
pub struct QueryError(DbErr);

impl QueryError {
    /// What the operating system said.
    pub(super) fn io(error: std::io::Error) -> Self {
        Self(DbErr::Conn(RuntimeErr::SqlxError(sqlx::Error::Io(error).into())))
    }

    /// See [`is_unavailable`].
    pub fn is_unavailable(&self) -> bool {
        is_unavailable(&self.0)
    }

    /// See [`violated_constraint`].
    pub fn violated_constraint(&self) -> Option<String> {
        violated_constraint(&self.0)
    }
}

impl From<DbErr> for QueryError {
    fn from(error: DbErr) -> Self {
        Self(error)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database: {}", error_type(&self.0))?;
        match driver_error(&self.0) {
            Some(sqlx::Error::Database(error)) => {
                write_if_known(f, " ", sqlite::code_name(error.as_ref()))?;
                write_if_known(f, ", ", sqlite::missing(error.as_ref()))?;
                write_if_known(f, ", constraint ", self.violated_constraint().as_deref())
            }
            Some(sqlx::Error::Io(io)) => write!(f, ", {io}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryError({self})")
    }
}

impl Error for QueryError {}

fn write_if_known(f: &mut fmt::Formatter<'_>, before: &str, text: Option<&str>) -> fmt::Result {
    text.map_or(Ok(()), |text| write!(f, "{before}{text}"))
}

/// Whether the database, not the statement, is the trouble: no connection, shutting down, locked, out
/// of space, or a schema that is behind. The same request may succeed later, so its answer is 503.
pub fn is_unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        error => match driver_error(error) {
            Some(sqlx::Error::Database(error)) => is_server_unavailable(error.as_ref()),
            Some(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            _ => false,
        },
    }
}

/// The name of the unique constraint that a statement violated, the same on every database.
///
/// SQLite names columns instead of the constraint. From them comes the name that the migrations give
/// by convention: `<table>_<columns>_unique`, and `<table>_pkey` for the primary key, which MySQL
/// always calls `PRIMARY`.
pub fn violated_constraint(error: &DbErr) -> Option<String> {
    let Some(sqlx::Error::Database(error)) = driver_error(error) else {
        return None;
    };
    if !error.is_unique_violation() {
        return None;
    }
    match error.constraint() {
        Some(name) => Some(name.to_owned()),
        None if is_mysql(error.as_ref()) => mysql_constraint(error.message()),
        None => sqlite::constraint(error.message(), error.code().as_deref()),
    }
}

/// `error.type` of OpenTelemetry: the server's own code, or a word for what the driver met.
pub(super) fn error_type(error: &DbErr) -> Cow<'static, str> {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => "pool_timeout".into(),
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => "pool_closed".into(),
        error => match driver_error(error) {
            Some(sqlx::Error::Database(error)) => server_code(error.as_ref()).into(),
            Some(sqlx::Error::Io(_)) => "io".into(),
            Some(sqlx::Error::Tls(_)) => "tls".into(),
            Some(sqlx::Error::PoolTimedOut) => "pool_timeout".into(),
            Some(sqlx::Error::PoolClosed) => "pool_closed".into(),
            Some(_) => "driver".into(),
            None => "_OTHER".into(),
        },
    }
}

/// The code that the server gave: SQLSTATE, MySQL's number or SQLite's extended result code, which
/// is what OpenTelemetry's `db.response.status_code` wants of each.
pub(super) fn status_code(error: &DbErr) -> Option<String> {
    match driver_error(error) {
        Some(sqlx::Error::Database(error)) => Some(server_code(error.as_ref())),
        _ => None,
    }
}

pub(super) fn server_code(error: &dyn DatabaseError) -> String {
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => error.number().to_string(),
        None => error.code().unwrap_or_default().into_owned(),
    }
}

/// Whether SQLite found its file locked by somebody else.
pub(super) fn is_locked(error: &dyn DatabaseError) -> bool {
    sqlite::primary_code(error).is_some_and(|code| SQLITE_LOCKED.contains(&code))
}

fn is_server_unavailable(error: &dyn DatabaseError) -> bool {
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        let number = error.number();
        return MYSQL_UNAVAILABLE.contains(&number) || MYSQL_MISSING.contains(&number);
    }
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        let code = error.code();
        return POSTGRES_UNAVAILABLE.iter().any(|class| code.starts_with(class))
            || POSTGRES_MISSING.contains(&code);
    }
    is_locked(error)
        || sqlite::missing(error).is_some()
        || sqlite::primary_code(error).is_some_and(|code| SQLITE_NO_STORAGE.contains(&code))
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn is_mysql(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<MySqlDatabaseError>().is_some()
}

/// `Duplicate entry 'VALUE' for key 'users.NAME'`; the value is the caller's, so the last quote counts.
fn mysql_constraint(message: &str) -> Option<String> {
    let (_, key) = message.rsplit_once("for key '")?;
    let key = key.trim_end_matches('\'');
    Some(key.rsplit('.').next().unwrap_or(key).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_have_one_name_on_every_database() {
        let sqlite = |message, code| sqlite::constraint(message, Some(code)).unwrap_or_default();
        let unique = "UNIQUE constraint failed: users.email_key";
        assert_eq!(sqlite(unique, "2067"), "users_email_key_unique");
        let pair = "UNIQUE constraint failed: seats.row, seats.number";
        assert_eq!(sqlite(pair, "2067"), "seats_row_number_unique");
        assert_eq!(sqlite("UNIQUE constraint failed: users.id", "1555"), "users_pkey");
        let mysql = |message| mysql_constraint(message).unwrap_or_default();
        let mariadb = "Duplicate entry 'a' for key 'users_email_key_unique'";
        assert_eq!(mysql(mariadb), "users_email_key_unique");
        assert_eq!(mysql("Duplicate entry 'a' for key 'users.PRIMARY'"), "PRIMARY");
    }

    #[test]
    fn a_value_cannot_pretend_to_be_a_constraint() {
        let message = "Duplicate entry 'x' for key 'trap' for key 'users_email_key_unique'";
        assert_eq!(mysql_constraint(message).as_deref(), Some("users_email_key_unique"));
    }

    #[test]
    fn a_failed_statement_is_told_without_its_data() {
        let error = QueryError::from(DbErr::Type("cannot read ada@example.org".to_owned()));
        assert_eq!(format!("{error} {error:?}"), "database: _OTHER QueryError(database: _OTHER)");
        assert!(error.source().is_none());
    }

    #[test]
    fn a_missing_connection_is_worth_another_try() {
        let error = QueryError::from(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
        assert!(error.is_unavailable());
        assert_eq!(error.to_string(), "database: pool_timeout");
    }
}

//! What a failed statement means: try again later, a constraint was violated, or a fault; and how to
//! say so without repeating the data in it.

mod sqlite;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use sea_orm::sqlx;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use super::retry::Conflict;

/// SQLite's primary result codes for busy and locked.
const SQLITE_LOCKED: [u32; 2] = [5, 6];
/// SQLite's primary result codes for read-only, I/O error, disk full and cannot open.
const SQLITE_NO_STORAGE: [u32; 4] = [SQLITE_READ_ONLY, 10, 13, 14];
const SQLITE_READ_ONLY: u32 = 8;
/// PostgreSQL's classes of SQLSTATE for connection exceptions, rolled back transactions (deadlock,
/// serialization), lack of resources, operator intervention (shutdown) and system errors.
const POSTGRES_UNAVAILABLE: [&str; 5] = ["08", "40", "53", "57", "58"];
/// MySQL's numbers for disk full, too many connections, access denied to the database and to the server,
/// unknown database, shutdown, table or temporary space full, too many connections of the user, lock
/// wait timeout, deadlock, interrupted query, statement's time over (MySQL, MariaDB), disk full
/// (MySQL) and (MariaDB) killed connection.
const MYSQL_UNAVAILABLE: [u16; 15] =
    [1021, 1040, 1044, 1045, 1049, 1053, 1114, 1203, 1205, 1213, 1317, 3024, 1969, 3675, 1927];
/// SQLSTATE and MySQL's numbers for writing where that is not allowed: the server (or its `read_only`),
/// the transaction, the storage engine.
const POSTGRES_READ_ONLY: &str = "25006";
const MYSQL_READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// SQLSTATE and MySQL's numbers for a login that is refused, to the server or to the database.
const POSTGRES_REFUSED: [&str; 3] = ["28000", "28P01", "3D000"];
const MYSQL_REFUSED: [u16; 4] = [1044, 1045, 1049, 1698];
/// SQLSTATE and MySQL's numbers for a server that has as many connections as it will have.
const POSTGRES_CROWDED: &str = "53300";
const MYSQL_CROWDED: [u16; 2] = [1040, 1203];
/// SQLSTATE and MySQL's numbers for a table and a column that do not exist: the schema is behind.
const POSTGRES_MISSING: [&str; 2] = ["42P01", "42703"];
const MYSQL_MISSING: [u16; 2] = [1146, 1054];
/// What SeaORM says of a NULL where none may be, before the name of its column.
const NULL_IN: &str = "A null value was encountered while decoding ";

/// A failed statement as it may stand in a log.
///
/// The drivers' messages repeat values, an e-mail address in a violated constraint for example. This
/// one shows the server's error code (with SQLite's name for it), the name of a violated constraint or
/// of what is missing or unreadable, or the operating system's message. It has no `source()`, and answers the questions below.
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
}

impl Conflict for QueryError {
    fn conflict(&self) -> Option<String> {
        self.0.conflict()
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
                write_if_known(f, ", ", words(&self.0))?;
                write_if_known(f, ", constraint ", violated_constraint(&self.0).as_deref())
            }
            Some(sqlx::Error::Io(io)) => write!(f, ", {io}"),
            _ => write_if_known(f, ", column ", unreadable_column(&self.0)),
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

/// Whether a write was refused because the database takes none at present.
pub(super) fn is_read_only(error: &DbErr) -> bool {
    database_error(error).is_some_and(|error| {
        code_is(error, &[POSTGRES_READ_ONLY], &MYSQL_READ_ONLY)
            || sqlite::primary_code(error) == Some(SQLITE_READ_ONLY)
    })
}

/// Whether the server refuses this user, password or database.
pub(super) fn is_login_refused(error: &dyn DatabaseError) -> bool {
    code_is(error, &POSTGRES_REFUSED, &MYSQL_REFUSED)
}

/// Whether the server takes no more connections.
pub(super) fn is_crowded(error: &DbErr) -> bool {
    database_error(error).is_some_and(|error| code_is(error, &[POSTGRES_CROWDED], &MYSQL_CROWDED))
}

/// Whether the server did not answer in time.
pub(super) fn is_timeout(error: &DbErr) -> bool {
    matches!(driver_error(error), Some(sqlx::Error::Io(io)) if io.kind() == ErrorKind::TimedOut)
}

/// What operators can do something about, in words.
fn words(error: &DbErr) -> Option<&'static str> {
    if is_read_only(error) {
        Some("read-only")
    } else if database_error(error).is_some_and(is_login_refused) {
        Some("login refused")
    } else if is_crowded(error) {
        Some("too many connections")
    } else {
        None
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
            Some(sqlx::Error::Io(_)) if is_timeout(error) => "timeout".into(),
            Some(sqlx::Error::Io(_)) => "io".into(),
            Some(sqlx::Error::Tls(_)) => "tls".into(),
            Some(sqlx::Error::PoolTimedOut) => "pool_timeout".into(),
            Some(sqlx::Error::PoolClosed) => "pool_closed".into(),
            Some(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => "decode".into(),
            Some(sqlx::Error::ColumnNotFound(_)) => "column_not_found".into(),
            Some(_) => "driver".into(),
            None => match error {
                DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => "decode".into(),
                _ => "_OTHER".into(),
            },
        },
    }
}

/// The column whose value is not what the program expects, or that a row lacks.
fn unreadable_column(error: &DbErr) -> Option<&str> {
    let column = match (error, driver_error(error)) {
        (
            _,
            Some(
                sqlx::Error::ColumnDecode { index: column, .. }
                | sqlx::Error::ColumnNotFound(column),
            ),
        ) => column,
        (DbErr::Type(text), _) => text.strip_prefix(NULL_IN)?,
        _ => return None,
    };
    let column = column.trim_matches('"');
    // What else it may be was not named by us.
    let is_name = column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(column)
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
        let lists = [&MYSQL_UNAVAILABLE[..], &MYSQL_READ_ONLY, &MYSQL_MISSING];
        return lists.iter().any(|numbers| numbers.contains(&number));
    }
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        let code = error.code();
        return POSTGRES_UNAVAILABLE.iter().any(|class| code.starts_with(class))
            || POSTGRES_REFUSED.contains(&code)
            || POSTGRES_MISSING.contains(&code)
            || code == POSTGRES_READ_ONLY;
    }
    is_locked(error)
        || sqlite::missing(error).is_some()
        || sqlite::primary_code(error).is_some_and(|code| SQLITE_NO_STORAGE.contains(&code))
}

fn code_is(error: &dyn DatabaseError, postgres: &[&str], mysql: &[u16]) -> bool {
    let is_mysqls = |error: &MySqlDatabaseError| mysql.contains(&error.number());
    error.try_downcast_ref().is_some_and(is_mysqls)
        || error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| postgres.contains(&error.code()))
}

pub(super) fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    match driver_error(error) {
        Some(sqlx::Error::Database(error)) => Some(error.as_ref()),
        _ => None,
    }
}

pub(super) fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
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
        let error = QueryError::from(DbErr::Custom("cannot read ada@example.org".to_owned()));
        assert_eq!(format!("{error} {error:?}"), "database: _OTHER QueryError(database: _OTHER)");
        let error = QueryError::from(DbErr::Type("cannot read ada@example.org".to_owned()));
        assert_eq!(error.to_string(), "database: decode");
        assert!(error.source().is_none());
    }

    #[test]
    fn a_missing_connection_is_worth_another_try() {
        let error = QueryError::from(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
        assert!(error.is_unavailable());
        assert_eq!(error.to_string(), "database: pool_timeout");
    }
}

//! What a database said about a failed step, without the data in it.

use sea_orm_migration::sea_orm::sqlx::error::DatabaseError;
use sea_orm_migration::sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm_migration::sea_orm::{DbErr, RuntimeErr, sqlx};

/// Classes of SQLSTATE whose messages may repeat values of rows: data exceptions and violated constraints.
const ABOUT_VALUES: [&str; 2] = ["22", "23"];
/// MySQL's number for a value that its column does not take, which has no class of its own.
const MYSQL_INCORRECT_VALUE: u16 = 1366;

/// The message, for people; the code alone where the message would repeat an address or the like.
pub(crate) fn told(error: &DbErr) -> String {
    match database_error(error) {
        Some(told) if repeats_values(told) => {
            let constraint = told.constraint().map(|name| format!(" ({name})"));
            format!(
                "the rows do not fit: database error {}{}",
                server_code(told),
                constraint.unwrap_or_default()
            )
        }
        _ => error.to_string(),
    }
}

/// `error.type` of OpenTelemetry: the server's own code, where it gave one.
pub(crate) fn error_type(error: &DbErr) -> String {
    database_error(error).map_or_else(|| "_OTHER".to_owned(), server_code)
}

/// SQLSTATE, or SQLite's extended result code.
pub(crate) fn code(error: &DbErr) -> Option<String> {
    database_error(error)?.code().map(std::borrow::Cow::into_owned)
}

fn server_code(error: &dyn DatabaseError) -> String {
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => error.number().to_string(),
        None => error.code().unwrap_or_default().into_owned(),
    }
}

fn repeats_values(error: &dyn DatabaseError) -> bool {
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    if number == Some(MYSQL_INCORRECT_VALUE) {
        return true;
    }
    // SQLite's codes have no classes, and its messages name columns, never values.
    let sqlstate = error.code().filter(|code| code.len() == 5);
    sqlstate.is_some_and(|code| ABOUT_VALUES.iter().any(|class| code.starts_with(class)))
}

fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    match error.as_ref() {
        sqlx::Error::Database(error) => Some(error.as_ref()),
        _ => None,
    }
}

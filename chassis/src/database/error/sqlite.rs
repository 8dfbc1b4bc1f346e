//! What SQLite's codes and messages mean. The drivers of the servers name such things themselves.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::sqlite::SqliteError;

/// The primary result codes from 1 on, as <https://www.sqlite.org/rescode.html> names them.
const NAMES: [&str; 26] = [
    "SQLITE_ERROR",
    "SQLITE_INTERNAL",
    "SQLITE_PERM",
    "SQLITE_ABORT",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_CORRUPT",
    "SQLITE_NOTFOUND",
    "SQLITE_FULL",
    "SQLITE_CANTOPEN",
    "SQLITE_PROTOCOL",
    "SQLITE_EMPTY",
    "SQLITE_SCHEMA",
    "SQLITE_TOOBIG",
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_MISUSE",
    "SQLITE_NOLFS",
    "SQLITE_AUTH",
    "SQLITE_FORMAT",
    "SQLITE_RANGE",
    "SQLITE_NOTADB",
];
/// How the messages about an outdated schema begin; the name that is missing follows.
const MISSING: [&str; 2] = ["no such table: ", "no such column: "];

/// The primary result code, which is the lowest byte of the extended one; `None` for another
/// database's error.
pub(super) fn primary_code(error: &dyn DatabaseError) -> Option<u32> {
    error.try_downcast_ref::<SqliteError>()?;
    Some(error.code()?.parse::<u32>().ok()? & 0xff)
}

/// The name of the primary result code.
pub(super) fn code_name(error: &dyn DatabaseError) -> Option<&'static str> {
    let index = primary_code(error)?.checked_sub(1)?;
    NAMES.get(usize::try_from(index).ok()?).copied()
}

/// SQLite's message, where it says that a table or a column does not exist.
pub(super) fn missing(error: &dyn DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<SqliteError>()?;
    Some(error.message()).filter(|message| is_about_a_missing_name(message))
}

/// Whatever stands in quotes may be taken for a name: only what looks like one is let through.
fn is_about_a_missing_name(message: &str) -> bool {
    let name = MISSING.iter().find_map(|beginning| message.strip_prefix(beginning));
    name.is_some_and(|name| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    })
}

/// `UNIQUE constraint failed: users.email_key, users.name`.
pub(super) fn constraint(message: &str, code: Option<&str>) -> Option<String> {
    const PRIMARY_KEY: &str = "1555";
    let (_, columns) = message.split_once("failed: ")?;
    let (table, _) = columns.split_once('.')?;
    if code == Some(PRIMARY_KEY) {
        return Some(format!("{table}_pkey"));
    }
    let names = columns.split(", ").filter_map(|column| column.split_once('.'));
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    Some(format!("{table}_{}_unique", names.join("_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_pass_for_what_is_missing() {
        assert!(is_about_a_missing_name("no such table: main.users"));
        assert!(is_about_a_missing_name("no such column: email_key"));
        assert!(!is_about_a_missing_name("no such column: ada@example.org"));
        assert!(!is_about_a_missing_name("no such column: \"ada\" - should this be a string?"));
        assert!(!is_about_a_missing_name("UNIQUE constraint failed: users.email"));
    }
}

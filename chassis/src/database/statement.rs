//! What a statement does and to which table, told from its text for span names and metric labels.
//!
//! The texts are sea-query's: one operation, quoted names. Whatever else comes along (raw SQL) may
//! only be summarised badly; it can never make a new label value out of data.

use std::sync::Arc;

use crate::telemetry::catalogue::labels::DB_OPERATIONS;

/// The words after which a table's name stands.
const BEFORE_TABLE: [&str; 4] = ["FROM", "INTO", "UPDATE", "TABLE"];
/// Bytes of a text that are told, as of any value: lists of values can make one as long as they like.
const TEXT_LIMIT: usize = 4096;
/// PostgreSQL's limit for a name; longer words are not names.
const NAME_LIMIT: usize = 63;

/// The summary of one statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// `db.operation.name`.
    pub(super) operation: &'static str,
    /// `db.collection.name`; empty when there is none.
    pub(super) collection: String,
    /// `db.query.text`, only where values are placeholders.
    pub(super) text: Option<Arc<str>>,
}

impl Summary {
    /// Of a statement whose values are sent beside it.
    pub(super) fn of_prepared(statement: &sea_orm::Statement) -> Self {
        // Without a list of values they may be written into the text.
        let sql = &statement.sql;
        let text = statement.values.is_some().then(|| &sql[..sql.floor_char_boundary(TEXT_LIMIT)]);
        let text = text.map(Arc::from);
        Self { text, ..Self::of_text(&statement.sql) }
    }

    /// Of a text that may contain values, and therefore is not kept.
    pub(super) fn of_text(sql: &str) -> Self {
        let mut words = sql.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let mut known = DB_OPERATIONS.iter().copied();
        let operation = known.find(|known| known.eq_ignore_ascii_case(first));
        Self { operation: operation.unwrap_or("_OTHER"), collection: collection(sql), text: None }
    }

    /// Of a step in the life of a transaction.
    pub(super) fn of_step(operation: &'static str) -> Self {
        Self { operation, collection: String::new(), text: None }
    }

    /// Whether something may be kept by it; of what is not known, yes.
    pub(super) fn may_write(&self) -> bool {
        !["SELECT", "WITH", "PRAGMA", "SET", "BEGIN", "ROLLBACK"].contains(&self.operation)
    }

    /// OpenTelemetry's name for the span: `SELECT users`.
    pub(super) fn span_name(&self) -> String {
        if self.collection.is_empty() {
            return self.operation.to_owned();
        }
        format!("{} {}", self.operation, self.collection)
    }
}

/// The first table that the text names, be it in a subquery.
fn collection(sql: &str) -> String {
    let mut words = sql.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if BEFORE_TABLE.iter().any(|before| before.eq_ignore_ascii_case(word)) {
            let mut rest = words.clone().skip_while(|word| is_existence_clause(word));
            match rest.next() {
                Some(word) if word.starts_with('(') => {}
                word => return word.and_then(name).unwrap_or_default(),
            }
        }
    }
    String::new()
}

fn is_existence_clause(word: &str) -> bool {
    ["IF", "NOT", "EXISTS"].iter().any(|part| part.eq_ignore_ascii_case(word))
}

/// The word as a plain name, if it is one: without quotes and schema.
fn name(word: &str) -> Option<String> {
    let word = word.rsplit('.').next().filter(|_| !word.contains('\''))?;
    let end = word.find('(').unwrap_or(word.len());
    let name = word[..end].trim_matches(['"', '`', ';', ',', ')']);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && (1..=NAME_LIMIT).contains(&name.len())).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(sql: &str) -> (&'static str, String) {
        let summary = Summary::of_text(sql);
        (summary.operation, summary.collection)
    }

    #[test]
    fn the_builders_statements_name_their_operation_and_table() {
        for (sql, operation, collection) in [
            (r#"SELECT "users"."id" FROM "users" WHERE "id" = ?"#, "SELECT", "users"),
            ("INSERT INTO `users` (`id`) VALUES (?)", "INSERT", "users"),
            (r#"UPDATE "users" SET "name" = $1"#, "UPDATE", "users"),
            (r#"DELETE FROM "app"."users" WHERE "id" = $1"#, "DELETE", "users"),
            (r#"CREATE TABLE IF NOT EXISTS "users" ( "id" uuid )"#, "CREATE", "users"),
            (r#"SELECT "id" FROM (SELECT "id" FROM "users") AS "by_name""#, "SELECT", "users"),
            ("select 1", "SELECT", ""),
        ] {
            assert_eq!(summary(sql), (operation, collection.to_owned()), "{sql}");
        }
    }

    #[test]
    fn data_never_becomes_a_label() {
        assert_eq!(summary("FROBNICATE 'ada@example.org'").0, "_OTHER");
        assert_eq!(summary("SELECT * FROM 'ada@example.org'").1, "");
        assert_eq!(summary(&format!("SELECT 1 FROM {}", "x".repeat(64))).1, "");
        assert_eq!(summary("SELECT 1 FROM").1, "");
    }

    #[test]
    fn only_a_text_with_placeholders_is_kept() {
        use sea_orm::{DbBackend, Statement};
        let bound = Statement::from_sql_and_values(DbBackend::Sqlite, "SELECT ?", [1.into()]);
        assert_eq!(Summary::of_prepared(&bound).text.as_deref(), Some("SELECT ?"));
        let raw = Statement::from_string(DbBackend::Sqlite, "SELECT 'ada@example.org'");
        assert_eq!(Summary::of_prepared(&raw).text, None);
    }
}

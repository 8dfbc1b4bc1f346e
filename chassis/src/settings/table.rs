//! The keys of a section as a table, for documents.

use std::fmt::Write;

use super::Key;

const HEAD: &str = "| key | default | takes | meaning |\n| --- | --- | --- | --- |\n";

/// A Markdown table with a row for each key: its name, its default, what it takes and what it means.
///
/// ```
/// use chassis::settings::{known_keys, table};
///
/// chassis::settings! {
///     /// Mail to users.
///     pub struct MailSettings {
///         /// Mails that may wait.
///         pub queue: u16 = 64,
///     }
/// }
/// let table = table(&known_keys::<MailSettings>());
/// assert!(table.ends_with("| `queue` | `64` | a whole number from 0 to 65535 | Mails that may wait. |\n"));
/// ```
pub fn table(keys: &[Key]) -> String {
    keys.iter().fold(HEAD.to_owned(), |mut table, key| {
        let Key { name, allowed, doc, .. } = key;
        let default = match &key.default {
            None => "none".to_owned(),
            Some(_) if key.secret => "built in".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let cells = [format!("`{name}`"), default, allowed.clone(), (*doc).to_owned()];
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        table
    })
}

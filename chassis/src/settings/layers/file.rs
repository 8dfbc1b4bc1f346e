//! The layer of the settings file: finds the values of known keys in a TOML document, each with its line.

use super::{Content, Layer, Reader};
use crate::settings::join;
use crate::settings::report::{Report, Source};
use std::fs;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The text of a settings file.
pub(in crate::settings) struct Document<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> Document<'a> {
    /// The file's text; reported and none where it cannot be read.
    pub(in crate::settings) fn read(path: &'a Path, report: &mut Report) -> Option<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Some(Self { path, text }),
            Err(error) => {
                report.add_file(path, None, format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn source(&self, span: Range<usize>) -> Source {
        Source::File(self.path.to_owned(), Some(self.position(span.start).0))
    }

    /// The line and the column of a byte, counted from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

impl Reader<'_> {
    /// The layer of a settings file; an empty one where the file is not TOML.
    pub(in crate::settings) fn file<'d>(&mut self, document: &'d Document<'_>) -> Layer<'d> {
        let mut layer = Layer::new();
        let (table, errors) = DeTable::parse_recoverable(&document.text);
        if errors.is_empty() {
            self.table(&mut layer, document, "", table.into_inner());
        } else {
            self.not_toml(document, &errors);
        }
        layer
    }

    fn table<'d>(
        &mut self,
        layer: &mut Layer<'d>,
        document: &Document<'_>,
        at: &str,
        table: DeTable<'d>,
    ) {
        for (key, value) in table {
            let name = join(at, key.get_ref());
            let source = document.source(key.span());
            match value.into_inner() {
                DeValue::Table(inner) if self.is_entered(&name, &inner) => {
                    self.table(layer, document, &name, inner);
                }
                // The kind alone: someone may have written a secret where its section belongs.
                value if self.is_section(&name) => {
                    let message = format!("expected a table `[{name}]`, got {}", value.type_str());
                    self.report.add(&name, source, message);
                }
                value => self.put(layer, &name, source, Content::Toml(value)),
            }
        }
    }

    /// An unknown table is entered too, so that each of its keys gets the nearest known one.
    fn is_entered(&self, name: &str, table: &DeTable<'_>) -> bool {
        self.is_section(name) || (self.key_of(name).is_none() && !table.is_empty())
    }

    fn is_section(&self, name: &str) -> bool {
        let inside = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.keys.iter().any(|key| inside(&key.name))
    }

    fn not_toml(&mut self, document: &Document<'_>, errors: &[toml::de::Error]) {
        // The message alone: the parser's own Display would quote the line, which may hold a secret.
        let place =
            |error: &toml::de::Error| document.position(error.span().unwrap_or_default().start);
        let mut errors: Vec<_> =
            errors.iter().map(|error| (place(error), error.message())).collect();
        errors.sort_unstable();
        // What follows on the same line is mostly a consequence of the first.
        errors.dedup_by_key(|((line, _), _)| *line);
        for ((line, column), what) in errors {
            let message = format!("not TOML at column {column}: {what}");
            self.report.add_file(document.path, Some(line), message);
        }
    }
}

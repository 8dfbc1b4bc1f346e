//! What is wrong with the settings, all of it at once. Finding it belongs to `layers`, `sources` and the service's checks.

use super::Toml;
use crate::privacy::REDACTED;
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// The settings file, at a line counted from 1; none for the file as a whole.
    File(PathBuf, Option<usize>),
    /// The environment variable of this name.
    Environment(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The full name of the key; none where the file as a whole is unusable.
    pub key: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// What is wrong and what is allowed. Never the value of a secret.
    pub message: String,
}

/// The value a key has after all layers, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) name: String,
    pub(super) value: Option<Toml>,
    pub(super) secret: bool,
    pub(super) source: Source,
    pub(super) readable: bool,
}

/// Collects what a service's checks reject, beside what could not be read.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) effective: Vec<Effective>,
}

/// The settings are unusable: every problem there is, one a line.
#[derive(Clone, Debug, thiserror::Error)]
pub struct SettingsError {
    problems: Vec<Problem>,
}

impl Effective {
    /// The end of the sentence "expected …", on one line and without the value of a secret.
    fn got(&self) -> String {
        match &self.value {
            None => ", but it is unset".to_owned(),
            Some(_) if self.secret => String::new(),
            Some(Toml::String(text)) => format!(", got {:?}", without_userinfo(text)),
            Some(value) => {
                let text = value.to_string().replace('\n', " ");
                format!(", got {}", without_userinfo(&text))
            }
        }
    }
}

/// A URL may have a password where none belongs, and be refused for it.
pub fn without_userinfo(text: &str) -> Cow<'_, str> {
    // A password that is not encoded may have a slash, so that all of what may be its URL is looked at.
    let ends = |character: char| character.is_whitespace() || "\"'".contains(character);
    let users = text.match_indices("://").filter_map(|(at, separator)| {
        let start = at + separator.len();
        let url = text[start..].split(ends).next().unwrap_or_default();
        url.rfind('@').map(|length| start..start + length)
    });
    let users: Vec<_> = users.collect();
    users.into_iter().rev().fold(text.into(), |text, user| {
        let (before, after) = (&text[..user.start], &text[user.end..]);
        format!("{before}{REDACTED}{after}").into()
    })
}

impl Report {
    /// Rejects the value of a key, named in full; `allowed` completes the sentence "expected …".
    ///
    /// A key whose value could not be read has its problem already, and the settings hold its default: nothing is added.
    pub fn reject(&mut self, key: &str, allowed: impl fmt::Display) {
        self.reject_hinting(key, allowed, "");
    }

    /// The same with what could have been meant, or nothing; it ends the sentence.
    pub fn reject_hinting(&mut self, key: &str, allowed: impl fmt::Display, hint: &str) {
        if !self.is_readable(key) {
            return;
        }
        let found = self.find(key);
        let got = found.map_or_else(String::new, Effective::got);
        let source = found.map_or(Source::Default, |found| found.source.clone());
        self.add(key, source, format!("expected {allowed}{got}{hint}"));
    }

    /// Whether the value of this key could be read; a check that compares two keys asks this of the one it does not reject.
    pub fn is_readable(&self, key: &str) -> bool {
        self.find(key).is_none_or(|found| found.readable)
    }

    pub(super) fn has_problem(&self, key: Option<&str>) -> bool {
        self.problems.iter().any(|problem| problem.key.as_deref() == key)
    }

    pub(super) fn add(&mut self, key: &str, source: Source, message: String) {
        self.problems.push(Problem { key: Some(key.to_owned()), source, message });
    }

    pub(super) fn add_file(&mut self, path: &Path, line: Option<usize>, message: String) {
        self.problems.push(Problem {
            key: None,
            source: Source::File(path.to_owned(), line),
            message,
        });
    }

    pub(super) fn into_result(self) -> Result<Vec<Effective>, SettingsError> {
        if self.problems.is_empty() {
            Ok(self.effective)
        } else {
            Err(SettingsError { problems: self.problems })
        }
    }

    fn find(&self, key: &str) -> Option<&Effective> {
        self.effective.iter().find(|effective| effective.name == key)
    }
}

impl SettingsError {
    /// What is wrong, in the order of the layers and keys.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{count} problem{} in the settings:", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: {} ({})", key.escape_debug(), self.message, self.source),
            None => write!(f, "{}: {}", self.source, self.message),
        }
    }
}

// Escaped, because the text of a source ends up in one line of an error and in a TOML comment.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => {
                write!(f, "file {}", path.to_string_lossy().escape_debug())?;
                line.map_or(Ok(()), |line| write!(f, ", line {line}"))
            }
            Self::Environment(variable) => write!(f, "environment {}", variable.escape_debug()),
        }
    }
}

//! Values that must not be told by accident: [`Secret`] text, and [`Pii`], data about a person.
//!
//! Both show `[redacted]` wherever a value is formatted, so a log line that takes one whole tells
//! nothing; the text comes out through `expose` alone, which is easy to look for. Neither is
//! `Serialize`. How a `Secret` is read from settings is in `settings`.

mod answer;
mod column;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Takes the place of every value that would otherwise be seen.
pub(crate) const REDACTED: &str = "[redacted]";

/// Secret text: a password, a key, a token. Its memory is overwritten when it is dropped.
///
/// It has no way into a log line but `expose`, into JSON neither:
///
/// ```compile_fail,E0277
/// # use chassis::privacy::Secret;
/// println!("{}", Secret::new("hunter2"));
/// ```
///
/// ```compile_fail,E0277
/// # use chassis::privacy::Secret;
/// let json = serde_json::to_string(&Secret::new("hunter2"));
/// ```
///
/// Comparing with `==` would take a time that tells how much of a guess is right:
///
/// ```compile_fail,E0369
/// # use chassis::privacy::Secret;
/// let same = Secret::new("hunter2") == Secret::new("hunter3");
/// ```
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    /// Where it was read, for who wants to know whether it is still the same.
    file: Option<Arc<Path>>,
}

/// Data about a person: a name, an address, a telephone number.
///
/// In a log line it tells nothing, whichever way it gets there:
///
/// ```
/// # use chassis::privacy::Pii;
/// let email = Pii::new("ada@example.org");
/// tracing::info!(?email, address = %email, "{email}");
/// assert_eq!(format!("{email} {email:?}"), "[redacted] [redacted]");
/// assert_eq!(email.expose(), &"ada@example.org");
/// ```
///
/// An answer of the API may have it as a member, and a table as a column, because their types say so.
/// Nothing else serialises it:
///
/// ```compile_fail,E0277
/// # use chassis::privacy::Pii;
/// let json = serde_json::to_string(&Pii::new("ada@example.org"));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pii<T>(T);

impl Secret {
    /// Takes the text over, without a copy where it is a `String`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), file: None }
    }

    /// Remembers the file that the text is from.
    #[must_use]
    pub fn from_file(self, path: impl Into<Arc<Path>>) -> Self {
        Self { file: Some(path.into()), ..self }
    }

    /// The text itself; the name makes each use easy to find.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file that the text is from, if it is from one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl<T> Pii<T> {
    /// Takes the value over.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the name makes each use easy to find.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, owned.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::{ParseFromJSON, ToJSON};
    use sea_orm::Value;

    use super::*;

    #[test]
    fn a_secret_shows_nothing_but_to_who_asks_for_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{:?}", Some(secret.clone())), "Some([redacted])");
    }

    #[test]
    fn data_about_a_person_shows_nothing_at_any_depth() {
        let email = Some(Pii::new("ada@example.org".to_owned()));
        assert_eq!(format!("{email:?}"), "Some([redacted])");
        assert_eq!(format!("{email:#?}"), "Some(\n    [redacted],\n)");
    }

    #[test]
    fn answers_and_columns_have_the_value() {
        let email = Pii::new("ada@example.org".to_owned());
        assert_eq!(email.to_json(), Some("ada@example.org".into()));
        let parsed = Pii::<String>::parse_from_json(email.to_json());
        assert_eq!(parsed.ok().as_ref(), Some(&email));
        assert_eq!(Value::from(email.clone()), Value::from("ada@example.org"));
        assert_eq!(Value::from(Some(email)), Value::from("ada@example.org"));
    }
}

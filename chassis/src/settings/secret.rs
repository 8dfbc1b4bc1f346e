//! Text that has no way out by accident. What to do with it belongs to whoever calls [`Secret::expose`].

use super::{Raw, Toml, Value};
use std::fmt;
use zeroize::Zeroizing;

/// Takes the place of every secret that would otherwise be seen.
const REDACTED: &str = "[redacted]";

/// Secret text: no `Display`, no `Serialize`, a `Debug` that shows nothing; its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over, without a copy where it is a `String`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself; the name makes each use easy to find.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Value for Secret {
    const SECRET: bool = true;

    fn allowed() -> String {
        "secret text that is not empty".to_owned()
    }

    // An empty secret is a mistake in mounting or templating, and would leave a door open that looks closed.
    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.text().filter(|text| !text.is_empty()).map(Self::new)
    }

    fn render(&self) -> Option<Toml> {
        Some(REDACTED.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_but_to_who_asks_for_it() {
        let secret = Secret::new("hunter2");

        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{:?}", Some(secret.clone())), "Some([redacted])");
        assert_eq!(secret.render(), Some("[redacted]".into()));
    }
}

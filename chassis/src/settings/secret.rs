//! Secrets as settings: read like text, shown as nothing. The type itself is in `privacy`.

use super::{Raw, Toml, Value};
use crate::privacy::{REDACTED, Secret};

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
    fn the_settings_in_effect_do_not_show_a_secret() {
        assert_eq!(Secret::new("hunter2").render(), Some("[redacted]".into()));
    }
}

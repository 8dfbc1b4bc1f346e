//! Secrets as settings: read like text, shown as nothing. The type itself is in `privacy`.

use std::fs;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

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

    fn read_file(text: &str, path: &Path) -> Option<Self> {
        Self::read(Raw::Text(text)).map(|secret| secret.from_file(path))
    }

    fn render(&self) -> Option<Toml> {
        Some(REDACTED.into())
    }
}

/// The content of a secret's file, less one trailing newline.
pub(super) fn content(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(fs::read_to_string(path)?);
    let length = without_trailing_newline(&text).len();
    text.truncate(length);
    Ok(text)
}

/// The secret as its file has it now; `None` where it came from no file. An empty file is an error,
/// as it is at start: whoever replaces it has not finished.
pub(crate) fn reread(secret: &Secret) -> io::Result<Option<Secret>> {
    let Some(path) = secret.file() else {
        return Ok(None);
    };
    let read = Secret::read_file(&content(path)?, path);
    read.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file is empty"))
}

/// Editors and `echo` end a file with one newline that is no part of the secret.
fn without_trailing_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_settings_in_effect_do_not_show_a_secret() {
        assert_eq!(Secret::new("hunter2").render(), Some("[redacted]".into()));
    }

    #[test]
    fn a_secret_of_a_file_is_read_again_from_there() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "first\n").unwrap();
        let secret = Secret::read_file(&content(&path).unwrap(), &path).unwrap();
        assert_eq!((secret.expose(), secret.file()), ("first", Some(path.as_path())));
        for (written, read) in [("second", "second"), ("two\nlines\r\n", "two\nlines")] {
            fs::write(&path, written).unwrap();
            let again = reread(&secret).unwrap().unwrap();
            assert_eq!((again.expose(), again.file()), (read, secret.file()));
        }
        fs::write(&path, "\n").unwrap();
        assert!(reread(&secret).is_err());
        assert!(reread(&Secret::new("of no file")).unwrap().is_none());
    }
}

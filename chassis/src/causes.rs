//! An error and its causes as one text, for logs. What an answer says of an error is in `problem`.

use std::error::Error;
use std::fmt::{self, Write};

/// Outermost first, each saying its own part only. The drivers of databases say their cause's part
/// too; it is not repeated.
pub(crate) fn write(out: &mut dyn Write, error: &(dyn Error + 'static)) -> fmt::Result {
    let mut told = error.to_string();
    out.write_str(&told)?;
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !told.ends_with(&part) {
            write!(out, ": {part}")?;
            told = part;
        }
        source = cause.source();
    }
    Ok(())
}

/// An error and its causes, outermost first, each saying its own part only.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, error);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failure {
        text: &'static str,
        source: Option<Box<Failure>>,
    }

    fn failure(text: &'static str, source: Option<Failure>) -> Failure {
        Failure { text, source: source.map(Box::new) }
    }

    #[test]
    fn a_cause_that_was_told_is_not_repeated() {
        let last = failure("refused", None);
        let told = failure("no connection: refused", Some(last));
        let first = failure("no user", Some(told));
        assert_eq!(chain(&first), "no user: no connection: refused");
        assert_eq!(chain(&failure("full", None)), "full");
    }
}

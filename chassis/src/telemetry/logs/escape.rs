//! Text that cannot break out of its line or its quotes, whatever a caller sends (CWE-117).

use std::fmt::{self, Write};

/// Bytes that one value takes on its line, escapes included: enough for any sensible field.
pub(super) const VALUE_LIMIT: usize = 4 * 1024;

/// Which characters have a meaning at the place where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// Inside a JSON string, RFC 8259 section 7.
    Json,
    /// Inside a parameter of syslog's structured data, RFC 5424 section 6.3.3.
    Parameter,
    /// Inside quotes in a line of text.
    Quoted,
    /// Anywhere in a line of text.
    Plain,
}

/// Appends escaped text to a line and stops at the limit.
pub(super) struct Escaped<'a> {
    out: &'a mut String,
    escape: Escape,
    left: usize,
    is_cut: bool,
}

impl Escape {
    fn is_special(self, c: char) -> bool {
        let quoted = match self {
            Self::Json | Self::Quoted => matches!(c, '"' | '\\'),
            Self::Parameter => matches!(c, '"' | '\\' | ']'),
            Self::Plain => false,
        };
        quoted || c.is_control() || is_line_break_or_direction(c)
    }

    fn push(self, c: char, out: &mut String) {
        if self == Self::Parameter && !matches!(c, '"' | '\\' | ']') {
            // RFC 5424 knows no other escapes; what reads as one afterwards is one of a plain message.
            out.push('\\');
        }
        match (self, c) {
            (_, '\n') => out.push_str("\\n"),
            (_, '\r') => out.push_str("\\r"),
            (_, '\t') => out.push_str("\\t"),
            (_, '"' | '\\' | ']') => out.extend(['\\', c]),
            // All of these are in the basic plane, so four digits do.
            (Self::Json, c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            (_, c) => out.extend(c.escape_unicode()),
        }
    }
}

impl<'a> Escaped<'a> {
    pub(super) fn new(out: &'a mut String, escape: Escape, limit: usize) -> Self {
        Self { out, escape, left: limit, is_cut: false }
    }

    /// Appends as much as fits; gives whether that is all.
    fn push_plain(&mut self, text: &str) -> bool {
        let fitting = text.floor_char_boundary(self.left);
        self.out.push_str(&text[..fitting]);
        self.left -= fitting;
        fitting == text.len()
    }

    fn push_special(&mut self, c: char) -> bool {
        let before = self.out.len();
        self.escape.push(c, self.out);
        let fits = self.left.checked_sub(self.out.len() - before);
        match fits {
            Some(left) => self.left = left,
            None => self.out.truncate(before),
        }
        fits.is_some()
    }

    fn push(&mut self, text: &str) -> bool {
        let mut rest = text;
        while let Some(at) = rest.find(|c| self.escape.is_special(c)) {
            let (plain, special) = rest.split_at(at);
            let mut chars = special.chars();
            if !self.push_plain(plain) || !chars.next().is_none_or(|c| self.push_special(c)) {
                return false;
            }
            rest = chars.as_str();
        }
        self.push_plain(rest)
    }
}

impl Write for Escaped<'_> {
    /// Fails once the limit is reached, which ends the formatting of a long value early.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        if !self.push(text) {
            self.is_cut = true;
            self.out.push('…');
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// Line and paragraph separators, which some readers take for line ends, the marks that turn the
/// direction of text, which can make a line on a terminal read as another one, and the byte order
/// mark, which means something at the start of a syslog message.
pub(super) fn is_line_break_or_direction(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: Escape, text: &str) -> String {
        let mut out = String::new();
        let _ = Escaped::new(&mut out, escape, VALUE_LIMIT).write_str(text);
        out
    }

    #[test]
    fn json_strings_come_back_as_they_were() {
        let text =
            "\"a\\b\" \r\n\t\0\u{1b}[31m \u{7f}\u{85}\u{2028}\u{2029}\u{202e}\u{200f}\u{feff} é 🦀";
        let line = escaped(Escape::Json, text);
        assert!(!line.contains(|c: char| c.is_control() || is_line_break_or_direction(c)));
        let back: String = serde_json::from_str(&format!("\"{line}\"")).unwrap_or_default();
        assert_eq!(back, text);
    }

    #[test]
    fn text_keeps_its_quotes_and_loses_its_control_characters() {
        assert_eq!(escaped(Escape::Plain, "\"a\"\n\u{1b}[0m]"), "\"a\"\\n\\u{1b}[0m]");
    }

    #[test]
    fn quoted_text_cannot_leave_its_quotes() {
        assert_eq!(escaped(Escape::Quoted, "a\" b=\"c\\\n"), "a\\\" b=\\\"c\\\\\\n");
    }

    #[test]
    fn parameters_escape_what_rfc_5424_names() {
        assert_eq!(escaped(Escape::Parameter, "a\"b\\c]d"), "a\\\"b\\\\c\\]d");
        assert_eq!(escaped(Escape::Parameter, "a\n\0"), "a\\\\n\\\\u{0}");
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let line = escaped(Escape::Json, &"é".repeat(VALUE_LIMIT));
        assert_eq!(line, format!("{}…", "é".repeat(VALUE_LIMIT / 2)));
        let mut out = String::new();
        let mut deaf = Escaped::new(&mut out, Escape::Json, VALUE_LIMIT);
        for _ in 0..=VALUE_LIMIT {
            let _ = deaf.write_str("ab");
        }
        assert_eq!(out.chars().filter(|c| *c == '…').count(), 1);
    }

    #[test]
    fn escapes_count_and_stay_whole() {
        for escape in [Escape::Json, Escape::Parameter, Escape::Quoted, Escape::Plain] {
            for before in 0..8 {
                let text = format!("{}{}", "x".repeat(before), "\0".repeat(VALUE_LIMIT));
                let line = escaped(escape, &text);
                let kept = line.strip_suffix('…').unwrap_or_default();
                let ends = if escape == Escape::Json { "\\u0000" } else { "\\u{0}" };
                assert!(kept.len() <= VALUE_LIMIT && kept.len() + 8 > VALUE_LIMIT, "{escape:?}");
                assert!(kept.ends_with(ends), "{escape:?}");
            }
        }
    }
}

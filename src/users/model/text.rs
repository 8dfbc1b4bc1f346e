//! The texts of a user: each is checked when it comes in and trusted from then on.
//!
//! A text that breaks a rule is refused, never trimmed or rewritten: what a caller reads back is
//! what was sent.

use chassis::http::input::Field;
use chassis::password::{Known, PasswordSettings};
use chassis::schema_type;
use chassis::settings::Secret;
use poem_openapi::registry::MetaSchema;
use serde_json::Value;

use crate::schema::text_type;

/// Longer names exist, but not where people type them into forms.
const NAME_MAX: usize = 200;
/// Enough for the longest postal address of the Universal Postal Union, with care-of lines.
const ADDRESS_MAX: usize = 500;
/// RFC 5321, section 4.5.3.1.3: a path has 256 octets, two of which are its angle brackets.
const EMAIL_MAX: usize = 254;
/// RFC 5321, section 4.5.3.1.1.
const LOCAL_PART_MAX: usize = 64;
/// RFC 1035, section 2.3.4.
const LABEL_MAX: usize = 63;

/// Characters that a line of text must not have, as a regular expression's class: controls, line
/// separators, and the bidirectional controls that make a name look like another (`Bidi_Control` of Unicode).
macro_rules! one_line {
    ($prefix:literal, $more:literal, $suffix:literal) => {
        concat!(
            $prefix,
            "[^",
            $more,
            r"\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069",
            "]",
            $suffix
        )
    };
}

/// The class of those that may be seen: neither white space nor what Unicode has as ignorable by default.
/// Beyond the Basic Multilingual Plane dialects write classes differently, so [`is_visible`] knows more.
macro_rules! seen {
    () => {
        one_line!(
            "",
            r"\s\u00AD\u034F\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200D\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8",
            ""
        )
    };
}

text_type! {
    /// What a person is called: 1 to 200 characters on one line, one of them to be seen, without space
    /// around them.
    Name,
    check: |text: &str| {
        length(text, NAME_MAX)?;
        harmless(text, "")?;
        unpadded(text)?;
        visible(text)
    },
    schema: {
        min_length: 1_usize,
        max_length: NAME_MAX,
        pattern: concat!(
            one_line!("^(", r"\s", ""),
            one_line!("", "", "*)?"),
            seen!(),
            one_line!("(", "", "*"),
            one_line!("", r"\s", ")?$"),
        ),
        example: "Ada Lovelace",
    }
}

text_type! {
    /// An e-mail address: `local-part@domain` in ASCII, at most 254 characters (RFC 5321).
    ///
    /// Quoted local parts and address literals are refused: nobody has one, and mail software
    /// disagrees about them. A domain needs a dot, which catches `ada@example`; an international
    /// one is given in its `xn--` form, so that two spellings cannot look alike.
    Email,
    check: email,
    schema: { format: "email", min_length: 5_usize, max_length: EMAIL_MAX, example: "ada@example.org" }
}

text_type! {
    /// A telephone number in E.164: `+`, then 2 to 15 digits, the first of them not 0.
    PhoneNumber,
    check: |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let fits = (2..=15).contains(&digits.len()) && !digits.starts_with('0');
        if fits && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(());
        }
        Err("must be + and 2 to 15 digits, the first of them not 0 (E.164)".to_owned())
    },
    schema: { pattern: "^\\+[1-9][0-9]{1,14}$", min_length: 3_usize, max_length: 16_usize, example: "+442071838750" }
}

text_type! {
    /// A postal address: 1 to 500 characters, one of them to be seen, on several lines if need be, without
    /// space around them.
    Address,
    check: |text: &str| {
        length(text, ADDRESS_MAX)?;
        harmless(text, "\n")?;
        unpadded(text)?;
        visible(text)
    },
    schema: {
        min_length: 1_usize,
        max_length: ADDRESS_MAX,
        pattern: concat!(
            one_line!("^(", r"\s", ""),
            one_line!("(", "", r"|\n)*)?"),
            seen!(),
            one_line!("((", "", r"|\n)*"),
            one_line!("", r"\s", ")?$"),
        ),
        example: "12 St James's Square\nLondon",
    }
}

text_type! {
    /// The start of a name or of an e-mail address, upper and lower case alike.
    Prefix,
    check: |text: &str| {
        length(text, NAME_MAX)?;
        harmless(text, "")
    },
    schema: {
        min_length: 1_usize,
        max_length: NAME_MAX,
        pattern: one_line!("^", "", "+$"),
        example: "ada",
    }
}

/// A password that is held against a hash, whatever it is. It has no way out but [`Secret::expose`].
#[derive(Clone, Debug)]
pub struct Password(pub Secret);

/// A password to be set: within the operator's limits, and not soon guessed.
#[derive(Clone, Debug)]
pub struct NewPassword(Secret);

schema_type!(Password, "string_password", password_schema());

schema_type!(NewPassword, "string_new-password", {
    // The document is the same for all; what another operator's limits refuse is answered 422.
    let limits = PasswordSettings::default();
    MetaSchema {
        min_length: Some(limits.min_length),
        max_length: Some(limits.max_length),
        ..password_schema()
    }
});

impl Field for Password {
    fn parse(value: Value) -> Result<Self, String> {
        <String as Field>::parse(value).map(|text| Self(Secret::new(text)))
    }
}

impl NewPassword {
    /// The password, or what is allowed instead, for a user of whom this is known.
    pub fn parse(
        password: Secret,
        limits: &PasswordSettings,
        known: &[Known<'_>],
    ) -> Result<Self, String> {
        limits.acceptable(password.expose(), known)?;
        Ok(Self(password))
    }

    /// The password.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

fn password_schema() -> MetaSchema {
    MetaSchema {
        write_only: true,
        example: Some("a quiet bench above the river".into()),
        ..MetaSchema::new_with_format("string", "password")
    }
}

fn length(text: &str, max: usize) -> Result<(), String> {
    // Bytes bound characters from above: only a text that may be too long is counted out.
    let fits = text.len() <= max || text.chars().count() <= max;
    if fits && !text.is_empty() {
        return Ok(());
    }
    Err(format!("must have 1 to {max} characters"))
}

fn harmless(text: &str, except: &str) -> Result<(), String> {
    if text.chars().any(|c| is_harmful(c) && !except.contains(c)) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

fn visible(text: &str) -> Result<(), String> {
    if text.chars().any(is_visible) {
        return Ok(());
    }
    Err("must have a character that can be seen".to_owned())
}

/// Controls, line separators, and the property `Bidi_Control` of Unicode.
fn is_harmful(c: char) -> bool {
    let bidi = matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    bidi || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Neither white space nor of Unicode's property `Default_Ignorable_Code_Point`. The joiners are of it: they
/// belong in names, but make none.
fn is_visible(c: char) -> bool {
    let ignorable = matches!(
        c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    );
    // To Unicode, Braille's blank is a symbol.
    !ignorable && !c.is_whitespace() && c != '\u{2800}'
}

fn unpadded(text: &str) -> Result<(), String> {
    if text.trim().len() == text.len() {
        return Ok(());
    }
    Err("must not be blank, begin or end with white space".to_owned())
}

fn email(text: &str) -> Result<(), String> {
    if text.len() > EMAIL_MAX {
        return Err(format!("must have at most {EMAIL_MAX} characters"));
    }
    match text.rsplit_once('@') {
        Some((local, domain)) if local_part(local) && domain_name(domain) => Ok(()),
        _ => Err("must be an e-mail address such as ada@example.org".to_owned()),
    }
}

/// A dot-string of RFC 5321, section 4.1.2.
fn local_part(text: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    text.len() <= LOCAL_PART_MAX
        && text.split('.').all(|word| !word.is_empty() && word.bytes().all(atom))
}

/// Two labels or more of RFC 1123, section 2.1.
fn domain_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    text.contains('.') && text.split('.').all(label)
}

#[cfg(test)]
mod tests;

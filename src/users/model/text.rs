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
/// separators, and the bidirectional controls that make a name look like another.
macro_rules! one_line {
    ($prefix:literal, $more:literal, $suffix:literal) => {
        concat!(
            $prefix,
            "[^",
            $more,
            r"\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069",
            "]",
            $suffix
        )
    };
}

text_type! {
    /// What a person is called: 1 to 200 characters on one line, without space around them.
    Name,
    check: |text: &str| {
        length(text, NAME_MAX)?;
        visible(text, "")?;
        unpadded(text)
    },
    schema: {
        min_length: 1_usize,
        max_length: NAME_MAX,
        pattern: concat!(
            one_line!("^", r"\s", "("),
            one_line!("", "", "*"),
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
    /// A postal address: 1 to 500 characters, several lines if need be, without space around them.
    Address,
    check: |text: &str| {
        length(text, ADDRESS_MAX)?;
        visible(text, "\n")?;
        unpadded(text)
    },
    schema: {
        min_length: 1_usize,
        max_length: ADDRESS_MAX,
        pattern: concat!(
            one_line!("^", r"\s", "("),
            one_line!("(", "", r"|\n)*"),
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
        visible(text, "")
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

fn visible(text: &str, except: &str) -> Result<(), String> {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(|c| harmful(c) && !except.contains(c)) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
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
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_it_was_sent() {
        for name in ["Ada", "Ö", "João d'Ávila", "李 小龍", "x".repeat(200).as_str()] {
            let parsed = Name::parse(name.to_owned());
            assert_eq!(parsed.as_ref().map(Name::expose), Ok(name));
        }
    }

    #[test]
    fn a_name_is_refused_when_it_is_blank_padded_too_long_or_not_one_line() {
        let too_long = "é".repeat(201);
        for name in ["", " ", " Ada", "Ada\u{a0}", "A\0da", "A\nda", "\u{202e}Ada", &too_long] {
            assert!(Name::parse(name.to_owned()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_email_follows_the_limits_of_smtp() {
        let longest = format!("{}@{}.example.org", "a".repeat(64), "b".repeat(63));
        for email in ["a@b.co", "o'neil+tag@sub.example.org", "A@xn--bcher-kva.example", &longest] {
            assert!(Email::parse(email.to_owned()).is_ok(), "{email}");
        }
        let label_too_long = format!("a@{}.org", "b".repeat(64));
        let local_too_long = format!("{}@b.org", "a".repeat(65));
        let domain = vec!["b".repeat(60); 4].join(".");
        let too_long = format!("{}@{domain}", "a".repeat(20));
        for email in [
            "",
            "@",
            "a",
            "a@",
            "@b.org",
            "a@b",
            "a b@c.org",
            "a@@b.org",
            "a@b@c.org",
            ".a@b.org",
            "a..b@c.org",
            "\"a b\"@c.org",
            "a@[127.0.0.1]",
            "a@-b.org",
            "a@b..org",
            "a@b.org.",
            "a\0@b.org",
            "é@b.org",
            "a@bücher.org",
            "a@b.org\n",
            " a@b.org",
            &label_too_long,
            &local_too_long,
            &too_long,
        ] {
            assert!(Email::parse(email.to_owned()).is_err(), "{email:?}");
        }
    }

    #[test]
    fn a_phone_number_is_e164() {
        for number in ["+12", "+442071838750", "+123456789012345"] {
            assert!(PhoneNumber::parse(number.to_owned()).is_ok(), "{number}");
        }
        for number in ["", "+", "+1", "+0123", "442071838750", "+1234567890123456", "+44 20", "+٣٤"]
        {
            assert!(PhoneNumber::parse(number.to_owned()).is_err(), "{number}");
        }
    }

    #[test]
    fn an_address_may_have_several_lines() {
        assert!(Address::parse("12 St James's Square\nLondon".to_owned()).is_ok());
        for address in ["", "\n", "London\n", "a\tb", "a\r\nb", &"x".repeat(501)] {
            assert!(Address::parse(address.to_owned()).is_err(), "{address:?}");
        }
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let email = Email::parse("ada@example.org".to_owned());
        assert_eq!(format!("{email:?}"), "Ok(Email([redacted]))");
    }
}

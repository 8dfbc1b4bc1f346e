//! Which new passwords are accepted: NIST SP 800-63B-4, section 3.1.1.2, and OWASP ASVS 5.0, V6.2.
//!
//! Length, and nothing that is guessed soon: not a common password or what is made of one, nor of what
//! everybody knows of the user. No rule asks for kinds of characters. A password is judged, hashed and
//! verified exactly as it was sent: nothing is trimmed, folded or normalised but for looking at it here.

use super::PasswordSettings;
use super::common::is_common;
use super::guess::{Guesses, guesses};

/// A hundred million: what two common passwords in a row have at most, and no passphrase of three words.
const TOO_FEW: Guesses = 80;
/// Shorter parts of a name are in half of all words.
const PART_MIN: usize = 3;
/// Fewer letters than these, beside what everybody knows, hide nothing.
const REST_MIN: usize = 4;

const COMMON: &str = "must not be a commonly used password";
const GUESSABLE: &str = "must not be made of commonly used passwords, repetitions or rows of keys";

/// What everybody knows of a user, so that no password may be made of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The words, such as a name or an address.
    pub text: &'a str,
    /// Whose they are, in words that end "must not be made of …".
    pub what: &'static str,
}

impl PasswordSettings {
    /// Whether a new password is accepted, of a user of whom this is known. Its length is counted in
    /// Unicode code points. The error says what is not allowed, in words for the user, and nothing of the
    /// password.
    pub fn acceptable(&self, password: &str, known: &[Known<'_>]) -> Result<(), String> {
        let Self { min_length, max_length, .. } = *self;
        if !(min_length..=max_length).contains(&password.chars().count()) {
            return Err(format!("must have {min_length} to {max_length} characters"));
        }
        if is_common(password.to_lowercase().as_bytes()) {
            return Err(COMMON.to_owned());
        }
        if let Some(what) = made_of(password, known) {
            return Err(format!("must not be made of {what}"));
        }
        if guesses(password).is_some_and(|guesses| guesses <= TOO_FEW) {
            return Err(GUESSABLE.to_owned());
        }
        Ok(())
    }
}

/// Of what a password is made: what is known makes up all of it but some digits, signs and few letters.
fn made_of(password: &str, known: &[Known<'_>]) -> Option<&'static str> {
    let mut words: Vec<(String, &'static str)> =
        known.iter().flat_map(|known| words(known.text).map(|word| (word, known.what))).collect();
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut rest = joined(password);
    let mut first = None;
    for (word, what) in words {
        if rest.contains(&word) {
            // What stood on both sides must not become a word.
            rest = rest.replace(&word, " ");
            first = first.or(Some(what));
        }
    }
    first.filter(|_| rest.chars().filter(|c| c.is_alphabetic()).count() < REST_MIN)
}

/// The text in one piece, and its parts.
fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).map(joined);
    let all = std::iter::once(joined(text)).chain(parts);
    all.filter(|word| word.chars().count() >= PART_MIN)
}

/// Letters and digits alone, in lower case.
fn joined(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const ADA: [Known<'_>; 3] = [
        Known { text: "Ada Lovelace", what: "the user's name" },
        Known { text: "ada.king@analytical-engine.example", what: "the user's address" },
        Known { text: "belvedere", what: "the name of this service" },
    ];

    fn judged(password: &str) -> Result<(), String> {
        PasswordSettings::default().acceptable(password, &ADA)
    }

    fn judged_from_eight(password: &str) -> Result<(), String> {
        let settings = PasswordSettings { min_length: 8, ..PasswordSettings::default() };
        settings.acceptable(password, &ADA)
    }

    #[test]
    fn a_password_has_15_to_256_characters_of_whatever_kind() {
        let allowed = Err("must have 15 to 256 characters".to_owned());
        // Fifteen letters of 30 bytes, 256 of several kinds.
        let longest = "тихий берег у реки ".repeat(14);
        let longest: String = longest.chars().chain("и лес".chars()).take(256).collect();
        assert_eq!(judged("съешь ещё этих "), Ok(()));
        assert_eq!(judged("съешь ещё этих"), allowed);
        assert_eq!(longest.chars().count(), 256);
        assert_eq!(judged(&longest), Ok(()));
        assert_eq!(judged(&format!("{longest}x")), allowed);
        for password in [
            "               ~ \u{0} \n \t",
            " a heron by the weir ",
            "🐦🌊🪨🌲🌧🚲🎻📯🧭🪁🛶🏮🧶🪵🕯",
        ] {
            assert_eq!(judged(password), Ok(()), "{password:?}");
        }
    }

    #[test]
    fn a_common_password_is_refused_in_whatever_case() {
        let common = Err(COMMON.to_owned());
        for password in ["123456789987654321", "Correct Horse Battery Staple", "PASSWORDPASSWORD"] {
            assert_eq!(judged(password), common, "{password}");
        }
        for password in ["password", "Password1", "iloveyou", "SUNSHINE", "1q2w3e4r"] {
            assert_eq!(judged_from_eight(password), common, "{password}");
        }
        // The whole of it is compared, not a part.
        assert_eq!(judged("no password is in vain"), Ok(()));
        assert_eq!(judged_from_eight("sunshine on a weir"), Ok(()));
    }

    #[test]
    fn what_is_made_of_common_passwords_is_refused() {
        for password in ["passwordpassword1", "aaaaaaaaaaaaaaaaaaaa", "letmein letmein letmein"] {
            assert_eq!(judged(password), Err(GUESSABLE.to_owned()), "{password}");
        }
    }

    #[test]
    fn what_everybody_knows_of_the_user_is_no_password() {
        for (password, what) in [
            ("ada.king@analytical-engine.example", "the user's address"),
            ("ANALYTICAL-engine.Example", "the user's address"),
            ("analyticalengine", "the user's address"),
            ("Ada Lovelace 1815", "the user's name"),
            ("AdaLovelaceAdaLovelace", "the user's name"),
            ("lovelace-lovelace-xyz!", "the user's name"),
            ("belvedere belvedere", "the name of this service"),
            ("belvedere1234567", "the name of this service"),
            ("BelvedereLovelace!", "the name of this service"),
        ] {
            assert_eq!(judged(password), Err(format!("must not be made of {what}")), "{password}");
        }
        // With enough beside it, it is a word as any other.
        assert_eq!(judged("ada walks along the river"), Ok(()));
        assert_eq!(judged("a view from the belvedere"), Ok(()));
    }

    #[test]
    fn no_kind_of_character_is_asked_for() {
        for password in
            ["heronweirquietby", "HERONWEIRQUIETBY", "58209384750293716", "~~^[]{}_`|;:<>,#"]
        {
            assert_eq!(judged(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn refusals_say_nothing_of_the_password() {
        for password in ["ada lovelace ada", "passwordpassword", "qwertyuiopasdfgh", "short"] {
            let refusal = judged(password).unwrap_err().to_lowercase();
            assert!(!refusal.contains(password) && !refusal.contains("lovelace"), "{refusal}");
        }
    }
}

//! Texts at the borders of their rules.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chassis::testing::hold;
use poem_openapi::types::Type;

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
fn no_text_has_controls_of_direction() {
    let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'];
    let bidi = bidi.into_iter().chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
    for control in bidi {
        for text in [format!("Ada{control} Lovelace"), format!("{control}Ada"), control.to_string()]
        {
            assert!(Name::parse(text.clone()).is_err(), "{text:?}");
            assert!(Address::parse(text.clone()).is_err(), "{text:?}");
            assert!(Prefix::parse(text.clone()).is_err(), "{text:?}");
        }
    }
}

#[test]
fn a_name_and_an_address_can_be_seen() {
    for nothing in [
        "\u{200b}",
        "\u{feff}",
        "\u{ad}",
        "\u{200d}",
        "\u{2800}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{e0041}",
    ] {
        for text in [nothing.to_owned(), nothing.repeat(3), format!("{nothing} {nothing}")] {
            assert!(Name::parse(text.clone()).is_err(), "{text:?}");
            assert!(Address::parse(text.clone()).is_err(), "{text:?}");
        }
    }
    // The joiners of Persian and Malayalam, and those of an emoji.
    for name in
        ["علی\u{200c}رضا", "ന്\u{200d}", "\u{1f469}\u{200d}\u{1f52c}", "Ada\u{fe0f}", "x\u{200b}"]
    {
        assert!(Name::parse(name.to_owned()).is_ok(), "{name:?}");
    }
}

#[test]
fn what_the_document_describes_is_accepted() {
    // Beyond the Basic Multilingual Plane its class is wider: see `seen`.
    let basic = |text: &str| text.chars().all(|c| is_visible(c) || c < '\u{10000}');
    hold(pattern::<Name>().trim_matches(['^', '$']), |text| {
        let fits = text.chars().count() <= NAME_MAX && basic(&text);
        assert!(!fits || Name::parse(text.clone()).is_ok(), "{text:?}");
    });
    hold(pattern::<Address>().trim_matches(['^', '$']), |text| {
        let fits = text.chars().count() <= ADDRESS_MAX && basic(&text);
        assert!(!fits || Address::parse(text.clone()).is_ok(), "{text:?}");
    });
}

fn pattern<T: Type>() -> String {
    let schema = T::schema_ref();
    schema.unwrap_inline().pattern.clone().unwrap()
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
    for number in ["", "+", "+1", "+0123", "442071838750", "+1234567890123456", "+44 20", "+٣٤"] {
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

//! Ids in paths.

use poem_openapi::registry::MetaSchema;
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult};
use uuid::Uuid;

use crate::schema_type;

/// What the document shows, and who sent something else is told.
const EXAMPLE: &str = "01a1fd8c-697b-7c1e-9d53-2b6f0a4e7d11";
/// 32 digits and four hyphens: no other form that the parser knows is as long.
const LENGTH: usize = 36;

/// A UUID in a path, as RFC 9562, section 4, writes it. Its other forms, in braces, as a URN or without
/// hyphens, are refused with 400: what they name would have a URL for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub Uuid);

schema_type!(
    Id,
    "string_uuid",
    MetaSchema { example: Some(EXAMPLE.into()), ..MetaSchema::new_with_format("string", "uuid") }
);

impl ParseFromParameter for Id {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let hyphenated = (value.len() == LENGTH).then(|| Uuid::try_parse(value).ok()).flatten();
        let malformed = || ParseError::custom(format!("must be a UUID, such as {EXAMPLE}"));
        hyphenated.map(Self).ok_or_else(malformed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::testing::hold;

    #[test]
    fn an_id_has_one_form_in_either_case() {
        let id = Uuid::try_parse(EXAMPLE).unwrap();
        for text in [EXAMPLE.to_owned(), EXAMPLE.to_uppercase()] {
            assert_eq!(Id::parse_from_parameter(&text).unwrap(), Id(id));
        }
        let others = [id.simple().to_string(), id.braced().to_string(), id.urn().to_string()];
        for text in others.iter().map(String::as_str).chain(["", "me", &EXAMPLE[..35]]) {
            assert!(Id::parse_from_parameter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_text_of_the_length_is_a_panic_or_another_id() {
        hold("[0-9a-fA-F{}urn:é-]{32,36}", |text| {
            if let Ok(Id(id)) = Id::parse_from_parameter(&text) {
                assert_eq!(id.hyphenated().to_string(), text.to_lowercase());
            }
        });
    }
}

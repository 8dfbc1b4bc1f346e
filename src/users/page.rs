//! Pages of the list: which users are asked for, and where the next page begins.
//!
//! Parameters that cannot be read are 400, those that can and are not acceptable 422, all at once.

use std::marker::PhantomData;
use std::num::IntErrorKind;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::problem::{FieldError, Problem};
use chassis::schema_type;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

use super::model::{Email, Prefix};

/// The most users on one page: some 40 KiB of answer.
const LIMIT_MAX: i64 = 100;
/// Users on one page when the caller does not say.
const LIMIT_DEFAULT: i64 = 20;
/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which users are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// At most so many.
    pub limit: u64,
    /// Those created after this one.
    pub after: Option<Cursor>,
    /// The one with this address.
    pub email: Option<Email>,
    /// Those whose name or address begins so.
    pub q: Option<Prefix>,
}

/// Where a page ended: the id of its last user, in a form that invites nobody to make one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

/// How many users a page shall have; not yet held against the limits.
#[derive(Debug)]
pub(super) struct Limit(i64);

/// A text parameter that is documented as a `T` and checked together with its neighbours.
pub(super) struct Unchecked<T> {
    text: String,
    target: PhantomData<fn() -> T>,
}

impl PageQuery {
    /// Checks the parameters together.
    pub(super) fn check(
        limit: Option<Limit>,
        after: Option<Cursor>,
        email: Option<Unchecked<Email>>,
        q: Option<Unchecked<Prefix>>,
    ) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let limit = limit.map_or(LIMIT_DEFAULT, |limit| limit.0);
        if !(1..=LIMIT_MAX).contains(&limit) {
            errors.push(FieldError::new("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        let email = email.and_then(|email| email.check("email", Email::parse, &mut errors));
        let q = q.and_then(|q| q.check("q", Prefix::parse, &mut errors));
        if errors.is_empty() {
            let limit = limit.unsigned_abs();
            return Ok(Self { limit, after, email, q });
        }
        Err(Problem::invalid_fields(errors))
    }

    /// Path and query of the page that begins after `next`, with the same filters.
    pub(super) fn continued(&self, next: Cursor) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let mut path = format!("/users?limit={}&after={}", self.limit, next.encode());
        if let Some(email) = &self.email {
            path.push_str("&email=");
            path.push_str(&encoded(email.expose()));
        }
        if let Some(q) = &self.q {
            path.push_str("&q=");
            path.push_str(&encoded(q.expose()));
        }
        path
    }
}

impl Cursor {
    /// As callers see it.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// The cursor, if this is one.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Uuid::from_slice(&bytes).ok().map(Self)
    }
}

impl<T> Unchecked<T> {
    fn check(
        self,
        name: &str,
        parse: impl FnOnce(String) -> Result<T, String>,
        errors: &mut Vec<FieldError>,
    ) -> Option<T> {
        let complain = |allowed| errors.push(FieldError::new(name, allowed));
        parse(self.text).map_err(complain).ok()
    }
}

schema_type!(
    Cursor,
    "string_cursor",
    MetaSchema {
        min_length: Some(22),
        max_length: Some(22),
        // 16 bytes are 21 digits of base64 and two bits.
        pattern: Some("^[A-Za-z0-9_-]{21}[AQgw]$".to_owned()),
        ..MetaSchema::new("string")
    }
);

schema_type!(
    Limit,
    "integer_limit",
    MetaSchema {
        minimum: Some(1.0),
        maximum: Some(100.0),
        default: Some(LIMIT_DEFAULT.into()),
        ..MetaSchema::new("integer")
    }
);

impl<T: Type> Type for Unchecked<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> std::borrow::Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Cursor {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let malformed = "must be the value of next, or of after in a Link header";
        Self::decode(value).ok_or_else(|| ParseError::custom(malformed))
    }
}

impl ParseFromParameter for Limit {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let number = value.parse().or_else(|error: std::num::ParseIntError| match error.kind() {
            // A number all the same, and outside of any limits.
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Ok(i64::MAX),
            _ => Err(ParseError::custom("must be an integer")),
        });
        number.map(Self)
    }
}

impl<T: Type> ParseFromParameter for Unchecked<T> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(Self { text: value.to_owned(), target: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use chassis::testing::hold;
    use poem::http::StatusCode;

    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        let cursor = Cursor(Uuid::now_v7());
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        let short = URL_SAFE_NO_PAD.encode([0_u8; 15]);
        let padded = format!("{}==", Cursor(Uuid::nil()).encode());
        for text in ["", "x", "not a cursor", "../../etc/passwd", &short, &padded] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn without_parameters_a_page_has_twenty_users() {
        let query = PageQuery::check(None, None, None, None).unwrap();
        assert_eq!(query.limit, 20);
    }

    #[test]
    fn limits_outside_the_range_are_understood_and_refused() {
        for limit in ["0", "101", "-1", "99999999999999999999", "-99999999999999999999"] {
            let limit = Limit::parse_from_parameter(limit).unwrap();
            let problem = PageQuery::check(Some(limit), None, None, None).unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        for limit in ["", "ten", "1.5", "1e1", " 1"] {
            assert!(Limit::parse_from_parameter(limit).is_err(), "{limit}");
        }
    }

    #[test]
    fn all_parameters_are_complained_about_at_once() {
        let email = Unchecked::parse_from_parameter("ada").ok();
        let q = Unchecked::parse_from_parameter("a\0").ok();
        let problem = PageQuery::check(Some(Limit(0)), None, email, q).unwrap_err();
        let text = format!("{problem:?}");
        assert!(["/limit", "/email", "/q"].iter().all(|pointer| text.contains(pointer)), "{text}");
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let email = Unchecked::parse_from_parameter("a+b@example.org").ok();
        let q = Unchecked::parse_from_parameter("Ö &=>").ok();
        let query = PageQuery::check(Some(Limit(5)), None, email, q).unwrap();
        assert_eq!(
            query.continued(Cursor(Uuid::nil())),
            "/users?limit=5&after=AAAAAAAAAAAAAAAAAAAAAA&email=a%2Bb%40example.org&q=%C3%96%20%26%3D%3E"
        );
    }

    #[test]
    fn what_the_document_describes_is_a_cursor_and_nothing_else_is() {
        hold("[A-Za-z0-9_-]{21}[AQgw]", |text| {
            assert_eq!(Cursor::decode(&text).map(Cursor::encode), Some(text));
        });
        hold("[A-Za-z0-9_-]{21}[^AQgw]|[ -~]{0,21}|[ -~]{23,40}", |text| {
            assert_eq!(Cursor::decode(&text), None, "{text:?}");
        });
    }
}

//! `Pii` as a member of an answer of the API: described and written like the value itself.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use super::Pii;

impl<T: Type> Type for Pii<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;
    type RawValueType = T::RawValueType;
    type RawElementValueType = T::RawElementValueType;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        self.expose().as_raw_value()
    }

    fn raw_element_iter<'a>(
        &'a self,
    ) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        self.expose().raw_element_iter()
    }
}

impl<T: ToJSON> ToJSON for Pii<T> {
    fn to_json(&self) -> Option<Value> {
        self.expose().to_json()
    }
}

/// The derive of `Object` wants it of every member.
impl<T: ParseFromJSON> ParseFromJSON for Pii<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        T::parse_from_json(value).map(Self::new).map_err(ParseError::propagate)
    }
}

//! A reader of JSON objects that is stricter than most: a key that stands there twice is an error, where
//! others take the first value or the last one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The members of a JSON object; fails for anything else, and where two members have one key.
#[track_caller]
pub fn object(text: &str) -> Map<String, Value> {
    match serde_json::from_str::<Unique>(text) {
        Ok(unique) => unique.0,
        Err(error) => panic!("{error}: {text}"),
    }
}

struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Unique(Map::new()))
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some((key, value)) = members.next_entry::<String, Value>()? {
            if self.0.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("{key} stands there twice")));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_come_in_their_order() {
        let members = object(r#"{"b":1,"a":null}"#);
        assert_eq!(members.keys().collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    #[should_panic(expected = "a stands there twice")]
    fn a_key_stands_there_once() {
        object(r#"{"a":1,"a":1}"#);
    }
}

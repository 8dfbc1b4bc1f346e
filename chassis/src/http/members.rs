//! Reads a body as a JSON object in which no name occurs twice.
//!
//! RFC 8259, section 4, leaves it open which of two members of one name counts, and parsers differ: what
//! a gateway has checked would not be what is done here. So each is refused, at every depth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::input::{ERRORS_MAX, bad, shown};
use crate::problem::{FieldError, Problem};

/// Makes a [`Value`] and notes the repeated members in it.
struct Reader<'a>(&'a mut Vec<Repeated>);

/// A repeated member: its name and those of what it is in, innermost first.
struct Repeated(Vec<String>);

/// The members of a body that must be a JSON object.
pub(super) fn members(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Err(bad("the body is empty; a JSON object is expected"));
    }
    let mut repeated = Vec::new();
    let value = read(body, &mut repeated)
        .map_err(|error| bad(format!("the body is not valid JSON: {error}")))?;
    match value {
        _ if !repeated.is_empty() => {
            Err(Problem::invalid_fields(repeated.into_iter().map(Repeated::complaint).collect()))
        }
        Value::Object(members) => Ok(members),
        _ => Err(Problem::invalid_fields(vec![FieldError {
            pointer: String::new(),
            detail: "must be an object".to_owned(),
        }])),
    }
}

/// `serde_json` itself ends what is nested more than 128 deep, before the stack does.
fn read(body: &[u8], repeated: &mut Vec<Repeated>) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Reader(repeated).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

impl Reader<'_> {
    /// Reads on, and says of what was found repeated in there that it is below `place`.
    fn below<T, E>(
        &mut self,
        read: impl FnOnce(Reader<'_>) -> Result<T, E>,
        place: impl FnOnce() -> String,
    ) -> Result<T, E> {
        let before = self.0.len();
        let value = read(Reader(self.0))?;
        if self.0.len() > before {
            let place = place();
            self.0[before..].iter_mut().for_each(|member| member.0.push(place.clone()));
        }
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) =
            self.below(|reader| elements.next_element_seed(reader), || values.len().to_string())?
        {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = self.below(|reader| members.next_value_seed(reader), || shown(&name))?;
            match map.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(first) if self.0.len() < ERRORS_MAX => {
                    self.0.push(Repeated(vec![shown(first.key())]));
                }
                Entry::Occupied(_) => {}
            }
        }
        Ok(Value::Object(map))
    }
}

impl Repeated {
    fn complaint(self) -> FieldError {
        let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        FieldError {
            pointer: self.0.iter().rev().map(escaped).collect(),
            detail: "is given more than once".to_owned(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn pointers(body: &str) -> Vec<String> {
        let mut repeated = Vec::new();
        read(body.as_bytes(), &mut repeated).unwrap();
        repeated.into_iter().map(|member| member.complaint().pointer).collect()
    }

    #[test]
    fn a_name_that_occurs_twice_is_found_wherever_it_is() {
        for (body, found) in [
            (r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#, &[][..]),
            (r#"{"a":1,"a":1}"#, &["/a"]),
            (r#"{"a":1,"\u0061":null}"#, &["/a"]),
            (r#"{"a":1,"a":1,"a":1}"#, &["/a", "/a"]),
            (r#"{"b":{"x":[0,{"a":1,"a":2}]},"c":{"d":1,"d":2}}"#, &["/b/x/1/a", "/c/d"]),
            (r#"{"a/b":{"~":1,"~":1}}"#, &["/a~1b/~0"]),
            (r#"[[{"":1,"":2}]]"#, &["/0/0/"]),
        ] {
            assert_eq!(pointers(body), found, "{body}");
        }
    }

    #[test]
    fn everything_else_reads_as_serde_json_reads_it() {
        for body in [
            r#"{"a":[null,true,-1,18446744073709551615,1.5e3,"\u0000\ud83e\udd80"],"b":{}}"#,
            "[]",
            "1e400",
            "{\"a\":1,}",
            "nul",
            "\"\u{7}\"",
            "{} {}",
            &"[".repeat(200),
        ] {
            let ours = read(body.as_bytes(), &mut Vec::new()).map_err(|error| error.to_string());
            let theirs = serde_json::from_str::<Value>(body).map_err(|error| error.to_string());
            assert_eq!(ours, theirs, "{body}");
        }
    }

    #[test]
    fn a_body_of_repetitions_is_not_answered_with_as_many_complaints() {
        let body = format!("{{{}\"a\":1}}", r#""a":1,"#.repeat(10_000));
        assert_eq!(pointers(&body).len(), ERRORS_MAX);
    }
}

//! The types a key can have: how they are read from TOML and from text, and written as TOML. Types of one module's own
//! implement [`Value`] there.

mod units;

use super::{IpNet, Toml};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// The type of a key. [`text_value!`](crate::text_value!) implements it for types with `FromStr` and `Display`.
pub trait Value: Sized {
    /// Whether the value must never be seen, and may be given as the path of a file.
    const SECRET: bool = false;

    /// What is allowed; completes the sentence "expected …".
    fn allowed() -> String;

    /// The value, or none where `raw` is not allowed.
    fn read(raw: Raw<'_>) -> Option<Self>;

    /// The value of a secret's file. A type that wants to look there again remembers the path.
    fn read_file(text: &str, _path: &Path) -> Option<Self> {
        Self::read(Raw::Text(text))
    }

    /// The value as TOML that [`read`](Self::read) turns into the same value; none where it is unset.
    fn render(&self) -> Option<Toml>;
}

/// A value as it was given.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// Of an environment variable or a secret's file.
    Text(&'a str),
    /// Of the settings file.
    Toml(&'a DeValue<'a>),
}

impl<'a> Raw<'a> {
    /// The text, where it was given as text or as a TOML string.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }

    /// What kind of value it is, for a secret that must not be shown.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Text("") => "nothing",
            Self::Text(_) => "text",
            Self::Toml(value) if value.as_str() == Some("") => "nothing",
            Self::Toml(value) => value.type_str(),
        }
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Toml(value @ DeValue::String(_)) => f.write_str(&literal(value)),
            Self::Toml(value) => write!(f, "{} {}", value.type_str(), literal(value)),
        }
    }
}

impl Value for bool {
    fn allowed() -> String {
        "true or false".to_owned()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Text(text) => text.parse().ok(),
            Raw::Toml(value) => value.as_bool(),
        }
    }

    fn render(&self) -> Option<Toml> {
        Some((*self).into())
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn allowed() -> String {
                // TOML's integers are 64 bits with a sign.
                format!("a whole number from 0 to {}", i64::try_from(Self::MAX).unwrap_or(i64::MAX))
            }

            fn read(raw: Raw<'_>) -> Option<Self> {
                Self::try_from(whole_number(raw)?).ok()
            }

            fn render(&self) -> Option<Toml> {
                i64::try_from(*self).ok().map(Toml::Integer)
            }
        }
    )* };
}

whole_numbers!(u16, u32, u64, usize);

crate::text_value!(String, "text");
crate::text_value!(SocketAddr, "a socket address such as \"127.0.0.1:8080\"");

impl Value for PathBuf {
    fn allowed() -> String {
        "a path".to_owned()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.text().filter(|text| !text.is_empty()).map(Self::from)
    }

    fn render(&self) -> Option<Toml> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

impl Value for IpNet {
    fn allowed() -> String {
        "a network such as \"10.0.0.0/8\"".to_owned()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        let text = raw.text()?;
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
    }

    fn render(&self) -> Option<Toml> {
        Some(self.to_string().into())
    }
}

impl<T: Value> Value for Option<T> {
    const SECRET: bool = T::SECRET;

    fn allowed() -> String {
        T::allowed()
    }

    fn read(raw: Raw<'_>) -> Option<Self> {
        T::read(raw).map(Some)
    }

    fn read_file(text: &str, path: &Path) -> Option<Self> {
        T::read_file(text, path).map(Some)
    }

    fn render(&self) -> Option<Toml> {
        self.as_ref().and_then(T::render)
    }
}

impl<T: Value> Value for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn allowed() -> String {
        format!("a list of which each item is {}", T::allowed())
    }

    /// Text is a TOML array, or items separated by commas.
    fn read(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(value) => items(value),
            Raw::Text(text) => match DeValue::parse(text) {
                Ok(value) if value.get_ref().is_array() => items(value.get_ref()),
                _ => text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| T::read(Raw::Text(item)))
                    .collect(),
            },
        }
    }

    fn render(&self) -> Option<Toml> {
        Some(Toml::Array(self.iter().filter_map(T::render).collect()))
    }
}

fn items<T: Value>(value: &DeValue<'_>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|item| T::read(Raw::Toml(item.get_ref()))).collect()
}

fn whole_number(raw: Raw<'_>) -> Option<i64> {
    match raw {
        Raw::Text(text) => text.parse().ok(),
        Raw::Toml(value) => value
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok()),
    }
}

/// One line, whatever the value is.
fn literal(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Array(array) => {
            format!(
                "[{}]",
                array.iter().map(|item| literal(item.get_ref())).collect::<Vec<_>>().join(", ")
            )
        }
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::settings::{Environment, Secret};

    fn from_text<T: Value>(text: &str) -> Option<T> {
        T::read(Raw::Text(text))
    }

    fn from_toml<T: Value>(text: &str) -> Option<T> {
        T::read(Raw::Toml(DeValue::parse(text).unwrap().get_ref()))
    }

    fn rendered(value: &impl Value) -> String {
        value.render().unwrap().to_string()
    }

    #[test]
    fn numbers_keep_to_their_range_and_to_the_types_of_toml() {
        assert_eq!(from_text("65535"), Some(u16::MAX));
        assert_eq!(from_text::<u16>("65536"), None);
        assert_eq!(from_text::<u32>("-1"), None);
        assert_eq!(from_toml("0x10"), Some(16_usize));
        assert_eq!(from_toml("1_000"), Some(1000_u64));
        assert_eq!(from_toml::<u64>("\"5\""), None);
        assert_eq!(from_toml::<u64>("5.0"), None);
        assert_eq!(from_text("true"), Some(true));
        assert_eq!(from_toml::<bool>("\"true\""), None);
        assert_eq!(u16::allowed(), "a whole number from 0 to 65535");
    }

    #[test]
    fn lists_are_toml_arrays_or_separated_by_commas() {
        let networks: Vec<IpNet> = from_text("10.0.0.0/8, ::1").unwrap();

        assert_eq!(rendered(&networks), r#"["10.0.0.0/8", "::1/128"]"#);
        assert_eq!(from_text(r#"["10.0.0.0/8", "::1"]"#), Some(networks.clone()));
        assert_eq!(from_toml(r#"["10.0.0.0/8", "::1"]"#), Some(networks));
        assert_eq!(from_text("[::1]:80").map(|list: Vec<SocketAddr>| list.len()), Some(1));
        assert_eq!(from_text::<Vec<IpNet>>("10.0.0.0/8,x"), None);
        assert_eq!(from_toml::<Vec<IpNet>>("\"10.0.0.0/8\""), None);
        assert_eq!(from_toml::<Vec<u16>>("[1, \"2\"]"), None);
    }

    #[test]
    fn words_are_one_of_those_listed() {
        assert_eq!(from_text("production"), Some(Environment::Production));
        assert_eq!(from_text::<Environment>("Production"), None);
        assert_eq!(Environment::allowed(), r#"one of "development", "production""#);
        assert_eq!(rendered(&Environment::Development), "\"development\"");
    }

    #[test]
    fn text_of_any_kind_is_read_back() {
        for text in
            ["", "plain", "it's \"quoted\" \\ # é", "two\nlines\r\n", "\u{1b}[0m", "'''\"\"\""]
        {
            let toml = rendered(&text.to_owned());
            assert_eq!(from_toml::<String>(&toml).as_deref(), Some(text), "{toml}");
        }
    }

    #[test]
    fn an_empty_path_or_secret_is_not_allowed() {
        assert_eq!(from_text::<PathBuf>(""), None);
        assert!(from_text::<Secret>("").is_none());
        assert_eq!(from_text::<Option<PathBuf>>("a/b"), Some(Some(PathBuf::from("a/b"))));
    }

    #[test]
    fn what_was_given_is_shown_on_one_line() {
        let shown = |text| Raw::Toml(DeValue::parse(text).unwrap().get_ref()).to_string();

        assert_eq!(shown("5"), "integer 5");
        assert_eq!(shown("\"a\\nb\""), r#""a\nb""#);
        assert_eq!(shown("[1, 'x', 2.5, true]"), r#"array [1, "x", 2.5, true]"#);
        assert_eq!(shown("1979-05-27"), "datetime 1979-05-27");
        assert_eq!(shown("{ a = 1 }"), "table {…}");
        assert_eq!(Raw::Text("a\nb").to_string(), r#""a\nb""#);
    }
}

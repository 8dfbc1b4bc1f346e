//! Reads one variable after the other. By the specification an empty one is unset, names of values
//! are taken in any case, and only `true` is true.

use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::Ignored;
use crate::settings::Environ;

pub(super) struct Reader<'a> {
    environ: &'a Environ,
    pub(super) ignored: Vec<Ignored>,
    /// What was asked for, to hold `catalogue::variables` against.
    #[cfg(test)]
    pub(super) asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environ: &'a Environ) -> Self {
        Self {
            environ,
            ignored: Vec::new(),
            #[cfg(test)]
            asked: std::cell::RefCell::default(),
        }
    }

    /// The one way to a variable.
    pub(super) fn get(&self, name: &'static str) -> Option<&'a str> {
        #[cfg(test)]
        self.asked.borrow_mut().insert(name);
        self.environ.get(name)
    }

    pub(super) fn at_least_one<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr + Default + PartialEq,
    {
        let number = self.number(name)?;
        if number == T::default() {
            self.ignore(name, "allowed is a number from 1");
            return None;
        }
        Some(number)
    }

    /// True only for `true`, as the specification says of all booleans.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let text = self.lowercase(name);
        if !matches!(text.as_deref(), None | Some("true" | "false")) {
            self.ignore(name, "allowed are true, false");
        }
        text.as_deref() == Some("true")
    }

    /// The first of the variables that is a number.
    pub(super) fn first<T: FromStr>(&mut self, names: [&'static str; 2]) -> Option<T> {
        names.into_iter().find_map(|name| self.number(name))
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let parsed = self.get(name)?.trim().parse().ok();
        if parsed.is_none() {
            self.ignore(name, "allowed is a number");
        }
        parsed
    }

    pub(super) fn path(&self, names: [&'static str; 2]) -> Option<PathBuf> {
        let given = names.into_iter().find_map(|name| self.get(name));
        given.map(PathBuf::from)
    }

    pub(super) fn lowercase(&self, name: &'static str) -> Option<String> {
        self.get(name).map(|text| text.trim().to_ascii_lowercase())
    }

    /// Told once, also where both signals read the variable.
    pub(super) fn ignore(&mut self, variable: &'static str, reason: &str) {
        let ignored = Ignored { variable, reason: reason.to_owned() };
        if !self.ignored.contains(&ignored) {
            self.ignored.push(ignored);
        }
    }
}

pub(super) fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty())
}

pub(super) fn pair(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    Some((decode(key.trim())?, decode(value.trim())?)).filter(|(key, _)| !key.is_empty())
}

fn decode(text: &str) -> Option<String> {
    let broken = text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

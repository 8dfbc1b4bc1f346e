//! A snapshot of environment variables, so that nothing else reads the process's own and tests bring theirs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Environment variables as they stood at one moment.
///
/// An empty value counts as unset, everywhere: OpenTelemetry's rule for its variables ("Parsing empty value"), and what
/// a template that leaves a variable blank means.
#[derive(Clone, Default)]
pub struct Environ(BTreeMap<String, Option<String>>);

impl Environ {
    /// The variables of this process.
    pub fn process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of a variable; none where it is unset, empty or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().filter(|value| !value.is_empty())
    }

    /// The variables that are set, by name; a value that is not UTF-8 is none.
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let variables = self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        variables.filter(|(_, value)| *value != Some(""))
    }
}

impl FromIterator<(OsString, OsString)> for Environ {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let text = |(name, value): (OsString, OsString)| {
            (name.to_string_lossy().into_owned(), value.into_string().ok())
        };
        Self(variables.into_iter().map(text).collect())
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Environ {
    fn from(variables: [(K, V); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect())
    }
}

impl fmt::Debug for Environ {
    // The names alone: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environ = Environ::from([("OTEL_SDK_DISABLED", ""), ("OTEL_SERVICE_NAME", "users")]);

        assert_eq!(environ.get("OTEL_SDK_DISABLED"), None);
        assert_eq!(environ.get("OTEL_SERVICE_NAME"), Some("users"));
        assert_eq!(environ.get("OTEL_PROPAGATORS"), None);
        assert_eq!(environ.given().collect::<Vec<_>>(), [("OTEL_SERVICE_NAME", Some("users"))]);
    }

    #[test]
    fn debug_shows_names_only() {
        let environ = Environ::from([("APP_OPS__TOKEN", "hunter2")]);

        assert_eq!(format!("{environ:?}"), "{\"APP_OPS__TOKEN\"}");
    }
}

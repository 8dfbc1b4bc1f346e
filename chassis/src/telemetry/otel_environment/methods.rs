//! Which HTTP methods are told by name: the override that the HTTP conventions ask for.

use super::reader::{Reader, members};
use crate::telemetry::methods::KnownMethods;

/// The longest registered method has 17 characters.
const LENGTH: usize = 32;

impl Reader<'_> {
    /// Takes the place of all that are known by themselves; case matters (registry/attributes/http).
    pub(super) fn known_methods(&mut self) -> KnownMethods {
        const NAME: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
        let Some(text) = self.get(NAME) else {
            return KnownMethods::default();
        };
        let methods: Vec<_> = members(text).collect();
        let count = 1..=KnownMethods::MOST;
        if !count.contains(&methods.len()) || !methods.iter().all(|method| is_method(method)) {
            self.ignore(NAME, "allowed are up to 32 methods, separated by commas");
            return KnownMethods::default();
        }
        KnownMethods::new(methods)
    }
}

/// RFC 9110: a method is a token.
fn is_method(text: &str) -> bool {
    text.len() <= LENGTH && text.parse::<hyper::Method>().is_ok()
}

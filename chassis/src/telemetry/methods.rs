//! The HTTP methods that spans, metrics and lines name; any other is `_OTHER`, because callers can make
//! up as many as they like.

use std::sync::Arc;

/// Those of OpenTelemetry's HTTP conventions.
const STANDARD: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// What every other method is called.
pub(crate) const OTHER: &str = "_OTHER";

/// The known methods of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct KnownMethods {
    names: Arc<[Arc<str>]>,
    other: Arc<str>,
}

impl KnownMethods {
    /// The most there may be: each multiplies the series of the request metrics.
    pub(super) const MOST: usize = 32;

    /// These and no others.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(Arc::from).collect();
        Self { names, other: Arc::from(OTHER) }
    }

    /// The name of a method, which is case-sensitive; `None` where it is not known.
    pub(crate) fn find(&self, method: &str) -> Option<Arc<str>> {
        self.names.iter().find(|name| ***name == *method).cloned()
    }

    /// The name of those that are not known.
    pub(crate) fn other(&self) -> Arc<str> {
        Arc::clone(&self.other)
    }
}

impl Default for KnownMethods {
    fn default() -> Self {
        Self::new(STANDARD)
    }
}

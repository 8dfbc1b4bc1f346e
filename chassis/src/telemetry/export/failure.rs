//! Why a batch was not taken, in words that hold no secret, and whether to try again.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;

use crate::causes;

/// Characters of a text that are kept for a log line.
const TEXT_MAX: usize = 200;

/// An attempt that did not succeed. What the collector answers in words is left out: it may quote
/// the credentials that it was sent.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ExportError,
    pub(super) text: String,
    pub(super) retry: Retry,
}

/// What went wrong, for people who may not know where telemetry goes; the log has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportError {
    /// There was no connection, or it broke.
    Unreachable,
    /// There was no answer in time.
    Timeout,
    /// The answer was not that of a collector that takes items.
    Refused,
    /// The collector took a batch, but not all of its items.
    Rejected,
}

/// What OTLP's protocol says of another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    Soon,
    /// As the collector asks.
    After(Duration),
}

impl Failure {
    pub(super) fn new(kind: ExportError, text: impl Into<String>, retry: Retry) -> Self {
        let mut text = text.into();
        if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
            text.truncate(at);
        }
        Self { kind, text, retry }
    }

    /// The connection could not be made, or broke.
    pub(super) fn network(error: &(dyn Error + 'static)) -> Self {
        Self::new(ExportError::Unreachable, causes::chain(error), Retry::Soon)
    }

    /// An answer that is not the one hoped for.
    pub(super) fn refused(text: impl Into<String>, retry: Retry) -> Self {
        Self::new(ExportError::Refused, text, retry)
    }

    pub(super) fn timeout(limit: Duration) -> Self {
        let text = format!("no answer within {}", humantime::format_duration(limit));
        Self::new(ExportError::Timeout, text, Retry::Soon)
    }
}

//! Log lines: what is logged, in which format, where to. One event is one line, in JSON, as text for
//! a terminal, or as syslog. What a request logs about itself is decided in `http::observe`.

mod destination;
mod escape;
mod fields;
mod file;
mod filter;
mod format;
mod losses;
mod queue;
mod records;
mod writer;

use std::path::PathBuf;

use chrono::Utc;
use prometheus::IntCounter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

pub(super) use self::destination::{Destination, stdout};
pub(crate) use self::filter::parse as parse_filter;
pub use self::filter::{FilterChange, FilterNotSet, FilterStatus, InvalidFilter, LogFilter};
pub(super) use self::records::Records;
use super::Metrics;
use crate::settings::Report;

crate::one_of! {
    /// How a line is written to stdout.
    pub enum LogFormat {
        /// Pretty on a terminal, else JSON.
        Auto = "auto",
        /// One JSON object a line.
        Json = "json",
        /// Text for people, in colours on a terminal (unless `NO_COLOR` is set).
        Pretty = "pretty",
        /// RFC 5424, one message a line.
        Syslog = "syslog",
    }
}

crate::settings! {
    /// What is logged, and how.
    pub struct LogSettings {
        /// Filter in the syntax of `EnvFilter`, with a level in it, for example `info,belvedere=debug`.
        pub level: String = "info".to_owned(),
        /// How a line is written to stdout.
        pub format: LogFormat = LogFormat::Auto,
        /// Also write JSON lines to this file. Each day (UTC) the file of the day before gets its
        /// date as an extension; old files are the operator's to remove. A file that was moved or
        /// removed is made anew.
        pub file: Option<PathBuf> = None,
    }
}

impl LogSettings {
    /// Rejects a `log.level` that is not a filter.
    pub fn check(&self, report: &mut Report) {
        if let Err(error) = filter::parse(&self.level) {
            report.reject_hinting("log.level", filter::ALLOWED, error.hint());
        }
    }
}

/// Makes each event one line and one log record, at once and on the thread that it happens on.
pub(super) struct LogLayer {
    destination: Destination,
    records: Option<Records>,
    // Ready before the first line: finding a label takes longer than counting.
    counters: [IntCounter; 5],
}

impl LogLayer {
    pub(super) fn new(
        metrics: &Metrics,
        destination: Destination,
        records: Option<Records>,
    ) -> Self {
        let counter = |level| metrics.log_events.with_label_values(&[level]);
        let counters = ["error", "warn", "info", "debug", "trace"].map(counter);
        Self { destination, records, counters }
    }

    fn counter(&self, level: Level) -> &IntCounter {
        let [error, warn, info, debug, trace] = &self.counters;
        match level {
            Level::ERROR => error,
            Level::WARN => warn,
            Level::INFO => info,
            Level::DEBUG => debug,
            Level::TRACE => trace,
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.counter(*event.metadata().level()).inc();
        let now = Utc::now();
        self.destination.write(event, now);
        if let Some(records) = &self.records {
            records.push(event, now);
        }
    }
}

#[cfg(test)]
mod tests;

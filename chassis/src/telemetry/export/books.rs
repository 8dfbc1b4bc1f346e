//! The books of one signal: what was exported and what was lost, in metrics, in `/health`, and in
//! the log, where a collector that is down for a day must not tell more than one line a minute.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounter};
use tracing::Dispatch;
use tracing::dispatcher::WeakDispatch;

use super::Signal;
use super::failure::{ExportError, Failure};
use crate::telemetry::Metrics;

/// At least so much time is between two warnings.
const WARN_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(in crate::telemetry) struct Books {
    signal: Signal,
    exported: IntCounter,
    dropped: IntCounter,
    failed: IntCounter,
    last_success: Gauge,
    state: Mutex<State>,
    // Weak, because the dispatch owns the layers, which own this.
    log: OnceLock<WeakDispatch>,
}

/// Where it stands, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) progress: Progress,
    pub(super) last_success: Option<SystemTime>,
    pub(super) error: Option<ExportError>,
    /// The words of the current failure.
    text: String,
    /// Whether the log knows of the current failure.
    is_told: bool,
    warned: Option<Instant>,
    /// Items lost when the failure began, and when the last warning was written.
    lost_before: u64,
    lost_told: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    #[default]
    Idle,
    Delivering,
    Failing,
}

/// A line to be written.
#[derive(Debug, PartialEq)]
enum Line {
    Failing { error: String, lost: u64 },
    Lossy { lost: u64 },
    Recovered { lost: u64 },
}

impl Books {
    /// All series are there from the start, so that the first loss is an increase.
    pub(super) fn new(signal: Signal, metrics: &Metrics) -> Self {
        let label = &[signal.as_str()];
        Self {
            signal,
            exported: metrics.telemetry_exported.with_label_values(label),
            dropped: metrics.telemetry_dropped.with_label_values(label),
            failed: metrics.telemetry_failed.with_label_values(label),
            last_success: metrics.telemetry_last_success.with_label_values(label),
            state: Mutex::default(),
            log: OnceLock::new(),
        }
    }

    /// Tells failures to the log of the same telemetry; the first dispatch stays.
    pub(super) fn report_to(&self, dispatch: &Dispatch) {
        let _ = self.log.set(dispatch.downgrade());
    }

    /// An item for which there was no room. Told by [`Self::review`], not here: this is the hot path.
    pub(in crate::telemetry) fn dropped(&self) {
        self.dropped.inc();
    }

    /// The collector took a batch, all of it or all but some items.
    pub(super) fn accepted(&self, items: usize, rejected: u64, now: Instant) {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        let rejected = rejected.min(items);
        self.exported.inc_by(items - rejected);
        self.failed.inc_by(rejected);
        let time = SystemTime::now();
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_success.set(since_epoch.as_secs_f64());
        let mut state = self.state();
        state.last_success = Some(time);
        if rejected > 0 {
            state.error = Some(ExportError::Rejected);
        }
        let line = state.recover(self.lost());
        drop(state);
        self.tell(line);
        self.review(now);
    }

    /// A batch is lost.
    pub(super) fn refused(&self, items: usize, failure: Failure, now: Instant) {
        let before = self.lost();
        self.lose(items);
        let mut state = self.state();
        state.error = Some(failure.kind);
        state.text = failure.text;
        if state.progress != Progress::Failing {
            state.progress = Progress::Failing;
            state.is_told = false;
            state.lost_before = before;
        }
        drop(state);
        self.review(now);
    }

    /// Counts items that the collector did not take.
    pub(super) fn lose(&self, items: usize) {
        self.failed.inc_by(u64::try_from(items).unwrap_or(u64::MAX));
    }

    /// Writes the warning that is due, if one is.
    pub(super) fn review(&self, now: Instant) {
        let line = self.state().warn(self.lost(), now);
        self.tell(line);
    }

    /// The end of it: what could not be delivered is told once more.
    pub(super) fn conclude(&self, lost: u64) {
        let what = self.signal.items();
        self.log(|| tracing::warn!(lost, "the last {what} were not delivered"));
    }

    pub(super) fn is_failing(&self) -> bool {
        self.state().progress == Progress::Failing
    }

    /// Items that were given up or not taken.
    pub(super) fn lost(&self) -> u64 {
        self.failed.get() + self.dropped.get()
    }

    /// Exported, dropped, failed.
    pub(super) fn counts(&self) -> [u64; 3] {
        [&self.exported, &self.dropped, &self.failed].map(IntCounter::get)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: Option<Line>) {
        let what = self.signal.items();
        self.log(|| match line {
            Some(Line::Failing { error, lost }) => {
                tracing::warn!(error, lost, "{what} cannot be exported");
            }
            Some(Line::Lossy { lost }) => tracing::warn!(lost, "{what} were lost"),
            Some(Line::Recovered { lost }) => tracing::info!(lost, "{what} are exported again"),
            None => {}
        });
    }

    fn log(&self, line: impl FnOnce()) {
        if let Some(dispatch) = self.log.get().and_then(WeakDispatch::upgrade) {
            tracing::dispatcher::with_default(&dispatch, line);
        }
    }
}

impl State {
    fn recover(&mut self, lost: u64) -> Option<Line> {
        let was_failing = self.progress == Progress::Failing;
        self.progress = Progress::Delivering;
        if !was_failing || !self.is_told {
            return None;
        }
        self.lost_told = lost;
        Some(Line::Recovered { lost: lost - self.lost_before })
    }

    fn warn(&mut self, lost: u64, now: Instant) -> Option<Line> {
        let is_failing = self.progress == Progress::Failing;
        let is_due = self.warned.is_none_or(|at| now.duration_since(at) >= WARN_EVERY);
        if !is_due || (!is_failing && lost == self.lost_told) {
            return None;
        }
        self.warned = Some(now);
        let since = lost - self.lost_told;
        self.lost_told = lost;
        if !is_failing {
            return Some(Line::Lossy { lost: since });
        }
        self.is_told = true;
        Some(Line::Failing { error: self.text.clone(), lost: since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(lost_before: u64) -> State {
        let text = "refused".to_owned();
        State { progress: Progress::Failing, text, lost_before, ..State::default() }
    }

    fn line(lost: u64) -> Line {
        Line::Failing { error: "refused".to_owned(), lost }
    }

    #[test]
    fn a_lasting_failure_is_told_once_a_minute_with_what_was_lost_since() {
        let (mut state, start) = (failing(0), Instant::now());
        assert_eq!(state.warn(5, start), Some(line(5)));
        assert_eq!(state.warn(50, start + WARN_EVERY / 2), None);
        assert_eq!(state.warn(55, start + WARN_EVERY), Some(line(50)));
        assert_eq!(state.recover(60), Some(Line::Recovered { lost: 60 }));
        assert_eq!(state.warn(60, start + 3 * WARN_EVERY), None);
    }

    #[test]
    fn what_comes_and_goes_is_told_no_more_often() {
        let (mut state, start) = (failing(0), Instant::now());
        assert!(state.warn(1, start).is_some());
        assert!(state.recover(1).is_some());
        state.progress = Progress::Failing;
        state.is_told = false;
        assert_eq!(state.warn(2, start + WARN_EVERY / 2), None);
        assert_eq!(state.recover(2), None);
    }

    #[test]
    fn items_that_found_no_room_are_told_also_while_the_collector_takes_others() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.warn(0, start), None);
        assert_eq!(state.warn(7, start), Some(Line::Lossy { lost: 7 }));
        assert_eq!(state.warn(9, start), None);
        assert_eq!(state.warn(9, start + WARN_EVERY), Some(Line::Lossy { lost: 2 }));
    }
}

//! Lines that an output lost: counted at once, told on the other outputs while it lasts, and told
//! everywhere once the output works again.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing::Dispatch;
use tracing::dispatcher::{WeakDispatch, with_default};

/// A broken output is worth one line a minute: it stays broken until somebody comes.
const TELL_EVERY: Duration = Duration::from_mins(1);

thread_local! {
    static MUTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What one output lost.
pub(super) struct Losses {
    output: &'static str,
    dropped: IntCounter,
    /// Lines lost since the output last worked.
    lost: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Lines out of `lost` that were told.
    lines: u64,
    at: Option<Instant>,
}

/// What there is to tell, with the number of lines.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    /// Lost since this was told last.
    Lost(u64),
    /// Lost until the output worked again.
    Recovered(u64),
}

/// The losses of all outputs, and the service that they are told in.
pub(super) struct Reporter {
    losses: Vec<Arc<Losses>>,
    dispatch: OnceLock<WeakDispatch>,
}

impl Losses {
    pub(super) fn new(output: &'static str, dropped: IntCounter) -> Self {
        Self { output, dropped, lost: AtomicU64::new(0), told: Mutex::default() }
    }

    pub(super) fn add(&self, lines: u64) {
        self.dropped.inc_by(lines);
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// What is to be told now, which counts as told.
    fn due(&self, recovered: bool, now: Instant) -> Option<Notice> {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == 0 {
            return None;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = told.at.is_none_or(|at| now.duration_since(at) >= TELL_EVERY);
        if recovered && (rested || told.lines > 0) {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
            *told = Told { lines: 0, at: Some(now) };
            return Some(Notice::Recovered(lost));
        }
        if recovered || !rested || lost == told.lines {
            return None;
        }
        let fresh = lost - told.lines;
        *told = Told { lines: lost, at: Some(now) };
        Some(Notice::Lost(fresh))
    }
}

impl Reporter {
    pub(super) fn new(losses: Vec<Arc<Losses>>) -> Self {
        Self { losses, dispatch: OnceLock::new() }
    }

    /// Until then nothing is told.
    pub(super) fn report_to(&self, dispatch: &Dispatch) {
        // The first one stays; outputs belong to one service.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    /// Tells what there is to tell; `working` is the output that has just written all it was given.
    ///
    /// Each output's thread tells the losses of all of them: that of a blocked output cannot.
    pub(super) fn review(&self, working: Option<&str>) {
        for losses in &self.losses {
            let recovered = working == Some(losses.output);
            if let Some(notice) = losses.due(recovered, Instant::now()) {
                self.tell(losses.output, &notice);
            }
        }
    }

    fn tell(&self, output: &'static str, notice: &Notice) {
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else {
            return;
        };
        with_default(&dispatch, || match notice {
            Notice::Lost(lines) => {
                // What loses lines would lose this one too, and count it.
                MUTED.set(Some(output));
                tracing::warn!(log.output = output, log.lines_lost = lines, "log lines were lost");
                MUTED.set(None);
            }
            // As loud as the trouble was: on a single output it is the first that anybody hears.
            Notice::Recovered(lines) => tracing::warn!(
                log.output = output,
                log.lines_lost = lines,
                "log lines are written again"
            ),
        });
    }
}

/// Whether this thread is telling about the losses of that output.
pub(super) fn is_muted(output: &str) -> bool {
    MUTED.try_with(Cell::get).ok().flatten() == Some(output)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn losses_are_told_once_a_minute_and_when_they_are_over() {
        let losses = Losses::new("stdout", IntCounter::new("lost", "Lost.").unwrap());
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(losses.due(false, start), None);
        losses.add(3);
        assert_eq!(losses.due(false, start), Some(Notice::Lost(3)));
        losses.add(4);
        assert_eq!(losses.due(false, after(59)), None);
        assert_eq!(losses.due(false, after(60)), Some(Notice::Lost(4)));
        assert_eq!(losses.due(false, after(200)), None, "nothing new");
        assert_eq!(losses.due(true, after(201)), Some(Notice::Recovered(7)));
        assert_eq!(losses.due(true, after(300)), None);
        assert_eq!(losses.dropped.get(), 7);
    }

    #[test]
    fn an_output_that_comes_and_goes_is_told_of_once_a_minute() {
        let losses = Losses::new("file", IntCounter::new("lost", "Lost.").unwrap());
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        losses.add(1);
        assert_eq!(losses.due(true, start), Some(Notice::Recovered(1)));
        losses.add(1);
        assert_eq!(losses.due(false, after(1)), None);
        assert_eq!(losses.due(true, after(2)), None);
        losses.add(1);
        assert_eq!(losses.due(true, after(60)), Some(Notice::Recovered(2)));
    }
}

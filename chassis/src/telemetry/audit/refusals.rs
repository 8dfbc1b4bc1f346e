//! What strangers can cause any number of times: each one is counted, and one line a minute tells of
//! several. What the line says is in `audit`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

const PAUSE_BETWEEN_LINES: Duration = Duration::from_mins(1);

/// The refusals of one kind.
pub(super) struct Refusals {
    counter: IntCounter,
    untold: Mutex<Untold>,
}

#[derive(Default)]
struct Untold {
    count: u64,
    told_at: Option<Instant>,
}

impl Refusals {
    /// `counter` may be that of other kinds as well.
    pub(super) fn new(counter: IntCounter) -> Self {
        Self { counter, untold: Mutex::default() }
    }

    /// Counts one; gives how many there were since the last line when it is time for another.
    pub(super) fn count(&self, now: Instant) -> Option<u64> {
        self.counter.inc();
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).add(now)
    }
}

impl Untold {
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let rested = self.told_at.is_none_or(|at| now.duration_since(at) >= PAUSE_BETWEEN_LINES);
        rested.then(|| {
            self.told_at = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn a_line_a_minute_tells_of_all_since_the_one_before() {
        let counter = IntCounter::new("refusals", "Refusals.").unwrap();
        let refusals = Refusals::new(counter.clone());
        let start = Instant::now();
        let told = [0, 1, 59, 60, 61, 500, 501].map(|second| {
            let at = start + Duration::from_secs(second);
            refusals.count(at)
        });
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2), None]);
        assert_eq!(counter.get(), 7);
    }
}

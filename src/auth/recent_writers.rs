//! Who has written a moment ago. A replica may not know of it yet, so until it surely does, what they
//! read comes from the primary: nobody is shown the state from before their own change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// A write may take `server.request_timeout`, ten seconds by default; then a replica that is in good
/// health has it within a second.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Bounds the memory, at some 50 bytes each. Whoever does not fit in may read what lags.
const MOST: usize = 10_000;

/// Writers of this process and when they wrote.
#[derive(Default)]
pub(super) struct RecentWriters(Mutex<HashMap<Uuid, Instant>>);

impl RecentWriters {
    /// This user begins to write.
    pub(super) fn note(&self, id: Uuid) {
        let mut writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writers.len() >= MOST {
            writers.retain(|_, wrote| wrote.elapsed() < REMEMBERED);
        }
        if writers.len() < MOST || writers.contains_key(&id) {
            writers.insert(id, Instant::now());
        }
    }

    /// Whether this user has.
    pub(super) fn has(&self, id: Uuid) -> bool {
        let writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writers.get(&id).is_some_and(|wrote| wrote.elapsed() < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn writers_are_remembered_for_a_while_and_in_bounded_numbers() {
        let writers = RecentWriters::default();
        let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
        writers.note(ada);
        assert!(writers.has(ada) && !writers.has(eve));
        for _ in 0..MOST {
            writers.note(Uuid::now_v7());
        }
        writers.note(eve);
        assert!(writers.has(ada) && !writers.has(eve));
        tokio::time::advance(REMEMBERED).await;
        assert!(!writers.has(ada));
        writers.note(eve);
        assert!(writers.has(eve));
        let left = writers.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert_eq!(left, 1);
    }
}

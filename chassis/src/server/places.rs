//! The places of a listener's connections, of which there are so many. When all are taken, the connection
//! that has been idle longest makes room: otherwise whoever opens enough of them keeps everybody else out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::streams::Streams;

/// Of all places, the part that is made free at once: looking through them costs a flood more than us.
const SHARE: usize = 100;
/// How often idle connections are looked for while all were busy.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// An idle connection that was told to make room gets this long to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);

/// All places of one listener.
pub(super) struct Places {
    free: Arc<Semaphore>,
    batch: usize,
    opened: Instant,
    entries: AtomicU64,
    taken: Mutex<HashMap<u64, Arc<Place>>>,
}

/// What is known of one connection.
pub(super) struct Place {
    pub(super) requests: Arc<Streams>,
    pub(super) backlog: Backlog,
    told: CancellationToken,
}

/// A place for as long as it lives.
pub(super) struct Taken {
    places: Arc<Places>,
    entry: u64,
    place: Arc<Place>,
    _free: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit)),
            batch: (limit / SHARE).max(1),
            opened: Instant::now(),
            entries: AtomicU64::new(0),
            taken: Mutex::default(),
        }
    }

    /// A place for a connection that is there already; waits while all others are busy.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        loop {
            if self.free.available_permits() == 0 {
                self.make_room();
            }
            let free = timeout(LOOK_AGAIN, self.free.clone().acquire_owned()).await;
            if let Ok(Ok(free)) = free {
                return self.enter(Some(free));
            }
        }
    }

    /// One beyond the limit, for what was accepted before the listener closed.
    pub(super) fn last(self: &Arc<Self>) -> Taken {
        self.enter(None)
    }

    fn enter(self: &Arc<Self>, free: Option<OwnedSemaphorePermit>) -> Taken {
        let place = Arc::new(Place {
            requests: Arc::new(Streams::new(self.opened)),
            backlog: Backlog::default(),
            told: CancellationToken::new(),
        });
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        self.taken().insert(entry, place.clone());
        Taken { places: self.clone(), entry, place, _free: free }
    }

    /// Tells those that have been idle longest. Who still takes an answer comes last.
    fn make_room(&self) {
        let taken = self.taken();
        let idle = taken.values().filter(|place| place.requests.are_over());
        let (leaving, staying): (Vec<_>, Vec<_>) =
            idle.partition(|place| place.told.is_cancelled());
        if !leaving.is_empty() {
            return;
        }
        let mut staying: Vec<_> = staying
            .into_iter()
            .map(|place| ((place.backlog.exists(), place.requests.used()), place))
            .collect();
        if staying.len() > self.batch {
            staying.select_nth_unstable_by_key(self.batch, |(rank, _)| *rank);
            staying.truncate(self.batch);
        }
        for (_, place) in staying {
            place.told.cancel();
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns when another connection needs the place.
    pub(super) async fn is_needed(&self) {
        self.told.cancelled().await;
    }

    /// Returns when it was needed a while ago and no request is in flight.
    pub(super) async fn is_overdue(&self) {
        self.is_needed().await;
        loop {
            sleep(FAREWELL).await;
            if self.requests.are_over() {
                return;
            }
        }
    }
}

impl Taken {
    pub(super) fn place(&self) -> Arc<Place> {
        self.place.clone()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.taken().remove(&self.entry);
    }
}

//! Where `/slow` waits: tests know that a request is there, and say when it may go on.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::in_time;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Signals>);

struct Signals {
    arrived: Semaphore,
    opened: Semaphore,
    left: Semaphore,
}

/// A request at the gate; gone when it was let through, cut off or abandoned.
struct Visit<'a>(&'a Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Signals {
            arrived: Semaphore::new(0),
            opened: Semaphore::new(0),
            left: Semaphore::new(0),
        }))
    }
}

impl Gate {
    /// For the handler: waits until the test opens the gate.
    pub(crate) async fn pass(&self) {
        let _visit = Visit(&self.0.left);
        self.0.arrived.add_permits(1);
        self.0.opened.acquire().await.unwrap().forget();
    }

    /// Returns when one more request waits here.
    pub(crate) async fn arrival(&self) {
        let arrival = in_time("the arrival of a request", self.0.arrived.acquire());
        arrival.await.unwrap().forget();
    }

    /// Returns when one more request is gone.
    pub(crate) async fn departure(&self) {
        let departure = in_time("the departure of a request", self.0.left.acquire());
        departure.await.unwrap().forget();
    }

    /// Lets one request through, now or when it comes.
    pub(crate) fn open(&self) {
        self.0.opened.add_permits(1);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

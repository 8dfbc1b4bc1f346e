//! Work that recurs in the background, such as cleaning up.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info_span};

use crate::jitter::jittered;

/// When the service has begun to answer, but before anybody looks for the result.
const SOON: Duration = Duration::from_secs(10);

/// Work that is done now and then; it ends when this is dropped.
#[must_use = "the work ends when its handle is dropped"]
pub struct Recurring(JoinHandle<()>);

impl Recurring {
    /// Does `work` again and again, for the first time after a pause. A pause takes between half and one
    /// and a half of `pause`, so that replicas which were started together do not work together. Each time
    /// is a trace of its own, whose first span has the name of the task.
    pub fn every<W>(
        task: &'static str,
        pause: Duration,
        work: impl Fn() -> W + Send + 'static,
    ) -> Self
    where
        W: Future<Output = ()> + Send,
    {
        Self::start(task, jittered(pause, 0.5..1.5), pause, work)
    }

    /// The same, for the first time within ten seconds.
    pub fn soon_and_every<W>(
        task: &'static str,
        pause: Duration,
        work: impl Fn() -> W + Send + 'static,
    ) -> Self
    where
        W: Future<Output = ()> + Send,
    {
        Self::start(task, jittered(SOON, 0.0..1.0), pause, work)
    }

    fn start<W>(
        task: &'static str,
        first: Duration,
        pause: Duration,
        work: impl Fn() -> W + Send + 'static,
    ) -> Self
    where
        W: Future<Output = ()> + Send,
    {
        let recurring = async move {
            sleep(first).await;
            loop {
                let span = info_span!(parent: None, "background task", task.name = task);
                work().instrument(span).await;
                sleep(jittered(pause, 0.5..1.5)).await;
            }
        };
        Self(tokio::spawn(recurring.with_current_subscriber()))
    }
}

impl Drop for Recurring {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_recurs_until_it_is_dropped() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let recurring = Recurring::every("count", Duration::from_mins(1), move || {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        sleep(Duration::from_secs(29)).await;
        assert_eq!(count.load(Ordering::Relaxed), 0, "not at once");
        sleep(Duration::from_hours(1)).await;
        let done = count.load(Ordering::Relaxed);
        assert!((40..=121).contains(&done), "{done}");
        drop(recurring);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(count.load(Ordering::Relaxed), done);
    }

    #[tokio::test(start_paused = true)]
    async fn its_first_time_may_be_soon() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let _recurring = Recurring::soon_and_every("count", Duration::from_hours(1), move || {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        sleep(Duration::from_secs(11)).await;
        assert_eq!(count.load(Ordering::Relaxed), 1);
        sleep(Duration::from_hours(2)).await;
        assert!((2..=5).contains(&count.load(Ordering::Relaxed)));
    }
}

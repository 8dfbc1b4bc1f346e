//! Threads that do nothing but hash, behind everything else that wants the processor.
//!
//! A hash keeps a core busy for tens of milliseconds. On threads of the usual priority a login storm
//! would take its share from every other request; so these are nicer, and for that they have to be our
//! own: who has once lowered its priority may not raise it again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::{Block, Params};
use tokio::sync::oneshot;

/// A tenth of the processor while others want all of it. Logins are slow then, and not dead.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How long a thread that has nothing to do keeps its memory: through the gaps of a storm, not the night.
const MEMORY_KEPT: Duration = Duration::from_secs(1);

/// What a thread hashes in. Kept from one hash to the next: allocated anew each time, there is more of it
/// than there are threads, since freed memory goes back to the system later.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// The threads; they end when this is dropped, after the jobs that they have.
pub(super) struct Workers {
    shared: Arc<Shared>,
    most: usize,
}

/// The job was not done: it has panicked, or the system gives no thread.
#[derive(Debug, thiserror::Error)]
#[error("the thread that hashes passwords has failed")]
pub struct Lost(#[source] Option<std::io::Error>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    ended: bool,
}

impl Memory {
    /// Room for a hash of this cost.
    pub(super) fn of(&mut self, cost: &Params) -> &mut [Block] {
        let blocks = cost.block_count();
        if self.0.len() < blocks {
            // Never two of them at once.
            self.0 = Vec::new();
            self.0 = vec![Block::default(); blocks];
        }
        &mut self.0[..blocks]
    }
}

impl Workers {
    /// At most so many, each started when it is needed first.
    pub(super) fn new(most: usize) -> Self {
        Self { shared: Arc::default(), most }
    }

    /// The result of a job. It is done even where nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (done, result) = oneshot::channel();
        self.give(Box::new(move |memory| {
            // A caller that has left wants no result.
            let _ = done.send(job(memory));
        }))?;
        result.await.map_err(|_| Lost(None))
    }

    fn give(&self, job: Job) -> Result<(), Lost> {
        let mut state = self.shared.lock();
        if state.idle <= state.jobs.len() && state.threads < self.most {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("password-hash".to_owned())
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                // Those that are there do it, only later.
                Err(_) if state.threads > 0 => {}
                Err(error) => return Err(Lost(Some(error))),
            }
        }
        state.jobs.push_back(job);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        yield_to_others();
        let mut memory = Memory::default();
        while let Some(job) = self.next(&mut memory) {
            // Its caller is told by what it never receives.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
        }
    }

    fn next(&self, memory: &mut Memory) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.ended {
                return None;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, MEMORY_KEPT);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                *memory = Memory::default();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On Linux a priority is one thread's own; elsewhere it would be the process's.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    // Where it is forbidden, hashing is as important as everything else.
    let _ = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, (now + NICENESS).min(19)));
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn as_many_work_at_once_as_are_allowed_and_no_more() {
        let workers = Workers::new(2);
        let both = Arc::new(Barrier::new(2));
        let meet = |both: &Arc<Barrier>| {
            let both = Arc::clone(both);
            workers.run(move |_| {
                both.wait();
                thread::current().id()
            })
        };
        let mut seen = HashSet::new();
        for _ in 0..10 {
            // Each waits for the other, so both run at once.
            let (one, other) = tokio::join!(meet(&both), meet(&both));
            seen.extend([one.unwrap(), other.unwrap()]);
        }
        assert_eq!(seen.len(), 2);
    }

    #[tokio::test]
    async fn a_job_that_panics_costs_its_caller_alone() {
        let workers = Workers::new(1);
        let lost = workers.run(|_| panic!("a cogwheel fell out")).await;
        assert!(lost.is_err());
        assert_eq!(workers.run(|_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_thread_hashes_in_the_same_memory_again() {
        let workers = Workers::new(1);
        let place = |cost: u32| {
            workers.run(move |memory| {
                let blocks = memory.of(&Params::new(cost, 1, 1, None).unwrap());
                (blocks.as_ptr().addr(), blocks.len())
            })
        };
        let (large, blocks) = place(64).await.unwrap();
        assert_eq!(blocks, 64);
        assert_eq!(place(8).await.unwrap(), (large, 8));
        assert_eq!(place(64).await.unwrap(), (large, 64));
    }

    #[tokio::test]
    async fn threads_end_with_their_owner() {
        let workers = Workers::new(1);
        workers.run(|_| ()).await.unwrap();
        let shared = Arc::downgrade(&workers.shared);
        drop(workers);
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_hashes_is_nicer_than_who_answers() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let mine = niceness();
        let theirs = Workers::new(1).run(move |_| niceness()).await.unwrap();
        assert_eq!(theirs, (mine + NICENESS).min(19));
        assert_eq!(niceness(), mine);
    }
}

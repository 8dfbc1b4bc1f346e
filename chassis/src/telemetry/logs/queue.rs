//! Lines that wait for their output. Putting one in never waits for the output: where there is no room
//! left, the line is refused. Taking them out is the writer's work.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait, and as many may be on their way out: 8 MiB together bridge a reader that
/// stalls for half a second at 20 000 requests per second.
pub(super) const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Batches closer together than this mean load.
const BUSY: Duration = Duration::from_millis(2);
/// Under load the writer looks this much later, so that nobody has to wake it for each line.
const PAUSE: Duration = Duration::from_millis(1);
/// A buffer that a burst made bigger than this is given back.
const KEPT_BYTES: usize = 256 * 1024;

/// Whole lines, each with its line feed, in the order in which they came.
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    /// For the writer, which waits for lines.
    arrived: Condvar,
    /// For those who wait until lines are written.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Lines that ever came in.
    queued: u64,
    /// Those of them that were written or lost.
    settled: u64,
    /// The last batch was lost, all or in part.
    failing: bool,
    /// The writer sleeps until it is woken.
    idle: bool,
    call: Call,
}

/// What the writer is called for beside lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Call {
    #[default]
    Nothing,
    /// Somebody waits for lines to be written.
    Hurry,
    /// No more lines will come.
    End,
}

/// The writer's side: the lines that it took, and its sense of how busy it is.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    taken_at: Option<Instant>,
    is_busy: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let (arrived, settled) = (Condvar::new(), Condvar::new());
        Self { capacity, state: Mutex::default(), arrived, settled }
    }

    /// False where there is no room.
    pub(super) fn push(&self, line: &str) -> bool {
        let mut state = self.lock();
        if state.lines.len() + line.len() > self.capacity {
            return false;
        }
        state.lines.extend_from_slice(line.as_bytes());
        state.queued += 1;
        let wake = mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits for lines and takes all there are; false once the queue is closed and empty. The batch is
    /// empty where somebody only wanted to know that nothing is left.
    pub(super) fn take(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        if batch.is_busy {
            let calm = |state: &mut State| state.call == Call::Nothing;
            let paused = self.arrived.wait_timeout_while(state, PAUSE, calm);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.lines.is_empty() && state.call == Call::Nothing {
            state.idle = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        if state.call == Call::Hurry {
            state.call = Call::Nothing;
        }
        batch.restart();
        mem::swap(&mut state.lines, &mut batch.lines);
        !batch.lines.is_empty() || state.call != Call::End
    }

    /// Says what became of the lines that were taken last, and whether more have come meanwhile.
    pub(super) fn settle(&self, lines: u64, failing: bool) -> bool {
        let mut state = self.lock();
        state.settled += lines;
        // A writer that was only hurried has learned nothing of its output.
        if lines > 0 {
            state.failing = failing;
        }
        self.settled.notify_all();
        state.lines.is_empty()
    }

    /// Hurries the writer; gives what to [`wait`](Self::wait) for.
    pub(super) fn hurry(&self) -> u64 {
        let mut state = self.lock();
        if state.call != Call::End {
            state.call = Call::Hurry;
        }
        self.arrived.notify_one();
        state.queued
    }

    /// Blocks until so many lines were written or lost; false where the last ones were lost.
    pub(super) fn wait(&self, queued: u64) -> bool {
        let waits = |state: &mut State| state.settled < queued;
        let state = self.settled.wait_while(self.lock(), waits);
        !state.unwrap_or_else(PoisonError::into_inner).failing
    }

    /// What is in it is still written.
    pub(super) fn close(&self) {
        self.lock().call = Call::End;
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn restart(&mut self) {
        let now = Instant::now();
        let last = self.taken_at.replace(now);
        self.is_busy = last.is_some_and(|last| now.duration_since(last) < BUSY);
        self.lines.clear();
        if self.lines.capacity() > KEPT_BYTES {
            self.lines = Vec::new();
        }
    }
}

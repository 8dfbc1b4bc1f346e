//! One signal's way out: takes its batches from the queue, sends them, and knows when to wait. All
//! of it runs on the telemetry thread.

use std::cell::Cell;
use std::io::{Error, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::books::Books;
use super::failure::{ExportError, Failure, Retry};
use super::otlp::{Collector, Rejected};
use super::queue::{Batch, Queue};
use crate::jitter::jittered;

/// Attempts for one batch, as OpenTelemetry's own exporter makes them.
const ATTEMPTS: u32 = 4;
/// The longest pause after the first failed attempt, and after any; it doubles in between.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The same after a batch that was given up.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// The longest pause that a collector can ask for.
const PAUSE_MAX: Duration = Duration::from_mins(1);

pub(super) struct Lane {
    pub(super) queue: Arc<Queue>,
    pub(super) books: Arc<Books>,
    pub(super) way: Way,
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
    /// `Resource` of the signal's request, as field 1.
    pub(super) resource: Arc<[u8]>,
    pub(super) in_flight: Cell<usize>,
}

/// Where batches go.
pub(super) enum Way {
    Collector(Box<Collector>),
    /// Each item is a line.
    Console,
}

impl Lane {
    /// Exports until it is asked to end, then what is left.
    pub(super) async fn work(&mut self, ending: &CancellationToken) {
        let mut ticks = interval(self.delay);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                biased;
                () = ending.cancelled() => break,
                // What comes during a delivery waits for the next tick, or batches would be as small
                // as a round trip is short.
                _ = ticks.tick() => self.queue.close_open(),
                () = self.queue.filled() => {}
            }
            while let Some(batch) = self.queue.take_full() {
                let Err(retry) = self.deliver(batch).await else {
                    failures = 0;
                    continue;
                };
                let _ = timeout(pause(retry, failures), ending.cancelled()).await;
                failures += 1;
                break;
            }
            self.books.review(Instant::now());
        }
        self.drain().await;
    }

    /// Exports what there is, up to the first batch that the collector does not take.
    pub(super) async fn drain(&mut self) {
        while let Some(batch) = self.queue.take() {
            if self.deliver(batch).await.is_err() {
                break;
            }
        }
    }

    /// Whether a batch was on its way when the work was stopped.
    pub(super) fn was_interrupted(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Gives up what is left.
    pub(super) fn cut_off(&self) {
        self.books.lose(self.queue.close() + self.in_flight.take());
    }

    async fn deliver(&mut self, batch: Batch) -> Result<(), Retry> {
        let items = batch.len();
        self.in_flight.set(items);
        let result = self.export(&batch).await;
        self.in_flight.set(0);
        let outcome = result.as_ref().map(|_| ()).map_err(|failure| failure.retry);
        match result {
            Ok(rejected) => self.books.accepted(items, rejected, Instant::now()),
            Err(failure) => self.books.refused(items, failure, Instant::now()),
        }
        outcome
    }

    async fn export(&mut self, batch: &Batch) -> Result<Rejected, Failure> {
        let collector = match &mut self.way {
            Way::Console => return print(batch),
            Way::Collector(collector) => collector,
        };
        let body = collector.body(|out| batch.request(&self.resource, out));
        let mut last = None;
        let attempts = insist(collector, body, self.timeout, &mut last);
        if let Ok(result) = timeout(self.timeout, attempts).await {
            return result;
        }
        collector.reconnect();
        Err(last.unwrap_or_else(|| Failure::timeout(self.timeout)))
    }
}

/// Keeps the latest failure in `last`, for whoever ends this early. A batch that would have to wait
/// for longer than it may take is given up at once: asking before that only adds to the load.
async fn insist(
    collector: &Collector,
    body: Bytes,
    within: Duration,
    last: &mut Option<Failure>,
) -> Result<Rejected, Failure> {
    let start = Instant::now();
    for attempt in 1.. {
        let failure = match collector.send(body.clone()).await {
            Ok(rejected) => return Ok(rejected),
            Err(failure) => failure,
        };
        let pause = match failure.retry {
            _ if attempt == ATTEMPTS => return Err(failure),
            Retry::Never => return Err(failure),
            Retry::After(delay) if delay > within.saturating_sub(start.elapsed()) => {
                return Err(failure);
            }
            Retry::Soon => backoff(RETRY_FIRST, RETRY_MAX, attempt - 1),
            Retry::After(delay) => delay,
        };
        *last = Some(failure);
        sleep(pause).await;
    }
    Ok(0)
}

fn print(batch: &Batch) -> Result<Rejected, Failure> {
    // Stdout carries log lines and nothing else.
    let written = std::io::stderr().lock().write_all(batch.bytes());
    let unwritten =
        |error: Error| Failure::new(ExportError::Unreachable, error.to_string(), Retry::Never);
    written.map(|()| 0).map_err(unwritten)
}

/// How long to leave a collector alone that did not take a batch, after so many others.
fn pause(retry: Retry, failures: u32) -> Duration {
    let pause = backoff(BACKOFF_FIRST, BACKOFF_MAX, failures);
    match retry {
        Retry::After(delay) => delay.min(PAUSE_MAX).max(pause),
        Retry::Never | Retry::Soon => pause,
    }
}

/// Any time up to a limit that doubles each time.
fn backoff(first: Duration, max: Duration, round: u32) -> Duration {
    let limit = first.saturating_mul(2_u32.saturating_pow(round)).min(max);
    jittered(limit, 0.0..1.0)
}

#[cfg(test)]
mod tests;

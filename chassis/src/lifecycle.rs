//! The order in which a service ends: signals, phases, and the exit code that tells how it went.
//!
//! What a phase does belongs to whoever owns it (server, database, telemetry); here is only that
//! they run one after the other, that each is a log line, and that a second signal ends it all.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Something was cut off: everything that was under way.
const EXIT_FORCED: i32 = 1;

/// Some senders signal the process and then its group as well, coreutils' `timeout` among them, and mean
/// one signal by it. Nobody who means two is so quick.
const SAME_SIGNAL: Duration = Duration::from_millis(20);

/// A request to end, from a signal or from inside; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

/// What a phase of the shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything ended in order.
    Complete,
    /// Something had to be cut off.
    CutOff,
}

/// The phases so far, each logged as it passes.
#[derive(Debug)]
pub struct Ending {
    started: Instant,
    outcome: Outcome,
}

impl Shutdown {
    /// Listens for SIGINT and SIGTERM: the first requests the shutdown, the second ends the process
    /// at once, without its order.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let shutdown = Self::default();
        let requested = shutdown.clone();
        tokio::spawn(async move {
            let name = next(&mut interrupt, &mut terminate).await;
            tracing::info!(signal = name, "shutdown requested");
            requested.request();
            let first = Instant::now();
            let mut name = next(&mut interrupt, &mut terminate).await;
            while first.elapsed() < SAME_SIGNAL {
                name = next(&mut interrupt, &mut terminate).await;
            }
            tracing::warn!(signal = name, "second signal: ending at once");
            std::process::exit(EXIT_FORCED);
        });
        Ok(shutdown)
    }

    /// Asks for the shutdown from inside.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Returns once the shutdown is requested.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

impl Ending {
    /// Starts to count the time.
    pub fn start() -> Self {
        Self { started: Instant::now(), outcome: Outcome::Complete }
    }

    /// Runs one phase to its end and logs it.
    pub async fn phase(&mut self, name: &'static str, work: impl Future<Output = Outcome>) {
        let started = Instant::now();
        let outcome = work.await;
        let duration_ms = millis(started.elapsed());
        match outcome {
            Outcome::Complete => {
                tracing::info!(phase = name, duration_ms, "shutdown phase complete");
            }
            Outcome::CutOff => {
                self.outcome = Outcome::CutOff;
                tracing::warn!(phase = name, duration_ms, "shutdown phase cut off");
            }
        }
    }

    /// The last line, and the exit code: 0, or 1 where something was cut off.
    pub fn finish(self) -> ExitCode {
        let duration_ms = millis(self.started.elapsed());
        tracing::info!(duration_ms, complete = self.outcome == Outcome::Complete, "stopped");
        match self.outcome {
            Outcome::Complete => ExitCode::SUCCESS,
            Outcome::CutOff => ExitCode::FAILURE,
        }
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

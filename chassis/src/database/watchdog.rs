//! Tells a slow statement from a database that hangs. TCP alone never would: a server that does not
//! answer, and one that thinks, look alike.

use std::io;
use std::pin::pin;
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx};
use tokio::time::{Instant, sleep_until, timeout};

use super::lifeline::Lifeline;

/// A sign of life must come within this, or within half of the patience where that is shorter.
const LIFE_TIMEOUT: Duration = Duration::from_millis(800);

/// Ends statements that a database without signs of life leaves hanging.
pub(super) struct Watchdog {
    /// None where there is no server: a file does not hang, and waits for locks have their own bound.
    lifeline: Option<Lifeline>,
    patience: Duration,
}

impl Watchdog {
    pub(super) fn new(lifeline: Option<Lifeline>, patience: Duration) -> Self {
        Self { lifeline, patience }
    }

    /// The next look at the database goes by a new connection.
    pub(super) fn doubt(&self) {
        if let Some(lifeline) = &self.lifeline {
            lifeline.doubt();
        }
    }

    /// Runs `work`. Before it has lasted for `patience`, and as often again, the database is asked for a
    /// sign of life; without one the work is dropped when that time is over, and its connection with it.
    pub(super) async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let Some(lifeline) = &self.lifeline else {
            return work.await;
        };
        let life = LIFE_TIMEOUT.min(self.patience / 2);
        let quiet = self.patience.saturating_sub(life);
        let mut work = pin!(work);
        let mut patience = pin!(sleep_until(Instant::now() + quiet));
        loop {
            tokio::select! {
                biased;
                result = work.as_mut() => return result,
                () = patience.as_mut() => {}
            }
            tokio::select! {
                biased;
                result = work.as_mut() => return result,
                alive = timeout(life, lifeline.ask()) => match alive {
                    Ok(Ok(())) => patience.as_mut().reset(Instant::now() + quiet),
                    _ => return Err(unresponsive()),
                },
            }
        }
    }
}

/// What is said of a statement that was given up.
pub(super) fn unresponsive() -> DbErr {
    let silence = io::Error::new(io::ErrorKind::TimedOut, "the server does not answer");
    DbErr::Conn(RuntimeErr::SqlxError(sqlx::Error::Io(silence).into()))
}

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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::future::pending;
    use std::net::TcpListener;

    use sea_orm::SqlxPostgresConnector;
    use sea_orm::sqlx::postgres::PgPoolOptions;

    use super::*;

    // Time passes only while everything waits.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_never_answers_is_given_up_when_patience_ends() {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://{}/x?sslmode=disable", mute.local_addr().unwrap());
        let pool = PgPoolOptions::new().connect_lazy(&url).unwrap();
        let pool = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        for patience in [Duration::from_secs(2), Duration::from_millis(500)] {
            let watchdog = Watchdog::new(Some(Lifeline::beside(&pool, false)), patience);
            let began = Instant::now();
            let outcome = watchdog.guard(pending::<Result<(), DbErr>>()).await;
            assert_eq!(outcome.unwrap_err().to_string(), unresponsive().to_string());
            // Timers have a grain of a millisecond.
            let late = began.elapsed().saturating_sub(patience);
            assert!(late <= Duration::from_millis(2), "{late:?} later than {patience:?}");
        }
    }
}

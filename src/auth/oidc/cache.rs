//! The keys of the issuer as they are known here: fetched in the background, kept for as long as they can
//! be trusted, and asked for anew when a token names one that is not among them.
//!
//! One task fetches, and nothing else does, so there is never more than one request to the issuer, and
//! a caller that leaves takes nothing with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::fetch::Fetcher;
use chassis::jitter::jittered;
use chassis::problem::chain;
use chassis::telemetry::Metrics;
use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::instrument::WithSubscriber;

use super::issuer::{Issuer, KeysError};
use super::keys::KeySet;

/// Both documents together; who waits for a key waits no longer either.
pub(super) const ROUND_TIMEOUT: Duration = Duration::from_secs(4);
/// How long keys are not asked for again, unless the issuer says how long they are good.
const PAUSE: Duration = Duration::from_mins(5);
/// What the issuer says counts within these bounds. A key that it withdraws is accepted for so long.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_mins(15);
/// The first pause after a failure; it doubles with each.
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often tokens with unknown keys can have the issuer asked: anybody can make up such tokens.
const ASK_PAUSE: Duration = Duration::from_secs(10);
/// How long keys are believed whose issuer cannot be asked: a day's outage is survived, and a key
/// that was withdrawn because it was stolen does not live on for ever.
const TRUSTED: Duration = Duration::from_hours(24);
/// While an issuer is away it is told once in so long.
const TOLD_PAUSE: Duration = Duration::from_mins(1);

/// The keys of one issuer. The fetching ends when it is dropped.
pub(super) struct Cache {
    known: watch::Receiver<Known>,
    asked: Arc<Asked>,
    task: JoinHandle<()>,
}

/// Why there is no key for a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKey {
    /// The issuer has none of this name, or none that may sign so.
    #[error("the token's key is unknown")]
    Unknown,
    /// The issuer was never reached, or so long ago that its keys are not believed any more.
    #[error("the keys of the issuer are not known")]
    Unavailable,
}

/// What is known at a time.
#[derive(Clone, Default)]
struct Known {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// How often it was tried to fetch them.
    rounds: u64,
    /// The last question that was answered, see [`Asked`].
    answered: u64,
}

/// What callers want from the task.
#[derive(Default)]
struct Asked {
    wakes: Notify,
    /// The number of the last question, and when it was asked.
    last: Mutex<(u64, Option<Instant>)>,
}

/// The task that fetches.
struct Refresher {
    issuer: Issuer,
    fetcher: Fetcher,
    asked: Arc<Asked>,
    metrics: Metrics,
    /// In a row.
    failures: u32,
    told: Option<Instant>,
}

impl Cache {
    /// Begins to fetch.
    pub(super) fn start(issuer: Issuer, fetcher: Fetcher, metrics: Metrics) -> Self {
        let (sender, known) = watch::channel(Known::default());
        let asked = Arc::new(Asked::default());
        let refresher = Refresher {
            issuer,
            fetcher,
            asked: Arc::clone(&asked),
            metrics,
            failures: 0,
            told: None,
        };
        let task = tokio::spawn(refresher.run(sender).with_current_subscriber());
        Self { known, asked, task }
    }

    /// The key with which a token is signed that names it so.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, NoKey> {
        // Right after the start the first answer is on its way.
        self.wait_for(|known| known.rounds > 0).await;
        let found = self.known.borrow().find(id, algorithm)?;
        if let Some(key) = found {
            return Ok(key);
        }
        let question = self.asked.ask();
        self.wait_for(|known| known.answered >= question).await;
        let found = self.known.borrow().find(id, algorithm)?;
        found.ok_or(NoKey::Unknown)
    }

    /// Not longer than a round may take.
    async fn wait_for(&self, holds: impl FnMut(&Known) -> bool) {
        let mut known = self.known.clone();
        // What holds then is looked at afterwards.
        let _ = timeout(ROUND_TIMEOUT, known.wait_for(holds)).await;
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Known {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<DecodingKey>, NoKey> {
        let known = self.keys.as_ref().filter(|(_, at)| at.elapsed() < TRUSTED);
        let (keys, _) = known.ok_or(NoKey::Unavailable)?;
        Ok(keys.find(id, algorithm).cloned())
    }
}

impl Asked {
    /// Has the issuer asked, unless that was done a moment ago, and gives the number of the question.
    fn ask(&self) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.is_none_or(|at| at.elapsed() >= ASK_PAUSE) {
            *last = (last.0 + 1, Some(Instant::now()));
            self.wakes.notify_one();
        }
        last.0
    }

    fn question(&self) -> u64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Refresher {
    async fn run(mut self, known: watch::Sender<Known>) {
        loop {
            // Whatever was asked up to now, this round answers it.
            let question = self.asked.question();
            let round = timeout(ROUND_TIMEOUT, self.issuer.keys(&self.fetcher)).await;
            let fetched = round.unwrap_or(Err(KeysError::Timeout));
            let pause = self.pause_after(&fetched);
            let keys = fetched.ok().map(|(keys, _)| (Arc::new(keys), Instant::now()));
            known.send_modify(|known| {
                if keys.is_some() {
                    known.keys = keys;
                }
                known.rounds += 1;
                known.answered = question;
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.asked.wakes.notified() => {}
            }
        }
    }

    /// Tells how it went, and when it is to be tried again.
    fn pause_after(&mut self, fetched: &Result<(KeySet, Option<Duration>), KeysError>) -> Duration {
        match fetched {
            Ok((keys, max_age)) => {
                self.tell_success(keys);
                let pause = max_age.unwrap_or(PAUSE).clamp(*PAUSES.start(), *PAUSES.end());
                jittered(pause, 0.8..1.0)
            }
            Err(error) => {
                self.tell_failure(error);
                let pause = RETRY.saturating_mul(2_u32.saturating_pow(self.failures - 1));
                jittered(pause.min(RETRY_MAX), 0.5..1.0)
            }
        }
    }

    fn tell_success(&mut self, keys: &KeySet) {
        self.metrics.oidc_keys_refresh.with_label_values(&["success"]).inc();
        self.metrics.oidc_keys_last_success.set(unix_seconds());
        let first = self.told.is_none();
        if first || self.failures > 0 {
            tracing::info!(keys = keys.len(), "the keys of the issuer are known");
            self.told = Some(Instant::now());
        }
        self.failures = 0;
    }

    fn tell_failure(&mut self, error: &KeysError) {
        self.metrics.oidc_keys_refresh.with_label_values(&["failure"]).inc();
        self.failures = self.failures.saturating_add(1);
        let due = self.told.is_none_or(|told| told.elapsed() >= TOLD_PAUSE);
        if self.failures == 1 || due {
            tracing::warn!(error = chain(error), "the keys of the issuer cannot be fetched");
            self.told = Some(Instant::now());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
fn unix_seconds() -> f64 {
    Utc::now().timestamp() as f64
}

#[cfg(test)]
mod tests;

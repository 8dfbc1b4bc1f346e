//! Whether this process can do its work: a handle for each part that must be ready, and checks in the
//! background for what lies outside. The endpoints only repeat the last result, so that a probe
//! never waits for a dependency.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::instrument::WithSubscriber;
use tracing::{info, warn};

use crate::telemetry::Metrics;

/// A lost dependency is noticed after two failures: one pause and two timeouts, six seconds, within
/// the ten that are allowed; a single slow answer takes nobody out of service.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const FAILURES_UNTIL_NOT_READY: u32 = 2;

/// The state of the process. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

/// Held by a part of the process; says whether that part is ready. Not ready until told.
pub struct Readiness {
    health: Health,
    name: &'static str,
}

/// A check in the background; it ends when this is dropped.
#[must_use = "the check ends when its handle is dropped"]
pub struct Watch(JoinHandle<()>);

/// What `/health` shows.
#[derive(Clone, Debug, Serialize)]
pub struct HealthReport {
    /// The sum of all.
    pub status: Status,
    /// Each check by its name.
    pub checks: BTreeMap<&'static str, CheckReport>,
}

/// One check in a [`HealthReport`].
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Whether the last results count as ready.
    pub ready: bool,
    /// Seconds since the last result.
    pub age_seconds: f64,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not all parts have been started.
    Starting,
    /// Requests are welcome.
    Ready,
    /// A check fails.
    NotReady,
    /// The shutdown has begun.
    Draining,
}

struct Shared {
    metrics: Metrics,
    state: Mutex<State>,
    /// At the first result of each part.
    told: Notify,
}

#[derive(Default)]
struct State {
    started: bool,
    draining: bool,
    checks: BTreeMap<&'static str, Check>,
}

struct Check {
    /// Why it is not ready; `None` is ready.
    reason: Option<Cow<'static, str>>,
    /// Failures since the last success.
    failures: u32,
    /// Whether any result has come yet.
    told: bool,
    told_at: Instant,
}

impl Health {
    /// A process that is starting and has no checks.
    pub fn new(metrics: &Metrics) -> Self {
        Self(Arc::new(Shared {
            metrics: metrics.clone(),
            state: Mutex::default(),
            told: Notify::new(),
        }))
    }

    /// Adds a part that must be ready. It is not, until its handle says so.
    pub fn register(&self, name: &'static str) -> Readiness {
        let reason = Some(Cow::Borrowed("not ready yet"));
        let check = Check { reason, failures: 0, told: false, told_at: Instant::now() };
        self.state().checks.insert(name, check);
        self.0.metrics.readiness.with_label_values(&[name]).set(0);
        Readiness { health: self.clone(), name }
    }

    /// Runs `check` now and every two seconds. Ready after the first success, not ready after two
    /// failures in a row. Errors are shown to operators and logged: their text must be fit for that.
    pub fn watch<F, C, E>(&self, name: &'static str, check: F) -> Watch
    where
        F: Fn() -> C + Send + 'static,
        C: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let readiness = self.register(name);
        let checks = async move {
            let mut ticks = interval(CHECK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match timeout(CHECK_TIMEOUT, check()).await {
                    Ok(Ok(())) => readiness.ready(),
                    Ok(Err(error)) => readiness.failed(error.to_string().into()),
                    Err(_) => readiness.failed("no answer in time".into()),
                }
            }
        };
        Watch(tokio::spawn(checks.with_current_subscriber()))
    }

    /// Every part has been started; from now on the checks decide.
    pub fn started(&self) {
        self.state().started = true;
    }

    /// Returns once every part has said for the first time whether it is ready: what is announced as
    /// started before that would answer its first probes with 503. A part that never speaks is
    /// waited for; watched ones speak within two seconds.
    pub async fn settled(&self) {
        loop {
            let mut told = pin!(self.0.told.notified());
            // From here on a result is not missed, even one that comes before the wait.
            told.as_mut().enable();
            if self.state().checks.values().all(|check| check.told) {
                return;
            }
            told.await;
        }
    }

    /// Whether [`started`](Self::started) was called.
    pub fn is_started(&self) -> bool {
        self.state().started
    }

    /// The shutdown begins: not ready from now on.
    pub fn start_draining(&self) {
        self.state().draining = true;
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.state().status() == Status::Ready
    }

    /// The state of everything, for operators.
    pub fn report(&self) -> HealthReport {
        let state = self.state();
        let checks = state.checks.iter().map(|(name, check)| (*name, check.report())).collect();
        HealthReport { status: state.status(), checks }
    }

    /// Each change of the state is one assignment: a panic elsewhere cannot leave it half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, name: &'static str, reason: Option<Cow<'static, str>>, tolerated: u32) {
        let mut state = self.state();
        let Some(check) = state.checks.get_mut(name) else {
            return;
        };
        let changed = check.update(reason, tolerated);
        let reason = check.reason.clone();
        drop(state);
        self.0.told.notify_waiters();
        if changed {
            self.announce(name, reason.as_deref());
        }
    }

    fn announce(&self, name: &str, reason: Option<&str>) {
        self.0.metrics.readiness.with_label_values(&[name]).set(i64::from(reason.is_none()));
        match reason {
            None => info!(check = name, "check passes: ready"),
            Some(reason) => warn!(check = name, reason, "check fails: not ready"),
        }
    }
}

impl Readiness {
    /// This part can do its work.
    pub fn ready(&self) {
        self.health.tell(self.name, None, 0);
    }

    /// This part cannot do its work; the reason is shown to operators.
    pub fn not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        self.health.tell(self.name, Some(reason.into()), 0);
    }

    fn failed(&self, reason: Cow<'static, str>) {
        self.health.tell(self.name, Some(reason), FAILURES_UNTIL_NOT_READY - 1);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl State {
    fn status(&self) -> Status {
        let ready = self.checks.values().all(|check| check.reason.is_none());
        match (self.draining, self.started, ready) {
            (true, ..) => Status::Draining,
            (false, false, _) => Status::Starting,
            (false, true, true) => Status::Ready,
            (false, true, false) => Status::NotReady,
        }
    }
}

impl Check {
    /// Takes in a result, unless it is a failure that is still tolerated. True where ready became not
    /// ready or the other way round, and for the first result: it says why a start is not ready.
    fn update(&mut self, reason: Option<Cow<'static, str>>, tolerated: u32) -> bool {
        self.told_at = Instant::now();
        self.failures = if reason.is_some() { self.failures.saturating_add(1) } else { 0 };
        let was_ready = self.reason.is_none();
        if !was_ready || reason.is_none() || self.failures > tolerated {
            self.reason = reason;
        }
        let first = !std::mem::replace(&mut self.told, true);
        first || was_ready != self.reason.is_none()
    }

    fn report(&self) -> CheckReport {
        CheckReport {
            ready: self.reason.is_none(),
            age_seconds: self.told_at.elapsed().as_secs_f64(),
            reason: self.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests;

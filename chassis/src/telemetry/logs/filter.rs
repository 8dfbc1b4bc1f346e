//! Changing which events are logged while the service runs. How one filter decides is in `events`,
//! what a filter may say in `syntax`.

mod events;
mod syntax;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::runtime::{Handle, TryCurrentError};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::{EnvFilter, Registry, reload};

use self::events::{EventFilter, Own};
pub(super) use self::syntax::ALLOWED;
pub use self::syntax::InvalidFilter;
pub(crate) use self::syntax::parse;
use crate::telemetry::audit::Audit;
use crate::telemetry::period::Period;

/// The filter inside the layer, which a [`LogFilter`] exchanges.
pub(in crate::telemetry) type ReloadableFilter<S> = reload::Layer<EventFilter, S>;

/// Reads and changes the filter of the log while the service runs. Traces do not follow it.
#[derive(Clone)]
pub struct LogFilter(Arc<Shared>);

/// The filter that is followed, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterStatus {
    /// The filter that is followed now.
    pub filter: String,
    /// `log.level`, which a temporary filter goes back to.
    pub configured: String,
    /// When it goes back; none for a filter that stays.
    pub returns_at: Option<DateTime<Utc>>,
}

/// One filter that took the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChange {
    /// The filter before.
    pub from: String,
    /// The filter since.
    pub to: String,
    /// When `log.level` is followed again; none for a filter that stays.
    pub returns_at: Option<DateTime<Utc>>,
}

/// Why another filter is not followed.
#[derive(Debug, thiserror::Error)]
pub enum FilterNotSet {
    /// It is none.
    #[error("the filter is invalid")]
    Invalid(#[from] InvalidFilter),
    /// Nothing would end its time.
    #[error("a filter for a time needs a Tokio runtime")]
    NoRuntime(#[from] TryCurrentError),
}

struct Shared {
    handle: reload::Handle<EventFilter, Registry>,
    configured: String,
    own: Own,
    audit: Audit,
    state: Mutex<State>,
}

struct State {
    current: String,
    returns_at: Option<DateTime<Utc>>,
    /// Counts the changes, so that a return knows whether it came too late.
    changes: u64,
    /// Until then there may be requests that carry a valid debug header.
    debugging_until: Option<DateTime<Utc>>,
}

impl LogFilter {
    /// `name` is the service's, which is also its crate's: a debugged request logs what its own
    /// crates say, not what the libraries below them do.
    pub(in crate::telemetry) fn new(
        configured: &str,
        name: &str,
        audit: Audit,
    ) -> Result<(Self, ReloadableFilter<Registry>), InvalidFilter> {
        let own = Own::of(name);
        let filter = EventFilter::new(parse(configured)?, configured, own.clone(), false);
        let (layer, handle) = reload::Layer::new(filter);
        let state = State {
            current: configured.to_owned(),
            returns_at: None,
            changes: 0,
            debugging_until: None,
        };
        let (configured, state) = (configured.to_owned(), Mutex::new(state));
        Ok((Self(Arc::new(Shared { handle, configured, own, audit, state })), layer))
    }

    /// The filter that is followed now.
    pub fn current(&self) -> String {
        self.0.state().current.clone()
    }

    /// The same, with where it comes from and where it goes.
    pub fn status(&self) -> FilterStatus {
        let state = self.0.state();
        FilterStatus {
            filter: state.current.clone(),
            configured: self.0.configured.clone(),
            returns_at: state.returns_at,
        }
    }

    /// Follows another filter, for good or for the given time; then `log.level` is followed again.
    /// The latest call wins, also over the return of an earlier one. With a time it must be called
    /// within a Tokio runtime, and the line about the return goes to the current subscriber.
    ///
    /// After an error the filter is the one of before.
    pub fn set(&self, filter: &str, for_: Option<Period>) -> Result<FilterChange, FilterNotSet> {
        let Some(period) = for_ else {
            return Ok(self.0.follow(filter, None)?.1);
        };
        let runtime = Handle::try_current()?;
        let returns_at = Utc::now() + period.duration();
        let (number, change) = self.0.follow(filter, Some(returns_at))?;
        let shared = Arc::downgrade(&self.0);
        let back = async move {
            tokio::time::sleep(period.duration()).await;
            if let Some(shared) = shared.upgrade() {
                shared.go_back(number);
            }
        };
        runtime.spawn(back.with_current_subscriber());
        Ok(change)
    }

    /// Lets DEBUG events of debugged requests through until then; false where that is so for as long
    /// already. Must be called within a Tokio runtime.
    pub(crate) fn debug_requests_until(&self, until: DateTime<Utc>) -> bool {
        if !self.0.begin_debugging(until) {
            return false;
        }
        let left = (until - Utc::now()).to_std().unwrap_or_default();
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            if let Some(shared) = shared.upgrade() {
                shared.end_debugging(until);
            }
        });
        true
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.current()).finish()
    }
}

impl Shared {
    /// Returns the number of the change as well.
    fn follow(
        &self,
        filter: &str,
        returns_at: Option<DateTime<Utc>>,
    ) -> Result<(u64, FilterChange), InvalidFilter> {
        let parsed = parse(filter)?;
        let mut state = self.state();
        let change = self.exchange(&mut state, filter, parsed);
        state.returns_at = returns_at;
        Ok((state.changes, FilterChange { returns_at, ..change }))
    }

    /// Does nothing where there was another change since the one with this number.
    fn go_back(&self, number: u64) {
        // It was parsed at the start.
        let Ok(parsed) = parse(&self.configured) else {
            return;
        };
        let mut state = self.state();
        if state.changes == number {
            let change = self.exchange(&mut state, &self.configured, parsed);
            drop(state);
            self.audit.filter_returned(&change);
        }
    }

    /// The new filter stays, until somebody says otherwise.
    fn exchange(&self, state: &mut State, filter: &str, parsed: EnvFilter) -> FilterChange {
        let armed = state.debugging_until.is_some();
        // Fails only when the layer is gone, and then nothing is logged anyway.
        let _ = self.handle.reload(EventFilter::new(parsed, filter, self.own.clone(), armed));
        let from = std::mem::replace(&mut state.current, filter.to_owned());
        state.returns_at = None;
        state.changes += 1;
        FilterChange { from, to: filter.to_owned(), returns_at: None }
    }

    fn begin_debugging(&self, until: DateTime<Utc>) -> bool {
        let mut state = self.state();
        let is_news = state.debugging_until < Some(until);
        if is_news {
            state.debugging_until = Some(until);
            let _ = self.handle.modify(EventFilter::arm);
        }
        is_news
    }

    /// Does nothing where a later header has put the end off.
    fn end_debugging(&self, until: DateTime<Utc>) {
        let mut state = self.state();
        if state.debugging_until == Some(until) {
            state.debugging_until = None;
            let _ = self.handle.modify(EventFilter::disarm);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use std::time::Duration;

    use super::*;
    use crate::telemetry::Metrics;

    const MINUTE: Duration = Duration::from_mins(1);

    fn filter() -> (LogFilter, ReloadableFilter<Registry>) {
        let audit = Audit::new(&Metrics::new().unwrap());
        LogFilter::new("info", "belvedere", audit).unwrap()
    }

    #[test]
    fn the_configured_filter_is_current_until_another_is_set() {
        let (filter, _layer) = filter();
        assert_eq!(filter.current(), "info");
        filter.set("debug", None).unwrap();
        assert_eq!(filter.current(), "debug");
        assert!(filter.set("a=loud", None).is_err());
        assert_eq!(filter.current(), "debug");
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_back_by_itself() {
        let (filter, _layer) = filter();
        filter.set("debug", Period::new(2 * MINUTE)).unwrap();
        tokio::time::sleep(MINUTE).await;
        assert_eq!(filter.current(), "debug");
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(filter.current(), "info");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_by_hand_is_not_undone_by_the_return_of_an_earlier_one() {
        let (filter, _layer) = filter();
        filter.set("error", Period::new(MINUTE)).unwrap();
        filter.set("warn", None).unwrap();
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(filter.current(), "warn");
    }

    #[test]
    fn what_nothing_would_end_does_not_begin() {
        let (filter, _layer) = filter();
        let error = filter.set("debug", Some(Period::longest())).unwrap_err();
        assert!(matches!(error, FilterNotSet::NoRuntime(_)), "{error}");
        assert_eq!(filter.status().filter, "info");
        assert!(filter.status().returns_at.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn debugging_ends_with_the_last_header_and_outlives_other_filters() {
        let (filter, _layer) = filter();
        let armed = || filter.0.handle.with_current(EventFilter::is_armed).unwrap();
        let at = |seconds| Utc::now() + chrono::TimeDelta::seconds(seconds);
        assert!(!armed());
        assert!(filter.debug_requests_until(at(60)));
        assert!(!filter.debug_requests_until(at(30)), "it is armed for longer");
        assert!(filter.debug_requests_until(at(120)));
        filter.set("error", None).unwrap();
        assert!(armed());
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(armed(), "the longer one counts");
        tokio::time::sleep(MINUTE).await;
        assert!(!armed());
    }

    #[test]
    fn a_return_that_comes_after_another_change_does_nothing() {
        let (filter, _layer) = filter();
        let (first, _) = filter.0.follow("debug", None).unwrap();
        filter.set("trace", None).unwrap();
        filter.0.go_back(first);
        assert_eq!(filter.current(), "trace");
    }
}

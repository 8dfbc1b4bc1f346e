//! Which events are logged, and changing that while the service runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// What `log.level` may be, for messages about it.
pub(super) const ALLOWED: &str =
    "off, error, warn, info, debug, trace, targets or target=level pairs, separated by commas";

/// The filter inside the layer, which a [`LogFilter`] exchanges.
pub(in crate::telemetry) type ReloadableFilter<S> = reload::Layer<EventFilter, S>;

/// Reads and changes the filter of the log while the service runs. Traces do not follow it.
#[derive(Clone)]
pub struct LogFilter(Arc<Shared>);

struct Shared {
    handle: reload::Handle<EventFilter, Registry>,
    configured: String,
    state: Mutex<State>,
}

struct State {
    current: String,
    /// Counts the changes, so that a return knows whether it came too late.
    changes: u64,
}

/// Text that is not in the syntax of `EnvFilter`.
#[derive(Debug, thiserror::Error)]
#[error("allowed are {ALLOWED}")]
pub struct InvalidFilter(#[source] Option<tracing_subscriber::filter::ParseError>);

/// `EnvFilter` for events alone. Enabling spans too would create those that no layer wants, at the
/// cost of an allocation each; only a filter that names spans (`[request]=debug`) needs them.
pub(in crate::telemetry) struct EventFilter {
    filter: EnvFilter,
    needs_spans: bool,
}

impl LogFilter {
    pub(in crate::telemetry) fn new(
        configured: &str,
    ) -> Result<(Self, ReloadableFilter<Registry>), InvalidFilter> {
        let (layer, handle) = reload::Layer::new(parse(configured)?);
        let shared = Shared {
            handle,
            configured: configured.to_owned(),
            state: Mutex::new(State { current: configured.to_owned(), changes: 0 }),
        };
        Ok((Self(Arc::new(shared)), layer))
    }

    /// The filter that is followed now.
    pub fn current(&self) -> String {
        self.0.state().current.clone()
    }

    /// Follows another filter, for good or for the given time; then `log.level` is followed again.
    /// The latest call wins, also over the return of an earlier one. With a time it must be called
    /// within a Tokio runtime.
    pub fn set(&self, filter: &str, for_: Option<Duration>) -> Result<(), InvalidFilter> {
        let change = self.0.follow(filter, None)?;
        if let Some(time) = for_ {
            let shared = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                if let Some(shared) = shared.upgrade() {
                    shared.go_back(change);
                }
            });
        }
        Ok(())
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.current()).finish()
    }
}

impl Shared {
    /// Returns the number of the change. With `only_after`, nothing happens once there was another.
    fn follow(&self, filter: &str, only_after: Option<u64>) -> Result<u64, InvalidFilter> {
        let parsed = parse(filter)?;
        let mut state = self.state();
        if only_after.is_some_and(|change| change != state.changes) {
            return Ok(state.changes);
        }
        // Fails only when the layer is gone, and then nothing is logged anyway.
        let _ = self.handle.reload(parsed);
        filter.clone_into(&mut state.current);
        state.changes += 1;
        Ok(state.changes)
    }

    fn go_back(&self, change: u64) {
        // It was parsed at the start.
        let _ = self.follow(&self.configured, Some(change));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Filter<S> for EventFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.concerns(metadata) && Filter::<S>::enabled(&self.filter, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.concerns(metadata) {
            return Filter::<S>::callsite_enabled(&self.filter, metadata);
        }
        Interest::never()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.filter)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.filter, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::<S>::on_record(&self.filter, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_enter(&self.filter, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_exit(&self.filter, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::<S>::on_close(&self.filter, id, context);
    }
}

impl EventFilter {
    fn concerns(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() || self.needs_spans
    }
}

pub(super) fn parse(text: &str) -> Result<EventFilter, InvalidFilter> {
    // Of nothing at all, `EnvFilter` makes a filter that somebody else chose: errors alone.
    if text.trim().is_empty() {
        return Err(InvalidFilter(None));
    }
    let filter = EnvFilter::builder().parse(text);
    Ok(EventFilter {
        filter: filter.map_err(|error| InvalidFilter(Some(error)))?,
        needs_spans: text.contains('['),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn what_env_filter_takes_is_a_filter_and_nothing_is_not() {
        for good in [
            "info",
            "OFF",
            "info,sqlx=warn",
            "belvedere",
            "belvedere::users",
            "[request{id}]=debug",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a=loud", "info,b=loud"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_configured_filter_is_current_until_another_is_set() {
        let (filter, _layer) = LogFilter::new("info").unwrap();
        assert_eq!(filter.current(), "info");
        filter.set("debug", None).unwrap();
        assert_eq!(filter.current(), "debug");
        assert!(filter.set("a=loud", None).is_err());
        assert_eq!(filter.current(), "debug");
    }

    #[tokio::test]
    async fn it_goes_back_by_itself() {
        let (filter, _layer) = LogFilter::new("info").unwrap();
        filter.set("debug", Some(Duration::from_millis(1))).unwrap();
        let back = async {
            while filter.current() != "info" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
    }

    #[test]
    fn a_return_that_comes_after_another_change_does_nothing() {
        let (filter, _layer) = LogFilter::new("info").unwrap();
        let first = filter.0.follow("debug", None).unwrap();
        filter.set("trace", None).unwrap();
        filter.0.go_back(first);
        assert_eq!(filter.current(), "trace");
    }
}

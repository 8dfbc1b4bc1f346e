//! Which events one filter lets through: those of `log.level`, every line of the audit trail, and
//! what requests with a debug header say below that level.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

use crate::telemetry::{RequestScope, audit};

/// `EnvFilter` for events alone. Enabling spans too would create those that no layer wants, at the
/// cost of an allocation each; only a filter that names spans (`[request]=debug`) needs them.
pub(in crate::telemetry) struct EventFilter {
    filter: EnvFilter,
    needs_spans: bool,
    own: Own,
    /// Whether requests may be debugged. Where none may, DEBUG costs nothing: its callsites are
    /// switched off for good, and not asked about for each event.
    armed: bool,
}

/// The crates whose events a debugged request logs. What libraries tell at DEBUG is not ours to
/// vouch for: it may be a header or a value.
#[derive(Clone)]
pub(super) struct Own(Arc<str>);

impl Own {
    pub(super) fn of(service: &str) -> Self {
        Self(service.replace('-', "_").into())
    }

    /// The chassis, the service, and the crates beside it (`service_migration`).
    fn has(&self, target: &str) -> bool {
        let name = target.split("::").next().unwrap_or(target);
        let beside = |rest: &str| rest.is_empty() || rest.starts_with('_');
        name == "chassis" || name.strip_prefix(&*self.0).is_some_and(beside)
    }
}

impl EventFilter {
    /// `filter` and the text that it was parsed from.
    pub(super) fn new(filter: EnvFilter, text: &str, own: Own, armed: bool) -> Self {
        Self { filter, needs_spans: text.contains('['), own, armed }
    }

    pub(super) fn arm(&mut self) {
        self.armed = true;
    }

    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }

    #[cfg(test)]
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    fn concerns(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() || self.needs_spans
    }

    /// Whether a debugged request logs such an event.
    fn may_be_debugged(&self, metadata: &Metadata<'_>) -> bool {
        self.armed
            && metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && self.own.has(metadata.target())
    }
}

impl<S: Subscriber> Filter<S> for EventFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.concerns(metadata)
            && (is_audit(metadata)
                || Filter::<S>::enabled(&self.filter, metadata, context)
                || (self.may_be_debugged(metadata) && is_debugged()))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.concerns(metadata) {
            return Interest::never();
        }
        if is_audit(metadata) {
            return Interest::always();
        }
        let interest = Filter::<S>::callsite_enabled(&self.filter, metadata);
        if interest.is_never() && self.may_be_debugged(metadata) {
            return Interest::sometimes();
        }
        interest
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The audit trail is told at WARN.
        let least = if self.armed { LevelFilter::DEBUG } else { LevelFilter::WARN };
        Filter::<S>::max_level_hint(&self.filter).map(|hint| hint.max(least))
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

fn is_audit(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == audit::TARGET
}

fn is_debugged() -> bool {
    RequestScope::with_current(|scope| scope.is_some_and(RequestScope::is_debug))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use tracing_subscriber::Registry;

    use super::*;
    use crate::telemetry::logs::parse_filter as parse;

    fn hint(text: &str, armed: bool) -> Option<LevelFilter> {
        let filter = parse(text).unwrap();
        let filter = EventFilter::new(filter, text, Own::of("belvedere"), armed);
        Filter::<Registry>::max_level_hint(&filter)
    }

    #[test]
    fn debug_is_switched_off_as_a_whole_unless_a_request_may_be_debugged() {
        assert_eq!(hint("info", false), Some(LevelFilter::INFO));
        assert_eq!(hint("info", true), Some(LevelFilter::DEBUG));
        assert_eq!(hint("trace", true), Some(LevelFilter::TRACE));
        assert_eq!(hint("off", false), Some(LevelFilter::WARN));
    }

    #[test]
    fn own_crates_are_the_chassis_the_service_and_those_beside_it() {
        let own = Own::of("user-directory");
        for target in
            ["chassis", "chassis::database", "user_directory::users", "user_directory_migration"]
        {
            assert!(own.has(target), "{target}");
        }
        for target in
            ["hyper", "h2::proto", "sqlx::query", "chassis_of_others", "user", "user_directoryx"]
        {
            assert!(!own.has(target), "{target}");
        }
    }
}

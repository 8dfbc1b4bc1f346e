//! The trail of what operators change in a running service, and of who was refused, named in the
//! vocabulary of OWASP's logging cheat sheet. Each change has a line and a count; refusals are all
//! counted, and told once a minute. Users' events are the service's.

mod refusals;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use prometheus::IntCounter;
use tracing::{field, warn};

use self::refusals::Refusals;
use super::Metrics;
use super::debug_header::Refused;
use super::logs::FilterChange;

/// Lines with this target are written whatever the filter: who silences the log is told of in it.
pub(in crate::telemetry) const TARGET: &str = "chassis::audit";

/// Activity of privileged users. The vocabulary has no word for the log level itself, and
/// `sys_monitor_disabled` would say too much of most changes.
const ADMIN: &str = "authz_admin";
/// An attempt without entitlement.
const FAIL: &str = "authz_fail";
/// A budget was spent.
const EXCESS: &str = "excess_rate_limit_exceeded";

/// Tells of changes and refusals. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    changes: IntCounter,
    /// Each kind has its own minute: a flood of one does not hide the first of the other.
    endpoints: Arc<Refusals>,
    debug_headers: Arc<Refusals>,
    excesses: IntCounter,
}

/// Tells of clients that exceed one budget.
pub(crate) struct BudgetAudit {
    policy: &'static str,
    refusals: Refusals,
}

impl Audit {
    pub(in crate::telemetry) fn new(metrics: &Metrics) -> Self {
        // An alert on their rate must see the first one, so the series begin at 0.
        let counter = |event| metrics.auth_events.with_label_values(&[event]);
        let refusals = |event| Arc::new(Refusals::new(counter(event)));
        Self {
            changes: counter(ADMIN),
            endpoints: refusals(FAIL),
            debug_headers: refusals(FAIL),
            excesses: counter(EXCESS),
        }
    }

    /// An operator has set another filter.
    pub(crate) fn filter_changed(&self, change: &FilterChange, client: Option<IpAddr>) {
        self.changes.inc();
        warn!(
            target: TARGET,
            {
                event.name = ADMIN,
                event.outcome = "success",
                client.address = client.map(field::display),
                log.filter.old = change.from,
                log.filter.new = change.to,
                returns_at = change.returns_at.map(rfc3339),
            },
            "log filter changed"
        );
    }

    /// The time of a filter is up.
    pub(in crate::telemetry) fn filter_returned(&self, change: &FilterChange) {
        self.changes.inc();
        warn!(
            target: TARGET,
            {
                event.name = ADMIN,
                event.outcome = "success",
                log.filter.old = change.from,
                log.filter.new = change.to,
            },
            "log filter returned"
        );
    }

    /// Somebody without the token asked for an operator's endpoint.
    pub(crate) fn refused(&self, path: &str, client: Option<IpAddr>) {
        let Some(count) = self.endpoints.count(Instant::now()) else {
            return;
        };
        warn!(
            target: TARGET,
            {
                event.name = FAIL,
                event.outcome = "failure",
                client.address = client.map(field::display),
                url.path = path,
                count,
            },
            "operator's endpoint refused"
        );
    }

    /// The first request with a debug header that is valid for longer than the ones before.
    pub(crate) fn debug_header_accepted(
        &self,
        id: &str,
        expires_at: DateTime<Utc>,
        client: Option<IpAddr>,
    ) {
        self.changes.inc();
        warn!(
            target: TARGET,
            {
                event.name = ADMIN,
                event.outcome = "success",
                client.address = client.map(field::display),
                debug.id = id,
                expires_at = rfc3339(expires_at),
            },
            "debug header accepted"
        );
    }

    /// A debug header that is not valid.
    pub(crate) fn debug_header_refused(&self, reason: Refused, client: Option<IpAddr>) {
        let Some(count) = self.debug_headers.count(Instant::now()) else {
            return;
        };
        warn!(
            target: TARGET,
            {
                event.name = FAIL,
                event.outcome = "failure",
                client.address = client.map(field::display),
                reason = %reason,
                count,
            },
            "debug header refused"
        );
    }

    /// For the budget of this name, which has its own minute as well.
    pub(crate) fn budget(&self, policy: &'static str) -> BudgetAudit {
        BudgetAudit { policy, refusals: Refusals::new(self.excesses.clone()) }
    }
}

impl BudgetAudit {
    /// A client called more often than it may.
    pub(crate) fn exceeded(&self, client: Option<IpAddr>) {
        let Some(count) = self.refusals.count(Instant::now()) else {
            return;
        };
        warn!(
            target: TARGET,
            {
                event.name = EXCESS,
                event.outcome = "failure",
                client.address = client.map(field::display),
                rate_limit.policy = self.policy,
                count,
            },
            "rate limit exceeded"
        );
    }
}

/// To the second, in UTC.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

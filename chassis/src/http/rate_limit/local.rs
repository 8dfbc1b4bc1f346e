//! Budgets that one process keeps for itself, in tower-governor's limiter.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use poem::http::Request;
use prometheus::IntGauge;
use tokio::sync::Notify;
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tracing::instrument::WithSubscriber;

use super::{Decision, EmptyBudget};
use crate::http::client_address::ClientKey;
use crate::http::exchange::Exchange;
use crate::http::quota::Rate;
use crate::telemetry::Telemetry;

/// Budgets that are full again are forgotten this often.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The most clients whose budgets are remembered, for each policy: some 10 MB. Where more come within
/// one window, all begin anew. Who commands so many addresses is not held by a budget for each, and to
/// refuse everyone that is new would do the attacker's work.
const CLIENTS_MAX: usize = 100_000;

/// A limiter, and what tower-governor would be set up by.
type Table = GovernorConfig<ByClient, StateInformationMiddleware>;

/// The budgets of one policy.
pub(super) struct LocalBudgets {
    policy: &'static str,
    rate: Rate,
    table: RwLock<Table>,
    most: usize,
    /// Clients that may be added before somebody has to look how many there are.
    room: AtomicI64,
    full: Arc<Notify>,
    tracked: IntGauge,
}

/// tower-governor finds the key where the stack has put it.
#[derive(Clone, Debug)]
struct ByClient;

impl LocalBudgets {
    /// Runs a sweeper on the current runtime while the budgets exist.
    pub(super) fn start(
        policy: &'static str,
        rate: Rate,
        telemetry: &Telemetry,
    ) -> Result<Arc<Self>, EmptyBudget> {
        Self::start_with(policy, rate, telemetry, CLIENTS_MAX)
    }

    fn start_with(
        policy: &'static str,
        rate: Rate,
        telemetry: &Telemetry,
        most: usize,
    ) -> Result<Arc<Self>, EmptyBudget> {
        let budgets = Arc::new(Self {
            policy,
            rate,
            table: RwLock::new(table(policy, rate)?),
            most,
            room: AtomicI64::new(signed(most)),
            full: Arc::new(Notify::new()),
            tracked: telemetry.metrics().rate_limit_tracked_keys.with_label_values(&[policy]),
        });
        let told = Arc::downgrade(&budgets);
        telemetry.metrics().refresh_by(move || {
            let budgets = told.upgrade();
            budgets.inspect(|budgets| budgets.tracked.set(signed(budgets.known()))).is_some()
        });
        let sweeper = sweep(Arc::downgrade(&budgets), Arc::clone(&budgets.full));
        tokio::spawn(sweeper.with_subscriber(telemetry.dispatch()));
        Ok(budgets)
    }

    /// Takes one request out of the client's budget.
    pub(super) fn decide(&self, key: ClientKey) -> Decision {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        match table.limiter().check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let spent = self.rate.count.saturating_sub(remaining);
                // The first request out of a full budget: a client that was perhaps not known.
                if spent <= 1 && self.room.fetch_sub(1, Ordering::Relaxed) == 1 {
                    self.full.notify_one();
                }
                Decision { allowed: true, remaining, reset: self.rate.period() * spent }
            }
            Err(refusal) => {
                let reset = refusal.wait_time_from(DefaultClock::default().now());
                Decision { allowed: false, remaining: 0, reset }
            }
        }
    }

    /// `is_full` where there may be no room: then half of it has to be free afterwards, for a sweep
    /// looks at every client and must not be due again soon.
    fn sweep(&self, is_full: bool) {
        let mut known = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let states = table.limiter();
            states.retain_recent();
            states.shrink_to_fit();
            states.len()
        };
        if is_full
            && known > self.most / 2
            && let Ok(empty) = table(self.policy, self.rate)
        {
            let policy = self.policy;
            tracing::warn!(policy, "too many clients at once: all budgets begin anew");
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = empty;
            known = 0;
        }
        self.room.store(signed(self.most.saturating_sub(known).max(1)), Ordering::Relaxed);
    }

    /// How many clients are remembered.
    fn known(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).limiter().len()
    }
}

impl KeyExtractor for ByClient {
    type Key = ClientKey;

    fn extract<T>(&self, request: &Request<T>) -> Result<ClientKey, GovernorError> {
        let exchange = request.extensions().get::<Arc<Exchange>>();
        exchange.map(|exchange| exchange.client.key()).ok_or(GovernorError::UnableToExtractKey)
    }
}

async fn sweep(budgets: Weak<LocalBudgets>, full: Arc<Notify>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        let is_full = tokio::select! {
            _ = ticks.tick() => false,
            () = full.notified() => true,
        };
        let Some(budgets) = budgets.upgrade() else {
            return;
        };
        budgets.sweep(is_full);
    }
}

fn table(policy: &'static str, rate: Rate) -> Result<Table, EmptyBudget> {
    let mut builder = GovernorConfigBuilder::default().key_extractor(ByClient).use_headers();
    builder.period(rate.period()).burst_size(rate.count);
    builder.finish().ok_or(EmptyBudget(policy))
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http::quota::whole_seconds;
    use crate::testing::Witness;

    fn budgets(witness: &Witness, rate: &str, most: usize) -> Arc<LocalBudgets> {
        let rate = rate.parse().unwrap();
        LocalBudgets::start_with("default", rate, witness.telemetry(), most).unwrap()
    }

    fn client(number: u32) -> ClientKey {
        ClientKey::of(Some(Ipv4Addr::from_bits(number).into()))
    }

    #[tokio::test]
    async fn a_spent_budget_tells_when_to_come_back() {
        let witness = Witness::new("test", "off");
        let budgets = budgets(&witness, "2/1m", CLIENTS_MAX);
        let decision = budgets.decide(client(1));
        assert!(decision.allowed);
        assert_eq!((decision.remaining, whole_seconds(decision.reset)), (1, 30));
        assert!(budgets.decide(client(1)).allowed);
        let refusal = budgets.decide(client(1));
        assert!(!refusal.allowed);
        assert!((29..=30).contains(&whole_seconds(refusal.reset)));
        assert!(budgets.decide(client(2)).allowed);
    }

    #[tokio::test]
    async fn a_scrape_sees_every_client_that_is_remembered_then() {
        let witness = Witness::new("test", "off");
        let budgets = budgets(&witness, "2/1m", CLIENTS_MAX);
        let tracked = || {
            let policy = [("policy", "default")];
            witness.metric("rate_limit_tracked_keys", &policy).to_string()
        };
        assert_eq!(tracked(), "0");
        for number in [1, 2, 2, 3] {
            assert!(budgets.decide(client(number)).allowed);
        }
        assert_eq!(tracked(), "3");
    }

    #[tokio::test]
    async fn a_flood_of_clients_does_not_make_the_table_grow() {
        let witness = Witness::new("test", "info");
        let budgets = budgets(&witness, "1/1h", 100);
        assert!(budgets.decide(client(0)).allowed);
        assert!(!budgets.decide(client(0)).allowed);
        for number in 1..10_000 {
            assert!(budgets.decide(client(number)).allowed);
            if number % 10 == 0 {
                // The sweeper gets its turn, as it does between requests that come by sockets.
                tokio::task::yield_now().await;
            }
            let known = budgets.known();
            assert!(known <= 120, "{known}");
        }
        assert!(budgets.decide(client(0)).allowed, "all budgets have begun anew");
        let told = witness.lines();
        let told = told
            .iter()
            .filter(|line| line["message"] == "too many clients at once: all budgets begin anew");
        assert!(told.count() > 10);
    }

    #[tokio::test]
    async fn clients_whose_budget_is_full_again_make_room_for_others() {
        let witness = Witness::new("test", "info");
        let budgets = budgets(&witness, "1000000/1s", 100);
        for number in 0..1000 {
            assert!(budgets.decide(client(number)).allowed);
            tokio::task::yield_now().await;
        }
        assert!(witness.lines().is_empty(), "nobody had to begin anew");
    }
}

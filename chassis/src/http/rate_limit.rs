//! Budgets per client, kept by tower-governor's limiter (GCRA) and told in the IETF's fields.
//!
//! tower-governor's own layer does not fit poem, keys by headers that anybody can write and tells
//! waits of 0 seconds; its configuration and its limiter are what is used here.

use std::sync::{Arc, Weak};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use poem::http::Method;
use poem::{Endpoint, Request, Result};
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;

use super::client_address::ClientKey;
use super::exchange::Exchange;
use super::quota::{Quota, Rate, whole_seconds};
use crate::problem::{Problem, ProblemType};
use crate::telemetry::Metrics;

/// Budgets that are full again are forgotten this often, and the gauge is no older.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

crate::settings! {
    /// How often one client may call.
    pub struct RateLimitSettings {
        /// Off for a service behind a gateway that limits.
        pub enabled: bool = true,
        /// Budget per client.
        pub default: Rate = Rate::per_minute(600),
        /// Budget per client where passwords are hashed: logins, registrations and new passwords.
        pub auth: Rate = Rate::per_minute(20),
    }
}

/// Says which requests come out of the `auth` budget, by method and route template.
pub type Strict = fn(&Method, &str) -> bool;

/// Refuses requests of clients whose budget is spent.
pub struct RateLimit<E> {
    inner: E,
    limiters: Option<Limiters>,
}

struct Limiters {
    default: Arc<Limiter>,
    auth: Arc<Limiter>,
    strict: Strict,
}

struct Limiter {
    policy: &'static str,
    rate: Rate,
    config: GovernorConfig<ByClient, StateInformationMiddleware>,
    metrics: Metrics,
}

/// A budget of nothing. A [`Rate`] that was parsed is never so.
#[derive(Debug, thiserror::Error)]
#[error("the rate limit policy {0} allows no request at all")]
pub struct EmptyBudget(&'static str);

/// tower-governor finds the key where the stack has put it.
#[derive(Clone, Debug)]
struct ByClient;

impl<E> RateLimit<E> {
    /// Limits what reaches `inner`. Runs a sweeper on the current runtime while the limit exists.
    pub fn new(
        inner: E,
        settings: &RateLimitSettings,
        strict: Strict,
        metrics: &Metrics,
    ) -> Result<Self, EmptyBudget> {
        let limiters = || {
            Ok(Limiters {
                default: Limiter::start("default", settings.default, metrics)?,
                auth: Limiter::start("auth", settings.auth, metrics)?,
                strict,
            })
        };
        let limiters = settings.enabled.then(limiters).transpose()?;
        Ok(Self { inner, limiters })
    }
}

impl<E: Endpoint> Endpoint for RateLimit<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        if let (Some(limiters), Some(exchange)) = (&self.limiters, Exchange::of(&request)) {
            let strict = (limiters.strict)(request.method(), exchange.route_template());
            let limiter = if strict { &limiters.auth } else { &limiters.default };
            let (allowed, quota) = limiter.decide(exchange.client.key());
            let wait = quota.reset;
            // Set once: a request passes the limiter once.
            let _ = exchange.quota.set(quota);
            if !allowed {
                let problem =
                    Problem::new(&ProblemType::TOO_MANY_REQUESTS).retry_after(whole_seconds(wait));
                return Err(problem.detail("the client's budget is spent").into());
            }
        }
        self.inner.call(request).await
    }
}

impl Limiter {
    fn start(
        policy: &'static str,
        rate: Rate,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, EmptyBudget> {
        let mut builder = GovernorConfigBuilder::default().key_extractor(ByClient).use_headers();
        builder.period(rate.period()).burst_size(rate.count);
        let limiter = Arc::new(Self {
            policy,
            rate,
            config: builder.finish().ok_or(EmptyBudget(policy))?,
            metrics: metrics.clone(),
        });
        // An alert on their rate must see the first refusal, so the series begin at 0.
        for decision in ["allowed", "limited"] {
            metrics.rate_limit_decisions.with_label_values(&[policy, decision]);
        }
        metrics.rate_limit_tracked_keys.with_label_values(&[policy]);
        tokio::spawn(sweep(Arc::downgrade(&limiter)));
        Ok(limiter)
    }

    fn decide(&self, key: ClientKey) -> (bool, Quota) {
        let decision = self.config.limiter().check_key(&key);
        let (allowed, remaining, reset) = match decision {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let spent = self.rate.count.saturating_sub(remaining);
                (true, remaining, self.rate.period() * spent)
            }
            Err(refusal) => (false, 0, refusal.wait_time_from(DefaultClock::default().now())),
        };
        let label = if allowed { "allowed" } else { "limited" };
        self.metrics.rate_limit_decisions.with_label_values(&[self.policy, label]).inc();
        (allowed, Quota { policy: self.policy, rate: self.rate, remaining, reset })
    }
}

impl KeyExtractor for ByClient {
    type Key = ClientKey;

    fn extract<T>(&self, request: &poem::http::Request<T>) -> Result<ClientKey, GovernorError> {
        let exchange = request.extensions().get::<Arc<Exchange>>();
        exchange.map(|exchange| exchange.client.key()).ok_or(GovernorError::UnableToExtractKey)
    }
}

async fn sweep(limiter: Weak<Limiter>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let Some(limiter) = limiter.upgrade() else {
            return;
        };
        let states = limiter.config.limiter();
        states.retain_recent();
        states.shrink_to_fit();
        let keys = i64::try_from(states.len()).unwrap_or(i64::MAX);
        limiter.metrics.rate_limit_tracked_keys.with_label_values(&[limiter.policy]).set(keys);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spent_budget_tells_when_to_come_back() {
        let metrics = Metrics::new().unwrap();
        let limiter = Limiter::start("default", "2/1m".parse().unwrap(), &metrics).unwrap();
        let key = ClientKey::default();
        let (allowed, quota) = limiter.decide(key);
        assert!(allowed);
        assert_eq!(quota.policy_field().unwrap(), "\"default\";q=2;w=60");
        assert_eq!(quota.field().unwrap(), "\"default\";r=1;t=30");
        assert!(limiter.decide(key).0);
        let (allowed, quota) = limiter.decide(key);
        assert!(!allowed);
        assert!((29..=30).contains(&whole_seconds(quota.reset)), "{quota:?}");
    }
}

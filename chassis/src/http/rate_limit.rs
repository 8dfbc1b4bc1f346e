//! Budgets per client, by the generic cell rate algorithm (GCRA) and told in the IETF's fields.
//!
//! tower-governor's own layer does not fit poem, keys by headers that anybody can write and tells
//! waits of 0 seconds; its configuration and its limiter are what is used here. Where replicas share
//! budgets, Redis runs the same algorithm.

mod local;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use poem::http::Method;
use poem::{Endpoint, Request, Result};

use self::local::LocalBudgets;
use self::shared::SharedBudgets;
use super::client_address::ClientKey;
use super::exchange::Exchange;
use super::quota::{Quota, Rate, whole_seconds};
use crate::privacy::Secret;
use crate::problem::{Problem, ProblemType};
use crate::settings::Report;
use crate::telemetry::audit::BudgetAudit;
use crate::telemetry::{Metrics, Telemetry};

crate::settings! {
    /// How often one client may call.
    pub struct RateLimitSettings {
        /// Off for a service behind a gateway that limits.
        pub enabled: bool = true,
        /// Budget per client.
        pub default: Rate = Rate::per_minute(600),
        /// Budget per client where passwords are hashed: logins, registrations and new passwords.
        pub auth: Rate = Rate::per_minute(20),
        /// Redis that keeps the budgets, so that replicas share them; while it is gone each has its own.
        pub redis_url: Option<Secret> = None,
        /// Begins the name of every key in Redis.
        pub redis_prefix: String = "rate_limit".to_owned(),
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
    default: Limiter,
    auth: Limiter,
    strict: Strict,
    shared: Option<SharedBudgets>,
}

struct Limiter {
    policy: &'static str,
    rate: Rate,
    local: Arc<LocalBudgets>,
    metrics: Metrics,
    audit: BudgetAudit,
}

/// What becomes of one request.
struct Decision {
    allowed: bool,
    remaining: u32,
    /// Until the budget is full again or, when it is spent, until the next request.
    reset: Duration,
}

/// Why there can be no limit. Settings that were checked give no reason.
#[derive(Debug, thiserror::Error)]
pub enum RateLimitError {
    /// A budget of nothing. A [`Rate`] that was parsed is never so.
    #[error(transparent)]
    EmptyBudget(#[from] EmptyBudget),
    /// No URL of a Redis.
    #[error("rate_limit.redis_url cannot be used")]
    RedisUrl(#[source] redis::RedisError),
}

/// A budget of nothing.
#[derive(Debug, thiserror::Error)]
#[error("the rate limit policy {0} allows no request at all")]
pub struct EmptyBudget(&'static str);

impl RateLimitSettings {
    /// Reports what no Redis can be found by.
    pub fn check(&self, report: &mut Report) {
        if self.redis_url.as_ref().is_some_and(|url| shared::client(url.expose()).is_err()) {
            report.reject(
                "rate_limit.redis_url",
                "a URL that begins with redis:, rediss: or unix:, such as redis://:password@redis.example.com/0",
            );
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        let length = 1..=64;
        if !length.contains(&self.redis_prefix.len()) || !self.redis_prefix.bytes().all(is_plain) {
            report.reject("rate_limit.redis_prefix", "1 to 64 characters of [A-Za-z0-9_.:-]");
        }
    }
}

impl<E> RateLimit<E> {
    /// Limits what reaches `inner`. Runs a sweeper on the current runtime while the limit exists.
    pub fn new(
        inner: E,
        settings: &RateLimitSettings,
        strict: Strict,
        telemetry: &Telemetry,
    ) -> Result<Self, RateLimitError> {
        let limiters = || Limiters::start(settings, strict, telemetry);
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
            let Decision { allowed, remaining, reset } =
                limiters.decide(limiter, exchange.client.key()).await;
            let (policy, rate) = (limiter.policy, limiter.rate);
            // Set once: a request passes the limiter once.
            let _ = exchange.quota.set(Quota { policy, rate, remaining, reset });
            if !allowed {
                limiter.audit.exceeded(exchange.client.address);
                let problem =
                    Problem::new(&ProblemType::TOO_MANY_REQUESTS).retry_after(whole_seconds(reset));
                return Err(problem.detail("the client's budget is spent").into());
            }
        }
        self.inner.call(request).await
    }
}

impl Limiters {
    fn start(
        settings: &RateLimitSettings,
        strict: Strict,
        telemetry: &Telemetry,
    ) -> Result<Self, RateLimitError> {
        // An alert on their rate must see the first failure, so the series begin at 0.
        for operation in ["decide", "connect"] {
            telemetry.metrics().rate_limit_store_errors.with_label_values(&[operation]);
        }
        let shared = settings.redis_url.as_ref().map(|url| {
            SharedBudgets::start(url.expose(), &settings.redis_prefix, telemetry)
                .map_err(RateLimitError::RedisUrl)
        });
        Ok(Self {
            default: Limiter::start("default", settings.default, telemetry)?,
            auth: Limiter::start("auth", settings.auth, telemetry)?,
            strict,
            shared: shared.transpose()?,
        })
    }

    async fn decide(&self, limiter: &Limiter, key: ClientKey) -> Decision {
        let shared = match &self.shared {
            // Boxed, or every request without Redis would be as large as one with it.
            Some(shared) => Box::pin(shared.decide(limiter.policy, limiter.rate, key)).await,
            None => None,
        };
        let mut decision = shared.unwrap_or_else(|| limiter.local.decide(key));
        if !decision.allowed {
            // Time goes on while the wait is computed, and a client that is told 0 comes back at once.
            decision.reset = decision.reset.max(Duration::from_nanos(1));
        }
        limiter.count(&decision);
        decision
    }
}

impl Limiter {
    fn start(policy: &'static str, rate: Rate, telemetry: &Telemetry) -> Result<Self, EmptyBudget> {
        let metrics = telemetry.metrics().clone();
        // An alert on their rate must see the first refusal, so the series begin at 0.
        for decision in ["allowed", "limited"] {
            metrics.rate_limit_decisions.with_label_values(&[policy, decision]);
        }
        let local = LocalBudgets::start(policy, rate, telemetry)?;
        Ok(Self { policy, rate, local, metrics, audit: telemetry.audit().budget(policy) })
    }

    fn count(&self, decision: &Decision) {
        let label = if decision.allowed { "allowed" } else { "limited" };
        self.metrics.rate_limit_decisions.with_label_values(&[self.policy, label]).inc();
    }
}

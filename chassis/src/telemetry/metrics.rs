//! The metric families of one service, and the registry that they are in.
//!
//! A [`Metrics`] owns its registry, so that two services in one process stay apart. Names, labels,
//! buckets and meanings are rows of `catalogue::metrics`, and families are made from nothing else. How
//! a registry becomes text is in `exposition`; when a metric moves is decided where the thing happens.

pub mod exemplars;
pub mod http;
mod registrar;
mod slots;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use self::exemplars::{ExemplarFilter, ExemplarHistogramVec};
use self::http::HttpMetrics;
use super::catalogue::labels::{LEVELS, OUTCOMES, RETRY_OUTCOMES, TLS_FAILURES};
use super::catalogue::metrics as rows;
#[cfg(target_os = "linux")]
use super::process::ProcessCollector;
use super::runtime::RuntimeCollector;

pub use self::registrar::Registrar;

/// The metric families of one service, with the registry that they are in. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

/// Brings a gauge up to date; false where there is nothing to be asked any more.
type Refresh = Box<dyn Fn() -> bool + Send>;

/// One field for each family that something else than a collector moves.
pub struct Families {
    registry: Registry,
    refreshed: Mutex<Vec<Refresh>>,
    /// Which observations become exemplars.
    pub exemplars: ExemplarFilter,
    /// Requests: how many are in flight, how they ended, how large they were.
    pub http: HttpMetrics,
    /// Label: reason.
    pub http_shed_requests: IntCounterVec,
    /// Labels: policy, decision (`allowed` or `limited`).
    pub rate_limit_decisions: IntCounterVec,
    /// Label: policy.
    pub rate_limit_tracked_keys: IntGaugeVec,
    /// Whether budgets are kept in Redis.
    pub rate_limit_store_in_use: IntGauge,
    /// Label: operation.
    pub rate_limit_store_errors: IntCounterVec,
    /// Labels: system, operation, collection, error type (empty on success).
    pub db_operation_duration: ExemplarHistogramVec,
    /// Labels: pool, state (`idle` or `used`).
    pub db_connections: IntGaugeVec,
    /// Label: pool.
    pub db_connections_max: IntGaugeVec,
    /// Label: pool.
    pub db_connection_wait: HistogramVec,
    /// Label: pool.
    pub db_connection_timeouts: IntCounterVec,
    /// Statements slower than `database.slow_query`.
    pub db_slow_queries: IntCounter,
    /// Label: outcome (`retried` or `given_up`). Transactions that the database gave up for others.
    pub db_retries: IntCounterVec,
    /// 1 while reads of GET requests go to `database.read_url`.
    pub db_replica_in_use: IntGauge,
    /// Migrations that this binary knows and the database lacks.
    pub schema_migrations_pending: IntGauge,
    /// Label: operation (`hash` or `verify`).
    pub password_hash_duration: ExemplarHistogramVec,
    /// Hashes that wait for a turn.
    pub password_hash_queue: IntGauge,
    /// Label: operation.
    pub password_hash_rejected: IntCounterVec,
    /// Label: event, in OWASP's vocabulary.
    pub auth_events: IntCounterVec,
    /// Label: outcome (`success` or `failure`). Attempts to fetch the keys of an outside issuer.
    pub oidc_keys_refresh: IntCounterVec,
    /// Unix time in seconds.
    pub oidc_keys_last_success: Gauge,
    /// Label: level.
    pub log_events: IntCounterVec,
    /// Label: output (`stdout` or `file`). Log lines that it did not take, or not in time.
    pub log_lines_dropped: IntCounterVec,
    /// Label: signal (`traces` or `logs`). Items that the collector took.
    pub telemetry_exported: IntCounterVec,
    /// Label: signal. Items given up because the queue was full.
    pub telemetry_dropped: IntCounterVec,
    /// Label: signal. Items that the collector did not take.
    pub telemetry_failed: IntCounterVec,
    /// Label: signal. Unix time in seconds.
    pub telemetry_last_success: GaugeVec,
    /// Label: check; 1 ready, 0 not.
    pub readiness: IntGaugeVec,
    /// Seconds from the start of the process to its ready line.
    pub startup_duration: Gauge,
    /// Connections that the listener holds open.
    pub server_connections: IntGauge,
    /// Label: reason.
    pub tls_handshake_failures: IntCounterVec,
    /// Unix time in seconds.
    pub tls_certificate_expiry: Gauge,
}

impl std::ops::Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

impl Metrics {
    /// Creates every family and registers it in a registry of its own. Exemplars lead to sampled traces.
    pub fn new() -> prometheus::Result<Self> {
        Self::with_exemplars(ExemplarFilter::default())
    }

    /// The same with another choice of exemplars.
    pub fn with_exemplars(exemplars: ExemplarFilter) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &Registrar::new(&registry);
        let families = Families {
            exemplars,
            http: HttpMetrics::new(
                r.exemplar_histograms(&rows::HTTP_REQUEST_DURATION)?,
                r.gauges(&rows::HTTP_ACTIVE_REQUESTS)?,
                r.histograms(&rows::HTTP_REQUEST_BODY_SIZE)?,
                r.histograms(&rows::HTTP_RESPONSE_BODY_SIZE)?,
            ),
            http_shed_requests: r.counters(&rows::HTTP_SHED_REQUESTS)?,
            rate_limit_decisions: r.counters(&rows::RATE_LIMIT_DECISIONS)?,
            rate_limit_tracked_keys: r.gauges(&rows::RATE_LIMIT_TRACKED_KEYS)?,
            rate_limit_store_in_use: r.gauge(&rows::RATE_LIMIT_STORE_IN_USE)?,
            rate_limit_store_errors: r.counters(&rows::RATE_LIMIT_STORE_ERRORS)?,
            db_operation_duration: r.exemplar_histograms(&rows::DB_OPERATION_DURATION)?,
            db_connections: r.gauges(&rows::DB_CONNECTIONS)?,
            db_connections_max: r.gauges(&rows::DB_CONNECTIONS_MAX)?,
            db_connection_wait: r.histograms(&rows::DB_CONNECTION_WAIT)?,
            db_connection_timeouts: r.counters(&rows::DB_CONNECTION_TIMEOUTS)?,
            db_slow_queries: r.counter(&rows::DB_SLOW_QUERIES)?,
            db_retries: r.counters(&rows::DB_RETRIES)?,
            db_replica_in_use: r.gauge(&rows::DB_REPLICA_IN_USE)?,
            schema_migrations_pending: r.gauge(&rows::SCHEMA_MIGRATIONS_PENDING)?,
            password_hash_duration: r.exemplar_histograms(&rows::PASSWORD_HASH_DURATION)?,
            password_hash_queue: r.gauge(&rows::PASSWORD_HASH_QUEUE)?,
            password_hash_rejected: r.counters(&rows::PASSWORD_HASH_REJECTED)?,
            auth_events: r.counters(&rows::AUTH_EVENTS)?,
            oidc_keys_refresh: r.counters(&rows::OIDC_KEYS_REFRESH)?,
            oidc_keys_last_success: r.float_gauge(&rows::OIDC_KEYS_LAST_SUCCESS)?,
            log_events: r.counters(&rows::LOG_EVENTS)?,
            log_lines_dropped: r.counters(&rows::LOG_LINES_DROPPED)?,
            telemetry_exported: r.counters(&rows::TELEMETRY_EXPORTED)?,
            telemetry_dropped: r.counters(&rows::TELEMETRY_DROPPED)?,
            telemetry_failed: r.counters(&rows::TELEMETRY_FAILED)?,
            telemetry_last_success: r.float_gauges(&rows::TELEMETRY_LAST_SUCCESS)?,
            readiness: r.gauges(&rows::READINESS)?,
            startup_duration: r.float_gauge(&rows::STARTUP_DURATION)?,
            server_connections: r.gauge(&rows::HTTP_CONNECTIONS)?,
            tls_handshake_failures: r.counters(&rows::TLS_HANDSHAKE_FAILURES)?,
            tls_certificate_expiry: r.float_gauge(&rows::TLS_CERTIFICATE_EXPIRY)?,
            registry: registry.clone(),
            refreshed: Mutex::default(),
        };
        families.begin_at_zero();
        // It reads `/proc`.
        #[cfg(target_os = "linux")]
        registry.register(Box::new(ProcessCollector::new()?))?;
        registry.register(Box::new(RuntimeCollector::new()?))?;
        Ok(Self(Arc::new(families)))
    }

    /// Creates families of the service's own, for example `users_created_total`, from rows that it
    /// adds to its catalogue.
    pub fn registrar(&self) -> Registrar<'_> {
        Registrar::new(&self.0.registry)
    }

    /// Adds a collector of the service's own.
    pub fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.registrar().add(collector)
    }

    /// Calls this before each answer to a scrape, until it says false: for gauges over what counts
    /// itself, and that no request should have to keep.
    pub(crate) fn refresh_by(&self, refresh: impl Fn() -> bool + Send + 'static) {
        self.refreshed().push(Box::new(refresh));
    }

    /// What every family says at this moment.
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.refreshed().retain(|refresh| refresh());
        self.registry.gather()
    }

    /// The families whose buckets lead to traces.
    pub(super) fn with_exemplar_slots(&self) -> [&ExemplarHistogramVec; 3] {
        [self.http.durations(), &self.db_operation_duration, &self.password_hash_duration]
    }
}

impl Families {
    fn refreshed(&self) -> MutexGuard<'_, Vec<Refresh>> {
        self.refreshed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An alert on a rate must see the first event, so its series begin at 0.
    fn begin_at_zero(&self) {
        for level in LEVELS {
            self.log_events.with_label_values(&[level]);
        }
        for outcome in RETRY_OUTCOMES {
            self.db_retries.with_label_values(&[outcome]);
        }
        for reason in TLS_FAILURES {
            self.tls_handshake_failures.with_label_values(&[reason]);
        }
        for outcome in OUTCOMES {
            self.oidc_keys_refresh.with_label_values(&[outcome]);
        }
    }
}

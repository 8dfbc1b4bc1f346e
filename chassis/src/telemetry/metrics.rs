//! Every metric that the chassis exposes: its name, labels and buckets, in one place.
//!
//! A [`Metrics`] owns its registry, so that two services in one process stay apart. Names follow
//! OpenTelemetry's semantic conventions in their Prometheus spelling. How a registry becomes text
//! is in `exposition`; when a metric moves is decided where the thing happens.

use std::sync::Arc;

use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use super::runtime::RuntimeCollector;

/// OpenTelemetry's advice for `http.server.request.duration`, in seconds.
const HTTP_DURATION_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// OpenTelemetry's advice for `db.client.operation.duration`, in seconds.
const DB_DURATION_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// From an empty body to the default body limit (1 MiB), in powers of four.
const BODY_SIZE_BUCKETS: &[f64] =
    &[0.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// One argon2id hash takes some 20 ms; the rest shows waiting in the queue and slow machines.
const HASH_DURATION_BUCKETS: &[f64] = &[0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The metric families of one service, with the registry that they are in. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

/// See the contract's table of metrics; the fields are named after it.
pub struct Families {
    registry: Registry,
    /// Labels: method, route, status, scheme, error type (empty below 500).
    pub http_request_duration: HistogramVec,
    /// Labels: method, scheme.
    pub http_active_requests: IntGaugeVec,
    /// Labels: method, route.
    pub http_request_body_size: HistogramVec,
    /// Labels: method, route.
    pub http_response_body_size: HistogramVec,
    /// Label: reason.
    pub http_shed_requests: IntCounterVec,
    /// Labels: policy, decision (`allowed` or `limited`).
    pub rate_limit_decisions: IntCounterVec,
    /// Label: policy.
    pub rate_limit_tracked_keys: IntGaugeVec,
    /// Labels: system, operation, collection, error type (empty on success).
    pub db_operation_duration: HistogramVec,
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
    /// Migrations that this binary knows and the database lacks.
    pub schema_migrations_pending: IntGauge,
    /// Label: operation (`hash` or `verify`).
    pub password_hash_duration: HistogramVec,
    /// Hashes that wait for a turn.
    pub password_hash_queue: IntGauge,
    /// Label: operation.
    pub password_hash_rejected: IntCounterVec,
    /// Label: event, in OWASP's vocabulary.
    pub auth_events: IntCounterVec,
    /// Label: level.
    pub log_events: IntCounterVec,
    /// Log lines given up because their destination was slower than the service.
    pub log_lines_dropped: IntCounter,
    /// Label: signal (`traces`). Items that the collector took.
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
}

impl std::ops::Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

impl Metrics {
    /// Creates every family and registers it in a registry of its own.
    #[expect(clippy::too_many_lines, reason = "a plain list of families")]
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &Registrar(&registry);
        let families = Families {
            http_request_duration: r.histograms(
                "http_server_request_duration_seconds",
                "Duration of HTTP server requests.",
                HTTP_DURATION_BUCKETS,
                &[
                    "http_request_method",
                    "http_route",
                    "http_response_status_code",
                    "url_scheme",
                    "error_type",
                ],
            )?,
            http_active_requests: r.gauges(
                "http_server_active_requests",
                "HTTP server requests in flight.",
                &["http_request_method", "url_scheme"],
            )?,
            http_request_body_size: r.histograms(
                "http_server_request_body_size_bytes",
                "Size of HTTP server request bodies.",
                BODY_SIZE_BUCKETS,
                &["http_request_method", "http_route"],
            )?,
            http_response_body_size: r.histograms(
                "http_server_response_body_size_bytes",
                "Size of HTTP server response bodies.",
                BODY_SIZE_BUCKETS,
                &["http_request_method", "http_route"],
            )?,
            http_shed_requests: r.counters(
                "http_server_shed_requests_total",
                "Requests refused to protect the service.",
                &["reason"],
            )?,
            rate_limit_decisions: r.counters(
                "rate_limit_decisions_total",
                "Decisions of the rate limiter.",
                &["policy", "decision"],
            )?,
            rate_limit_tracked_keys: r.gauges(
                "rate_limit_tracked_keys",
                "Clients whose budget the rate limiter remembers.",
                &["policy"],
            )?,
            db_operation_duration: r.histograms(
                "db_client_operation_duration_seconds",
                "Duration of database statements, waiting for a connection included.",
                DB_DURATION_BUCKETS,
                &["db_system_name", "db_operation_name", "db_collection_name", "error_type"],
            )?,
            db_connections: r.gauges(
                "db_client_connection_count",
                "Database connections by state.",
                &["db_client_connection_pool_name", "db_client_connection_state"],
            )?,
            db_connections_max: r.gauges(
                "db_client_connection_max",
                "Database connections that the pool may open.",
                &["db_client_connection_pool_name"],
            )?,
            db_connection_wait: r.histograms(
                "db_client_connection_wait_time_seconds",
                "Time spent waiting for a database connection.",
                DB_DURATION_BUCKETS,
                &["db_client_connection_pool_name"],
            )?,
            db_connection_timeouts: r.counters(
                "db_client_connection_timeouts_total",
                "Waits for a database connection that were given up.",
                &["db_client_connection_pool_name"],
            )?,
            db_slow_queries: r.counter(
                "db_client_slow_queries_total",
                "Statements slower than database.slow_query.",
            )?,
            schema_migrations_pending: r.gauge(
                "schema_migrations_pending",
                "Migrations that this binary knows and the database lacks.",
            )?,
            password_hash_duration: r.histograms(
                "password_hash_duration_seconds",
                "Duration of password hashing, without waiting for a turn.",
                HASH_DURATION_BUCKETS,
                &["operation"],
            )?,
            password_hash_queue: r
                .gauge("password_hash_queue", "Password hashes that wait for a turn.")?,
            password_hash_rejected: r.counters(
                "password_hash_rejected_total",
                "Password hashes refused because the queue was full.",
                &["operation"],
            )?,
            auth_events: r.counters(
                "auth_events_total",
                "Security events in OWASP's vocabulary.",
                &["event"],
            )?,
            log_events: r.counters("log_events_total", "Log events written.", &["level"])?,
            log_lines_dropped: r.counter(
                "log_lines_dropped_total",
                "Log lines given up because their destination was too slow.",
            )?,
            telemetry_exported: r.counters(
                "telemetry_exported_total",
                "Spans that the collector took.",
                &["signal"],
            )?,
            telemetry_dropped: r.counters(
                "telemetry_dropped_total",
                "Spans given up because the queue was full.",
                &["signal"],
            )?,
            telemetry_failed: r.counters(
                "telemetry_failed_total",
                "Spans that the collector did not take.",
                &["signal"],
            )?,
            telemetry_last_success: r.add(GaugeVec::new(
                Opts::new(
                    "telemetry_last_success_timestamp_seconds",
                    "Unix time of the last export that went well.",
                ),
                &["signal"],
            )?)?,
            readiness: r.gauges("readiness", "1 while the check passes, else 0.", &["check"])?,
            startup_duration: r.float_gauge(
                "startup_duration_seconds",
                "Time from the start of the process to its ready line.",
            )?,
            server_connections: r.gauge(
                "http_server_connections",
                "Client connections that the listener holds open.",
            )?,
            registry: registry.clone(),
        };
        // It reads `/proc`.
        #[cfg(target_os = "linux")]
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(RuntimeCollector::new()?))?;
        Ok(Self(Arc::new(families)))
    }

    /// Adds a family of the service's own, for example `users_created_total`.
    pub fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Adds an `_info` gauge: always 1, its facts in the labels.
    pub fn register_info(
        &self,
        name: &str,
        help: &str,
        facts: &[(String, String)],
    ) -> prometheus::Result<()> {
        let mut opts = Opts::new(name, help);
        for (label, value) in facts {
            opts = opts.const_label(label, value);
        }
        self.register(Gauge::with_opts(opts)?)?.set(1.0);
        Ok(())
    }

    /// What every family says at this moment.
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}

/// Creates a family and registers it in one step.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels)?)
    }
}

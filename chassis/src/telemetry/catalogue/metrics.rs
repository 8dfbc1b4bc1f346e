//! Every metric of the chassis: name, type, buckets, labels, meaning. Families are registered from
//! these rows in `telemetry::metrics`, `process`, `runtime` and `resource`.

use super::MetricRow;
use super::labels::{
    CHECK, COMPILER, DB_COLLECTION, DB_ERROR, DB_OPERATION, DB_SYSTEM, DECISION, EVENT, HASHING,
    HTTP_ERROR, LEVEL, METHOD, OUTCOME, OUTPUT, POLICY, POOL, POOL_STATE, RESOURCE, RETRY_OUTCOME,
    REVISION, ROUTE, SCHEME, SHED_REASON, SIGNAL, STATUS, STORE_OPERATION, TLS_FAILURE, VERSION,
};

/// OpenTelemetry's advice for `http.server.request.duration`, in seconds.
const HTTP_DURATION: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// OpenTelemetry's advice for `db.client.operation.duration`, in seconds.
const DB_DURATION: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// From an empty body to the default body limit (1 MiB), in powers of four.
const BODY_SIZE: &[f64] =
    &[0.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// One argon2id hash takes some 20 ms; the rest shows waiting in the queue and slow machines.
const HASH_DURATION: &[f64] = &[0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Declares rows and the list of them in one step, so that none is left out.
macro_rules! rows {
    ($($row:ident = $value:expr;)*) => {
        $(pub(crate) const $row: MetricRow = $value;)*
        /// Every row, in the order of this file.
        pub const ALL: &[MetricRow] = &[$($row),*];
    };
}

rows! {
    HTTP_REQUEST_DURATION = MetricRow::histogram(
        "http_server_request_duration_seconds",
        "Duration of HTTP server requests.",
        HTTP_DURATION,
    ).labels(&[METHOD, ROUTE, STATUS, SCHEME, HTTP_ERROR]).with_exemplars();
    HTTP_ACTIVE_REQUESTS = MetricRow::gauge(
        "http_server_active_requests",
        "HTTP server requests in flight.",
    ).labels(&[METHOD, SCHEME]);
    HTTP_REQUEST_BODY_SIZE = MetricRow::histogram(
        "http_server_request_body_size_bytes",
        "Size of HTTP server request bodies, as far as they were read.",
        BODY_SIZE,
    ).labels(&[METHOD, ROUTE]);
    HTTP_RESPONSE_BODY_SIZE = MetricRow::histogram(
        "http_server_response_body_size_bytes",
        "Size of HTTP server response bodies.",
        BODY_SIZE,
    ).labels(&[METHOD, ROUTE]);
    HTTP_SHED_REQUESTS = MetricRow::counter(
        "http_server_shed_requests_total",
        "Requests refused to protect the service.",
    ).labels(&[SHED_REASON]);
    HTTP_CONNECTIONS = MetricRow::gauge(
        "http_server_connections",
        "Client connections that the listener holds open.",
    );
    TLS_HANDSHAKE_FAILURES = MetricRow::counter(
        "tls_handshake_failures_total",
        "Connections that did not come to speak TLS; a client refuses when it does not trust the certificate.",
    ).labels(&[TLS_FAILURE]);
    TLS_CERTIFICATE_EXPIRY = MetricRow::gauge(
        "tls_certificate_expiry_timestamp_seconds",
        "Unix time at which the listener's certificate expires; 0 without TLS.",
    );
    RATE_LIMIT_DECISIONS = MetricRow::counter(
        "rate_limit_decisions_total",
        "Decisions of the rate limiter.",
    ).labels(&[POLICY, DECISION]);
    RATE_LIMIT_TRACKED_KEYS = MetricRow::gauge(
        "rate_limit_tracked_keys",
        "Clients whose budget the rate limiter remembers.",
    ).labels(&[POLICY]);
    RATE_LIMIT_STORE_IN_USE = MetricRow::gauge(
        "rate_limit_store_in_use",
        "1 while budgets are kept in rate_limit.redis_url; 0 without one, or while it is gone.",
    );
    RATE_LIMIT_STORE_ERRORS = MetricRow::counter(
        "rate_limit_store_errors_total",
        "What Redis refused or did not answer in time.",
    ).labels(&[STORE_OPERATION]);

    DB_OPERATION_DURATION = MetricRow::histogram(
        "db_client_operation_duration_seconds",
        "Duration of database statements, waiting for a connection included.",
        DB_DURATION,
    ).labels(&[DB_SYSTEM, DB_OPERATION, DB_COLLECTION, DB_ERROR]).with_exemplars();
    DB_CONNECTIONS = MetricRow::gauge(
        "db_client_connection_count",
        "Database connections by state.",
    ).labels(&[POOL, POOL_STATE]);
    DB_CONNECTIONS_MAX = MetricRow::gauge(
        "db_client_connection_max",
        "Database connections that the pool may open.",
    ).labels(&[POOL]);
    DB_CONNECTION_WAIT = MetricRow::histogram(
        "db_client_connection_wait_time_seconds",
        "Time spent waiting for a database connection.",
        DB_DURATION,
    ).labels(&[POOL]);
    DB_CONNECTION_TIMEOUTS = MetricRow::counter(
        "db_client_connection_timeouts_total",
        "Waits for a database connection that were given up.",
    ).labels(&[POOL]);
    DB_SLOW_QUERIES = MetricRow::counter(
        "db_client_slow_queries_total",
        "Statements slower than database.slow_query.",
    );
    DB_RETRIES = MetricRow::counter(
        "db_client_retries_total",
        "Attempts that the database gave up for another transaction, by what became of them.",
    ).labels(&[RETRY_OUTCOME]);
    DB_REPLICA_IN_USE = MetricRow::gauge(
        "db_replica_in_use",
        "1 while reads of GET requests go to database.read_url; 0 without one, or while it is gone.",
    );
    SCHEMA_MIGRATIONS_PENDING = MetricRow::gauge(
        "schema_migrations_pending",
        "Migrations that this binary knows and the database lacks.",
    );

    PASSWORD_HASH_DURATION = MetricRow::histogram(
        "password_hash_duration_seconds",
        "Duration of password hashing, without waiting for a turn.",
        HASH_DURATION,
    ).labels(&[HASHING]).with_exemplars();
    PASSWORD_HASH_QUEUE = MetricRow::gauge(
        "password_hash_queue",
        "Password hashes that wait for a turn.",
    );
    PASSWORD_HASH_REJECTED = MetricRow::counter(
        "password_hash_rejected_total",
        "Password hashes refused because the queue was full.",
    ).labels(&[HASHING]);
    AUTH_EVENTS = MetricRow::counter(
        "auth_events_total",
        "Security events in OWASP's vocabulary.",
    ).labels(&[EVENT]);

    OIDC_KEYS_REFRESH = MetricRow::counter(
        "oidc_keys_refresh_total",
        "Attempts to fetch the keys of the outside issuer.",
    ).labels(&[OUTCOME]);
    OIDC_KEYS_LAST_SUCCESS = MetricRow::gauge(
        "oidc_keys_last_success_timestamp_seconds",
        "Unix time at which the keys of the outside issuer were fetched last; 0 before, and without one.",
    );

    LOG_EVENTS = MetricRow::counter("log_events_total", "Log events written.").labels(&[LEVEL]);
    LOG_LINES_DROPPED = MetricRow::counter(
        "log_lines_dropped_total",
        "Log lines that an output did not take, or not in time.",
    ).labels(&[OUTPUT]);
    TELEMETRY_EXPORTED = MetricRow::counter(
        "telemetry_exported_total",
        "Spans or log records that the collector took.",
    ).labels(&[SIGNAL]);
    TELEMETRY_DROPPED = MetricRow::counter(
        "telemetry_dropped_total",
        "Spans or log records given up because the queue was full.",
    ).labels(&[SIGNAL]);
    TELEMETRY_FAILED = MetricRow::counter(
        "telemetry_failed_total",
        "Spans or log records that the collector did not take.",
    ).labels(&[SIGNAL]);
    TELEMETRY_LAST_SUCCESS = MetricRow::gauge(
        "telemetry_last_success_timestamp_seconds",
        "Unix time of the last export that went well; 0 before the first.",
    ).labels(&[SIGNAL]);

    READINESS = MetricRow::gauge("readiness", "1 while the check passes, else 0.").labels(&[CHECK]);
    STARTUP_DURATION = MetricRow::gauge(
        "startup_duration_seconds",
        "Time from the start of the process to its ready line.",
    );
    BUILD_INFO = MetricRow::info("build_info", "What was built, and with what.")
        .labels(&[VERSION, REVISION, COMPILER]);
    TARGET_INFO = MetricRow::info("target_info", "Resource attributes of the service.")
        .labels(&[RESOURCE]);

    TOKIO_WORKERS = MetricRow::gauge("tokio_workers", "Worker threads of the runtime.");
    TOKIO_ALIVE_TASKS = MetricRow::gauge("tokio_alive_tasks", "Tasks that have not ended.");
    TOKIO_GLOBAL_QUEUE_DEPTH = MetricRow::gauge(
        "tokio_global_queue_depth",
        "Tasks that wait in the queue shared by the workers.",
    );
    TOKIO_BUSY = MetricRow::counter(
        "tokio_worker_busy_seconds_total",
        "Time that workers were busy; its rate over tokio_workers is the busy ratio.",
    );
    TOKIO_PARKS = MetricRow::counter(
        "tokio_worker_parks_total",
        "Times that a worker went to sleep for lack of work.",
    );

    PROCESS_CPU = MetricRow::counter(
        "process_cpu_seconds_total",
        "CPU time spent in user and system mode.",
    );
    PROCESS_OPEN_FDS = MetricRow::gauge("process_open_fds", "Open file descriptors.");
    PROCESS_MAX_FDS = MetricRow::gauge(
        "process_max_fds",
        "File descriptors that the process may open.",
    );
    PROCESS_VIRTUAL_MEMORY = MetricRow::gauge(
        "process_virtual_memory_bytes",
        "Size of the virtual memory.",
    );
    PROCESS_RESIDENT_MEMORY = MetricRow::gauge(
        "process_resident_memory_bytes",
        "Size of the memory that is in RAM.",
    );
    PROCESS_START_TIME = MetricRow::gauge(
        "process_start_time_seconds",
        "Unix time of the start of the process.",
    );
    PROCESS_THREADS = MetricRow::gauge("process_threads", "Threads of the process.");
}

//! The labels of the chassis' metrics. Every value comes from a short list or from the service's own
//! source, so that no caller can make series.

use super::{Label, Values};

/// Of `db.operation.name`; whatever else a statement begins with is `_OTHER`.
pub const DB_OPERATIONS: &[&str] = &[
    "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE", "ALTER", "DROP", "TRUNCATE",
    "PRAGMA", "SET", "BEGIN", "COMMIT", "ROLLBACK", "_OTHER",
];
/// Of `log_events_total`.
pub const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// Of `db_client_retries_total`.
pub const RETRY_OUTCOMES: &[&str] = &["retried", "given_up"];
/// Of `tls_handshake_failures_total`.
pub const TLS_FAILURES: &[&str] =
    &["refused_by_client", "incompatible", "not_tls", "abandoned", "timeout"];
/// Of what was tried.
pub const OUTCOMES: &[&str] = &["success", "failure"];
/// What is exported to a collector.
pub const SIGNALS: &[&str] = &["traces", "logs"];

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];

pub(super) const METHOD: Label = of("http_request_method", METHODS);
pub(super) const ROUTE: Label =
    like("http_route", "a template of the OpenAPI document; empty for a path without one");
pub(super) const STATUS: Label =
    like("http_response_status_code", "the status; empty without an answer");
pub(super) const SCHEME: Label = of("url_scheme", &["http", "https"]);
pub(super) const HTTP_ERROR: Label = like(
    "error_type",
    "at 5xx the kind of fault or else the status; without an answer `client_disconnected` or `drain_timeout`; empty without error",
);
pub(super) const SHED_REASON: Label = of("reason", &["in_flight", "timeout"]);
pub(super) const TLS_FAILURE: Label = of("reason", TLS_FAILURES);
pub(super) const POLICY: Label = of("policy", &["default", "auth"]);
pub(super) const DECISION: Label = of("decision", &["allowed", "limited"]);
pub(super) const STORE_OPERATION: Label = of("operation", &["decide", "connect"]);
pub(super) const DB_SYSTEM: Label =
    of("db_system_name", &["sqlite", "postgresql", "mysql", "mariadb"]);
pub(super) const DB_OPERATION: Label = of("db_operation_name", DB_OPERATIONS);
pub(super) const DB_COLLECTION: Label =
    like("db_collection_name", "the table; empty without one, as for `COMMIT`");
pub(super) const DB_ERROR: Label = like(
    "error_type",
    "the database's code, or `pool_timeout`, `timeout` (no sign of life), `cancelled` and the like; empty without error",
);
pub(super) const POOL: Label = of("db_client_connection_pool_name", &["primary", "replica"]);
pub(super) const POOL_STATE: Label = of("db_client_connection_state", &["idle", "used"]);
pub(super) const RETRY_OUTCOME: Label = of("outcome", RETRY_OUTCOMES);
pub(super) const HASHING: Label = of("operation", &["hash", "verify"]);
pub(super) const EVENT: Label = like("event", "see the security events below");
pub(super) const LEVEL: Label = of("level", LEVELS);
pub(super) const OUTCOME: Label = of("outcome", OUTCOMES);
pub(super) const OUTPUT: Label = of("output", &["stdout", "file"]);
pub(super) const SIGNAL: Label = of("signal", SIGNALS);
pub(super) const CHECK: Label = like("check", "the name of a check of `/health`");
pub(super) const VERSION: Label = like("version", "the version of the service");
pub(super) const REVISION: Label =
    like("revision", "`GIT_COMMIT` of the environment that it was built in, if set");
pub(super) const COMPILER: Label = like("rustc_version", "the compiler that it was built with");
pub(super) const RESOURCE: Label =
    like("*", "each attribute of the OpenTelemetry resource, such as `service_name`");

const fn of(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Of(values) }
}

const fn like(name: &'static str, values: &'static str) -> Label {
    Label { name, values: Values::Like(values) }
}

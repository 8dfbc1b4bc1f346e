//! The metrics that dashboards and alerts name: their names, types and labels. How they move is
//! tested in `counts`.

use std::collections::BTreeSet;

use super::exposition::Exposition;
use crate::support::{App, eventually};

/// Name, type and labels, as the contract's table has them.
const FAMILIES: [(&str, &str, &[&str]); 47] = [
    ("auth_events_total", "counter", &["event"]),
    ("build_info", "gauge", &["revision", "rustc_version", "version"]),
    (
        "db_client_connection_count",
        "gauge",
        &["db_client_connection_pool_name", "db_client_connection_state"],
    ),
    ("db_client_connection_max", "gauge", &["db_client_connection_pool_name"]),
    ("db_client_connection_timeouts_total", "counter", &["db_client_connection_pool_name"]),
    ("db_client_connection_wait_time_seconds", "histogram", &["db_client_connection_pool_name"]),
    (
        "db_client_operation_duration_seconds",
        "histogram",
        &["db_collection_name", "db_operation_name", "db_system_name", "error_type"],
    ),
    ("db_client_retries_total", "counter", &["outcome"]),
    ("db_client_slow_queries_total", "counter", &[]),
    ("http_server_active_requests", "gauge", &["http_request_method", "url_scheme"]),
    ("http_server_connections", "gauge", &[]),
    ("http_server_request_body_size_bytes", "histogram", &["http_request_method", "http_route"]),
    (
        "http_server_request_duration_seconds",
        "histogram",
        &[
            "error_type",
            "http_request_method",
            "http_response_status_code",
            "http_route",
            "url_scheme",
        ],
    ),
    ("http_server_response_body_size_bytes", "histogram", &["http_request_method", "http_route"]),
    ("http_server_shed_requests_total", "counter", &["reason"]),
    ("log_events_total", "counter", &["level"]),
    ("log_lines_dropped_total", "counter", &["output"]),
    ("oidc_keys_last_success_timestamp_seconds", "gauge", &[]),
    ("oidc_keys_refresh_total", "counter", &["outcome"]),
    ("password_hash_duration_seconds", "histogram", &["operation"]),
    ("password_hash_queue", "gauge", &[]),
    ("password_hashes_outdated", "gauge", &[]),
    ("password_hash_rejected_total", "counter", &["operation"]),
    ("process_cpu_seconds_total", "counter", &[]),
    ("process_open_fds", "gauge", &[]),
    ("process_resident_memory_bytes", "gauge", &[]),
    ("process_start_time_seconds", "gauge", &[]),
    ("rate_limit_decisions_total", "counter", &["decision", "policy"]),
    ("rate_limit_store_errors_total", "counter", &["operation"]),
    ("rate_limit_store_in_use", "gauge", &[]),
    ("rate_limit_tracked_keys", "gauge", &["policy"]),
    ("readiness", "gauge", &["check"]),
    ("db_replica_in_use", "gauge", &[]),
    ("schema_migrations_pending", "gauge", &[]),
    ("startup_duration_seconds", "gauge", &[]),
    (
        "target_info",
        "gauge",
        &[
            "deployment_environment_name",
            "service_instance_id",
            "service_name",
            "service_version",
            "telemetry_sdk_language",
            "telemetry_sdk_name",
            "telemetry_sdk_version",
        ],
    ),
    ("telemetry_dropped_total", "counter", &["signal"]),
    ("telemetry_exported_total", "counter", &["signal"]),
    ("telemetry_failed_total", "counter", &["signal"]),
    ("telemetry_last_success_timestamp_seconds", "gauge", &["signal"]),
    ("tls_certificate_expiry_timestamp_seconds", "gauge", &[]),
    ("tls_handshake_failures_total", "counter", &["reason"]),
    ("tokio_alive_tasks", "gauge", &[]),
    ("tokio_global_queue_depth", "gauge", &[]),
    ("tokio_worker_busy_seconds_total", "counter", &[]),
    ("tokio_worker_parks_total", "counter", &[]),
    ("tokio_workers", "gauge", &[]),
];

/// The collector of the process brings these along.
const UNSPOKEN: [&str; 3] = ["process_max_fds", "process_threads", "process_virtual_memory_bytes"];

#[tokio::test]
async fn names_types_and_labels_are_those_of_the_contract() {
    let app = App::with(|settings| settings.rate_limit.enabled = true).await;
    app.person().await;
    // What takes a bad day to move is moved by hand; its name and labels are the real ones.
    let metrics = app.witness.metrics();
    metrics.http_shed_requests.with_label_values(&["in_flight"]);
    metrics.password_hash_rejected.with_label_values(&["hash"]);
    let tracked = async || {
        let exposition = Exposition::scrape(&app).await;
        exposition.families.contains_key("rate_limit_tracked_keys")
    };
    eventually("the limiter has swept once", tracked).await;
    let exposition = Exposition::scrape(&app).await;
    for (name, kind, labels) in FAMILIES {
        let family = exposition.families.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(family.kind, kind, "{name}");
        let found: Vec<&str> = family.labels.keys().map(String::as_str).collect();
        assert_eq!(found, labels, "{name}");
    }
    let names: BTreeSet<&str> = exposition.families.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = FAMILIES.iter().map(|(name, ..)| *name).chain(UNSPOKEN).collect();
    assert_eq!(names, known, "a new family belongs into the contract and this table");
}

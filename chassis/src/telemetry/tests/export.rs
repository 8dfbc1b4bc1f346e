//! The export of a telemetry that is dropped. All else is seen from outside, in `tests/it/export`.

use std::path::Path;

use super::*;

#[tokio::test]
async fn telemetry_that_is_dropped_takes_its_thread_along() {
    // Nobody listens there, and nobody waits for it.
    let environ = Environ::from([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    let telemetry = Telemetry::start(
        &identity(),
        &LogSettings::default(),
        &TracingSettings::default(),
        &environ,
    )
    .unwrap();
    with_default(&telemetry.dispatch(), || info_span!("s").in_scope(|| ()));
    // The thread holds the queue, and everything else that does is gone with the telemetry.
    let outlet = telemetry.0.export.traces();
    let queue = Arc::downgrade(outlet.queue.as_ref().unwrap());
    assert_eq!(telemetry.status().traces.queued, 1);
    drop(telemetry);
    let gone = async {
        while queue.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

#[test]
fn no_runtime_is_needed_to_start_and_to_log() {
    let environ = Environ::from([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    let log = LogSettings { level: "off".to_owned(), ..LogSettings::default() };
    let telemetry =
        Telemetry::start(&identity(), &log, &TracingSettings::default(), &environ).unwrap();
    with_default(&telemetry.dispatch(), || info_span!("s").in_scope(|| ()));
    assert_eq!(telemetry.status().traces.queued, 1);
}

#[test]
fn a_certificate_that_cannot_be_read_is_told_at_once() {
    let environ = Environ::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/nowhere/ca.pem"),
    ]);
    let error = Telemetry::start(
        &identity(),
        &LogSettings::default(),
        &TracingSettings::default(),
        &environ,
    );
    let Err(TelemetryError::Certificate { path, .. }) = error else { unreachable!("it started") };
    assert_eq!(path, Path::new("/nowhere/ca.pem"));
}

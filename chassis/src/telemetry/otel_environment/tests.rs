//! What each variable is worth, well-formed or not.

use super::reader::QUEUE_SIZE;
use super::*;

fn read<const N: usize>(environ: [(&str, &str); N]) -> OtelEnvironment {
    OtelEnvironment::read(&Environ::from(environ))
}

fn target<const N: usize>(environ: [(&str, &str); N]) -> Option<String> {
    match read(environ).exporter {
        Exporter::Otlp(target) => Some(target.to_string()),
        Exporter::Console | Exporter::None => None,
    }
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

#[test]
fn nothing_is_exported_and_nothing_is_ignored_by_default() {
    let otel = read([]);
    assert_eq!(otel.exporter, Exporter::None);
    assert!(otel.trace_context);
    assert!(otel.ignored.is_empty());
    assert_eq!(format!("{:?}", otel.sampler), "ParentBased(AlwaysOn)");
}

#[test]
fn the_shared_endpoint_is_a_base_and_the_own_one_is_complete() {
    assert_eq!(
        target([ENDPOINT]).as_deref(),
        Some("http/protobuf to http://collector:4318/v1/traces")
    );
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/x");
    assert_eq!(target([ENDPOINT, own]).as_deref(), Some("http/protobuf to https://other/x"));
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC");
    assert_eq!(target([ENDPOINT, grpc]).as_deref(), Some("grpc to http://collector:4318/"));
}

#[test]
fn only_grpc_knows_endpoints_without_a_scheme() {
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(target([bare]), None);
    assert_eq!(target([bare, grpc]).as_deref(), Some("grpc to https://collector:4317"));
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "True");
    assert_eq!(target([bare, grpc, insecure]).as_deref(), Some("grpc to http://collector:4317"));
}

#[test]
fn the_exporter_and_the_sdk_can_be_switched_off() {
    let kind = |kind| read([ENDPOINT, ("OTEL_TRACES_EXPORTER", kind)]).exporter;
    assert_eq!(kind("none"), Exporter::None);
    assert_eq!(kind("Console"), Exporter::Console);
    assert!(matches!(kind("zipkin"), Exporter::Otlp(_)));
    let disabled = read([ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]);
    assert_eq!(disabled.exporter, Exporter::None);
    assert!(matches!(disabled.sampler, Sampler::AlwaysOff));
}

#[test]
fn samplers_go_by_their_standard_names() {
    let sampler = |name, arg| {
        let otel = read([("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
        (format!("{:?}", otel.sampler), otel.ignored.len())
    };
    assert_eq!(sampler("always_off", ""), ("AlwaysOff".to_owned(), 0));
    assert_eq!(
        sampler("parentbased_traceidratio", "0.25"),
        ("ParentBased(TraceIdRatioBased(0.25))".to_owned(), 0)
    );
    assert_eq!(sampler("traceidratio", "2").0, "TraceIdRatioBased(1.0)");
    assert_eq!(sampler("traceidratio", "2").1, 1);
    assert_eq!(sampler("xray", ""), ("ParentBased(AlwaysOn)".to_owned(), 1));
}

#[test]
fn resource_attributes_are_percent_decoded_or_all_discarded() {
    let attributes = |text| {
        let otel = read([("OTEL_RESOURCE_ATTRIBUTES", text)]);
        (otel.resource_attributes, otel.ignored.len())
    };
    let expected = vec![("a".to_owned(), "1,2".to_owned()), ("b".to_owned(), "é=".to_owned())];
    assert_eq!(attributes("a=1%2C2, b=%C3%A9=,"), (expected, 0));
    for broken in ["a=1,b", "a=%zz", "a=%2", "a=%ff", "=1"] {
        assert_eq!(attributes(broken), (Vec::new(), 1), "{broken}");
    }
}

#[test]
fn propagators_can_be_left_out() {
    let honoured = |text| read([("OTEL_PROPAGATORS", text)]).trace_context;
    assert!(honoured("tracecontext,baggage"));
    assert!(!honoured("none"));
    assert!(!honoured("b3"));
    assert!(honoured("b3,TraceContext"));
}

#[test]
fn malformed_values_are_ignored_and_named_without_their_value() {
    let otel = read([
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,s3cret"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ]);
    assert_eq!(otel.batch.queue, QUEUE_SIZE);
    assert_eq!(otel.batch.delay, Duration::from_secs(5));
    assert_eq!(otel.otlp.headers["authorization"], "Bearer s3cret");
    assert_eq!(otel.ignored.len(), 6);
    assert!(!format!("{:?}", otel.ignored).contains("s3cret"));
}

#[test]
fn the_batch_processors_timeout_can_only_shorten_the_exporters() {
    let timeout = |own, processor| {
        let otel = read([
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", own),
            ("OTEL_BSP_EXPORT_TIMEOUT", processor),
        ]);
        otel.otlp.timeout.as_millis()
    };
    assert_eq!(timeout("", ""), 10_000);
    assert_eq!(timeout("2000", "30000"), 2_000);
    assert_eq!(timeout("", "500"), 500);
}

#[test]
fn a_client_certificate_needs_its_key() {
    let otel = read([("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/a.pem")]);
    assert!(otel.otlp.client.is_none());
    assert_eq!(otel.ignored.len(), 1);
}

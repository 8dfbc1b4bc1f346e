//! What is asked for, and what answers mean.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::HashMap;

use super::super::protobuf::bytes;
use super::*;

fn target(endpoint: &str, protocol: Protocol) -> ExportTarget {
    ExportTarget::new(endpoint.to_owned(), protocol)
}

fn otlp<const N: usize>(headers: [(&str, &str); N], gzip: bool) -> Otlp {
    let headers = headers.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Otlp { headers: HashMap::from(headers), gzip, certificate: None, client: None }
}

#[test]
fn http_goes_to_the_endpoint_and_grpc_to_the_method_of_the_signal() {
    let uri = |signal, protocol| {
        let target = target("http://collector:4318/x/v1/traces?a=b", protocol);
        address(signal, &target).unwrap().0.to_string()
    };
    let http = uri(Signal::Traces, Protocol::HttpProtobuf);
    assert_eq!(http, "http://collector:4318/x/v1/traces?a=b");
    let grpc = uri(Signal::Logs, Protocol::Grpc);
    let method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    assert_eq!(grpc, format!("http://collector:4318{method}"));
}

#[test]
fn credentials_in_the_endpoint_become_a_header_unless_there_is_one() {
    let target = target("http://me:p%40ss@collector/", Protocol::HttpProtobuf);
    let (uri, credentials) = address(Signal::Traces, &target).unwrap();
    assert_eq!(uri.to_string(), "http://collector/");
    let sent = headers(target.protocol, &otlp([], false), credentials.clone());
    assert_eq!(sent["authorization"], "Basic bWU6cEBzcw==");
    let own = otlp([("authorization", "Bearer a")], false);
    assert_eq!(headers(target.protocol, &own, credentials)["authorization"], "Bearer a");
}

#[test]
fn header_values_that_an_operator_gave_are_shown_nowhere() {
    let own = otlp([("x-api-key", "s3cret")], false);
    let sent = headers(Protocol::Grpc, &own, None);
    assert_eq!(sent["x-api-key"], "s3cret");
    assert!(sent["x-api-key"].is_sensitive());
    assert!(!format!("{sent:?}").contains("s3cret"));
}

#[test]
fn compression_is_named_as_the_protocol_wants_it() {
    let sent = |protocol| headers(protocol, &otlp([], true), None);
    assert_eq!(sent(Protocol::HttpProtobuf)["content-encoding"], "gzip");
    let grpc = sent(Protocol::Grpc);
    assert_eq!(grpc["grpc-encoding"], "gzip");
    assert_eq!(grpc["te"], "trailers");
    assert!(!headers(Protocol::Grpc, &otlp([], false), None).contains_key("grpc-encoding"));
}

#[test]
fn only_answers_that_say_so_are_worth_another_attempt() {
    let http = |status: u16, after: &[(&str, &str)]| {
        let after = after.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()));
        refusal(StatusCode::from_u16(status).unwrap(), &after.collect()).retry
    };
    assert_eq!(http(400, &[]), Retry::Never);
    assert_eq!(http(500, &[]), Retry::Never);
    assert_eq!(http(503, &[]), Retry::Soon);
    assert_eq!(http(429, &[("retry-after", "7")]), Retry::After(Duration::from_secs(7)));
    assert_eq!(http(429, &[("retry-after", "Fri, 20 Nov 2026 12:00:00 GMT")]), Retry::Soon);
}

#[test]
fn grpc_failures_follow_the_status_and_its_retry_info() {
    let none = HeaderMap::new();
    assert_eq!(grpc_failure(14, &none).retry, Retry::Soon);
    assert_eq!(grpc_failure(3, &none).retry, Retry::Never);
    assert_eq!(grpc_failure(8, &none).retry, Retry::Never);
    // Status { code: 8, details: [Any { ErrorInfo }, Any { RetryInfo { retry_delay: 1.5 s } }, ..] }
    let mut details = vec![0x08, 8];
    let delay = [0x0a, 8, 0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
    for (name, value) in [("ErrorInfo", &[][..]), ("RetryInfo", &delay), ("Help", &[])] {
        let mut any = Vec::new();
        bytes(&mut any, 1, format!("type.googleapis.com/google.rpc.{name}"));
        bytes(&mut any, 2, value);
        bytes(&mut details, 3, any);
    }
    let details = BASE64_STANDARD_NO_PAD.encode(details).parse().unwrap();
    let end = HeaderMap::<HeaderValue>::from_iter([(
        HeaderName::from_static("grpc-status-details-bin"),
        details,
    )]);
    assert_eq!(grpc_failure(8, &end).retry, Retry::After(Duration::from_millis(1_500)));
}

#[test]
fn rejected_items_are_counted_from_the_answer() {
    assert_eq!(rejected(&[]), 0);
    assert_eq!(rejected(&[0x0a, 2, 0x08, 3]), 3);
    assert_eq!(rejected(&[0x0a, 0x12, b'x']), 0);
}

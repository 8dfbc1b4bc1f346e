//! A good day: what arrives, and how it is asked for.

use chassis::telemetry::{ExportError, ExportState};
use chassis::testing::{Collector, Mood};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

use super::{DEADLINE, Exporting, PROTOCOLS, records, spans};

#[tokio::test]
async fn spans_and_their_log_records_arrive_over_both_protocols() {
    for protocol in PROTOCOLS {
        for compression in ["none", "gzip"] {
            let collector = Collector::start().await;
            let more = [
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
                ("OTEL_RESOURCE_ATTRIBUTES", "team=blue"),
            ];
            let exporting = Exporting::start(&collector.url(), protocol, &more);
            exporting.make(3);
            assert!(exporting.telemetry.shutdown(DEADLINE).await);
            assert!(exporting.telemetry.shutdown(DEADLINE).await, "again");

            let deliveries = collector.deliveries();
            let (spans, records) = (spans(&deliveries), records(&deliveries));
            assert_eq!((spans.len(), records.len()), (3, 3), "{protocol} {compression}");
            for (span, record) in spans.iter().zip(&records) {
                assert_eq!(span.name, "work");
                assert_eq!(record.trace_id, span.trace_id);
                assert_eq!(record.span_id, span.span_id);
            }
            for delivery in &deliveries {
                assert_eq!(delivery.headers["x-team"], "a b");
                let agent = delivery.headers["user-agent"].to_str().unwrap();
                assert!(agent.starts_with("OTel-OTLP-Exporter-"), "{agent}");
            }
            let status = exporting.telemetry.status();
            for signal in [status.traces, status.logs] {
                assert_eq!(signal.state, ExportState::Delivering);
                assert_eq!((signal.exported, signal.dropped, signal.failed), (3, 0, 0));
                assert!(signal.last_success.is_some());
            }
            assert!(exporting.lines().await.is_empty());
        }
    }
}

#[tokio::test]
async fn the_resource_says_who_speaks() {
    let collector = Collector::start().await;
    let team = [("OTEL_RESOURCE_ATTRIBUTES", "team=blue")];
    let exporting = Exporting::start(&collector.url(), "http/protobuf", &team);
    exporting.make(1);
    assert!(exporting.telemetry.shutdown(DEADLINE).await);
    let deliveries = collector.deliveries();
    let traces = deliveries.iter().find(|delivery| delivery.path == "/v1/traces").unwrap();
    let request = ExportTraceServiceRequest::decode(&*traces.message).unwrap();
    let attributes = &request.resource_spans[0].resource.as_ref().unwrap().attributes;
    let value = |key: &str| {
        let pair = attributes.iter().find(|pair| pair.key == key).unwrap();
        pair.value.clone().unwrap().value.unwrap()
    };
    let text = |text: &str| Value::StringValue(text.to_owned());
    assert_eq!(value("service.name"), text("exporting"));
    assert_eq!(value("service.version"), text("1.2.3"));
    assert_eq!(value("team"), text("blue"));
}

#[tokio::test]
async fn what_a_collector_rejects_is_counted_as_lost_and_told() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await;
        collector.set_mood(Mood::Rejecting(1));
        let none = [("OTEL_LOGS_EXPORTER", "none")];
        let exporting = Exporting::start(&collector.url(), protocol, &none);
        exporting.make(3);
        exporting.until("counted", |e| e.traces().exported + e.traces().failed == 3).await;
        // Counts come before what is told of them.
        let lines = exporting.told().await;
        let traces = exporting.traces();
        assert!(traces.failed >= 1, "{protocol}: {traces:?}");
        assert_eq!(traces.state, ExportState::Delivering);
        assert_eq!(traces.error, Some(ExportError::Rejected));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["message"], "spans were lost");
        assert_eq!(exporting.logs().state, ExportState::Disabled);
    }
}

#[tokio::test]
async fn each_signal_can_have_a_collector_of_its_own() {
    let (one, two) = (Collector::start().await, Collector::start().await);
    let own = [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/own/path", two.url())),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf".to_owned()),
    ];
    let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
    let exporting = Exporting::start(&one.url(), "grpc", &own);
    exporting.make(1);
    assert!(exporting.telemetry.shutdown(DEADLINE).await);
    assert_eq!((spans(&one.deliveries()).len(), one.deliveries().len()), (1, 1));
    assert_eq!(two.deliveries().iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/own/path"]);
}

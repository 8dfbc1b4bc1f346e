//! What each variable is worth, well-formed or not: the rows of `rows`, and how they are read.

mod rows;

use std::collections::BTreeSet;
use std::ffi::OsString;

use opentelemetry_otlp as reference;

use self::names::Names;
use self::rows::{HOW, WHAT, WHERE};
use super::*;
use crate::telemetry::catalogue::VARIABLES;

/// What a row is about: what is in effect, in words, so that rows can be read one below the other.
type Fact = fn(&OtelEnvironment) -> String;

/// Variables, what is looked at, what it is, and the variables that are ignored.
type Row = (&'static [(&'static str, &'static str)], Fact, &'static str, &'static [&'static str]);

fn exporter(signal: &SignalEnvironment) -> String {
    match &signal.exporter {
        Exporter::Otlp(target) => target.to_string(),
        other => format!("{other:?}"),
    }
}

fn exporters(otel: &OtelEnvironment) -> String {
    format!("{} | {}", exporter(&otel.traces), exporter(&otel.logs))
}

fn both<T: std::fmt::Debug>(otel: &OtelEnvironment, of: fn(&SignalEnvironment) -> T) -> String {
    format!("{:?} | {:?}", of(&otel.traces), of(&otel.logs))
}

fn headers(otel: &OtelEnvironment) -> String {
    both(otel, |signal| {
        let mut headers: Vec<_> = signal.otlp.headers.iter().collect();
        headers.sort();
        headers.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    })
}

fn timeouts(otel: &OtelEnvironment) -> String {
    both(otel, |signal| signal.batch.timeout.as_millis())
}

fn gzip(otel: &OtelEnvironment) -> String {
    both(otel, |signal| signal.otlp.gzip)
}

fn certificates(otel: &OtelEnvironment) -> String {
    both(otel, |signal| signal.otlp.certificate.clone().unwrap_or_default())
}

fn clients(otel: &OtelEnvironment) -> String {
    both(otel, |signal| signal.otlp.client.clone().map(|(certificate, key)| [certificate, key]))
}

fn batches(otel: &OtelEnvironment) -> String {
    let batch = |signal: &SignalEnvironment| {
        let Batch { delay, queue, size, .. } = signal.batch;
        format!("{} {queue} {size}", delay.as_millis())
    };
    format!("{} | {}", batch(&otel.traces), batch(&otel.logs))
}

fn limits(otel: &OtelEnvironment) -> String {
    both(otel, |signal| (signal.attributes.count, signal.attributes.length))
}

fn sampler(otel: &OtelEnvironment) -> String {
    format!("{:?}", otel.sampler)
}

fn trace_context(otel: &OtelEnvironment) -> String {
    otel.trace_context.to_string()
}

fn methods(otel: &OtelEnvironment) -> String {
    let asked = ["GET", "PATCH", "PURGE", "get"].into_iter();
    asked.filter(|name| otel.methods.find(name).is_some()).collect::<Vec<_>>().join(" ")
}

fn resource(otel: &OtelEnvironment) -> String {
    let pairs: Vec<_> = otel.resource_attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{:?} {}", otel.service_name, pairs.join(" "))
}

#[test]
fn every_variable_is_worth_what_its_row_says() {
    for (variables, fact, expected, ignored) in [WHERE, HOW, WHAT].concat() {
        let environ = variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        let otel = OtelEnvironment::read(&environ.collect());
        assert_eq!(fact(&otel), expected, "{variables:?}");
        let names: Vec<_> = otel.ignored.iter().map(|ignored| ignored.variable).collect();
        assert_eq!(names, ignored, "{variables:?}");
        // A value may be a secret, so the warning does not repeat it.
        assert!(!format!("{:?}", otel.ignored).contains("s3cret"), "{variables:?}");
    }
}

#[test]
fn the_page_lists_what_is_asked_for_and_nothing_else() {
    let mut asked = BTreeSet::new();
    for (variables, ..) in [WHERE, HOW, WHAT].concat() {
        let environ = variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        let environ = environ.collect();
        let mut reader = Reader::new(&environ);
        OtelEnvironment::read_by(&mut reader);
        asked.extend(reader.asked.into_inner());
    }
    let listed: Vec<_> = VARIABLES.iter().flat_map(|row| row.names).copied().collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), asked);
    assert_eq!(listed.len(), asked.len(), "one is listed twice");
}

#[test]
fn the_defaults_on_the_page_hold() {
    let default = |name| {
        let row = VARIABLES.iter().find(|row| row.names.contains(&name));
        row.map_or("", |row| row.default).trim_matches('`')
    };
    let otel = OtelEnvironment::read(&Environ::from([("", ""); 0]));
    assert_eq!(
        (trace_context(&otel).as_str(), default("OTEL_PROPAGATORS")),
        ("true", "tracecontext")
    );
    assert_eq!(timeouts(&otel), "10000 | 10000");
    assert_eq!(default("OTEL_EXPORTER_OTLP_TIMEOUT"), "10000");
    assert_eq!(batches(&otel), "5000 32768 512 | 1000 16384 512");
    assert_eq!(default("OTEL_BSP_SCHEDULE_DELAY"), "5000 and 1000");
    assert_eq!(default("OTEL_BSP_MAX_QUEUE_SIZE"), "32768 and 16384");
    assert_eq!(default("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), "512");
    assert_eq!(limits(&otel), "(128, None) | (128, None)");
    assert_eq!(default("OTEL_ATTRIBUTE_COUNT_LIMIT"), "128");
    let methods: Vec<_> = default("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").split(',').collect();
    assert_eq!(methods.len(), 9);
    assert!(methods.iter().all(|name| otel.methods.find(name).is_some()));
}

#[test]
fn the_names_of_a_signals_variables_are_those_of_the_reference() {
    let own = |names: &Names| {
        let Names { protocol, endpoint, insecure, headers, timeout, compression, .. } = names;
        [protocol, endpoint, insecure, headers, timeout, compression].map(|[own, _]| *own)
    };
    let traces = [
        reference::OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
        reference::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
        reference::OTEL_EXPORTER_OTLP_TRACES_INSECURE,
        reference::OTEL_EXPORTER_OTLP_TRACES_HEADERS,
        reference::OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
        reference::OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    ];
    let logs = [
        reference::OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
        reference::OTEL_EXPORTER_OTLP_LOGS_ENDPOINT,
        reference::OTEL_EXPORTER_OTLP_LOGS_INSECURE,
        reference::OTEL_EXPORTER_OTLP_LOGS_HEADERS,
        reference::OTEL_EXPORTER_OTLP_LOGS_TIMEOUT,
        reference::OTEL_EXPORTER_OTLP_LOGS_COMPRESSION,
    ];
    assert_eq!([own(&names::TRACES), own(&names::LOGS)], [traces, logs]);
}

#[test]
fn the_exemplar_filter_goes_by_its_standard_names() {
    let filter = |text| {
        let otel = OtelEnvironment::read(&Environ::from([("OTEL_METRICS_EXEMPLAR_FILTER", text)]));
        (otel.exemplars, otel.ignored.len())
    };
    assert_eq!(filter(""), (ExemplarFilter::TraceBased, 0));
    assert_eq!(filter("trace_based"), (ExemplarFilter::TraceBased, 0));
    assert_eq!(filter(" ALWAYS_ON "), (ExemplarFilter::AlwaysOn, 0));
    assert_eq!(filter("always_off"), (ExemplarFilter::AlwaysOff, 0));
    assert_eq!(filter("sometimes"), (ExemplarFilter::TraceBased, 1));
}

#[test]
fn what_is_not_spoken_is_told_in_words() {
    let otel =
        OtelEnvironment::read(&Environ::from([("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]));
    let expected = "http/json is not spoken; allowed are grpc, http/protobuf";
    assert_eq!(otel.ignored.iter().map(|i| i.reason.as_str()).collect::<Vec<_>>(), [expected]);
}

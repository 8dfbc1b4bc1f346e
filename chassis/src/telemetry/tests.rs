//! How lines, spans and requests belong together. How they leave is in
//! `export`, and in the tests from outside.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod export;

use opentelemetry::trace::{SpanId, TraceContextExt, TraceFlags, TraceId};
use opentelemetry::{Context, KeyValue};
use tracing::dispatcher::with_default;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span, info, info_span};

use super::*;

fn identity() -> Identity {
    Identity {
        name: "belvedere".to_owned(),
        version: "0.1.0".to_owned(),
        environment: Environment::Development,
    }
}

fn capture<const N: usize>(environ: [(&str, &str); N]) -> (Telemetry, Captured) {
    let environ = Environ::from(environ);
    let tracing = TracingSettings::default();
    Telemetry::capture_in(&identity(), &LogSettings::default(), &tracing, &environ).unwrap()
}

/// A span as the HTTP layer opens it: in a context that carries the scope and the caller's span.
fn request_span(id: &str, parent: Option<SpanContext>) -> Span {
    let context = Context::new().with_value(RequestScope::new(id.into()));
    let context = match parent {
        Some(parent) => context.with_remote_span_context(parent),
        None => context,
    };
    let _attached = context.attach();
    info_span!("request")
}

#[tokio::test]
async fn every_line_below_a_request_has_its_ids() {
    let (telemetry, captured) = capture([]);
    let work = async {
        info!("in the handler");
        async { info!("in a child") }.instrument(info_span!("child")).await;
        let spawned = async { info!("in a task") }.instrument(Span::current());
        tokio::spawn(spawned.with_current_subscriber()).await.unwrap();
        let (dispatch, span) = (tracing::dispatcher::get_default(Dispatch::clone), Span::current());
        tokio::task::spawn_blocking(move || {
            with_default(&dispatch, || {
                span.in_scope(|| info!("in a blocking thread"));
            });
        })
        .await
        .unwrap();
    };
    async {
        work.instrument(request_span("r-1", None)).await;
        info!("outside");
    }
    .with_subscriber(telemetry.dispatch())
    .await;

    let lines = captured.lines();
    let (inside, outside) = lines.split_at(4);
    for line in inside {
        assert_eq!(line["request_id"], "r-1", "{line}");
        assert_eq!(line["trace_id"], inside[0]["trace_id"]);
        assert_eq!(line["trace_flags"], "01");
    }
    assert_ne!(inside[1]["span_id"], inside[0]["span_id"]);
    assert_eq!(inside[3]["span_id"], inside[0]["span_id"]);
    for key in ["request_id", "trace_id", "span_id", "trace_flags"] {
        assert!(outside[0].get(key).is_none());
    }

    let spans = captured.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["child", "request"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(inside[0]["trace_id"], spans[1].span_context.trace_id().to_string());
    let attributes = [KeyValue::new("request_id", "r-1")];
    assert!(spans.iter().all(|span| span.attributes == attributes && span.events.is_empty()));
}

#[test]
fn requests_at_the_same_time_keep_their_ids_apart() {
    let (telemetry, captured) = capture([]);
    with_default(&telemetry.dispatch(), || {
        let (one, two) = (request_span("r-1", None), request_span("r-2", None));
        one.in_scope(|| info!("1"));
        two.in_scope(|| info!("2"));
        one.in_scope(|| info!("1"));
    });
    for line in captured.lines() {
        let expected = format!("r-{}", line["message"].as_str().unwrap());
        assert_eq!(line["request_id"], expected.as_str());
    }
}

#[test]
fn traces_are_complete_whatever_is_logged() {
    let (telemetry, captured) = capture([]);
    telemetry.log_filter().set("error", None).unwrap();
    with_default(&telemetry.dispatch(), || {
        request_span("r-1", None).in_scope(|| {
            info!("not logged");
            tracing::error!("logged");
        });
    });
    assert_eq!(captured.lines().len(), 1);
    assert_eq!(captured.lines()[0]["request_id"], "r-1");
    assert!(captured.lines()[0].get("trace_id").is_some());
    assert_eq!(captured.spans().len(), 1);
}

#[test]
fn spans_of_the_databases_crates_and_below_info_do_not_exist() {
    let (telemetry, captured) = capture([]);
    with_default(&telemetry.dispatch(), || {
        info_span!(target: "sqlx_core::pool", "noise").in_scope(|| ());
        info_span!(target: "sea_orm", "noise").in_scope(|| ());
        info_span!(target: "sqlxx", "signal").in_scope(|| ());
        tracing::debug_span!("detail").in_scope(|| ());
    });
    let names: Vec<_> = captured.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["signal"]);
}

#[test]
fn a_callers_span_becomes_the_parent_and_its_decision_is_followed() {
    let (telemetry, captured) = capture([]);
    for flags in ["01", "00"] {
        let mut headers = HeaderMap::new();
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        headers.insert("traceparent", format!("00-{ids}-{flags}").parse().unwrap());
        let parent = telemetry.remote_parent(&headers);
        with_default(&telemetry.dispatch(), || {
            request_span("r-1", parent).in_scope(|| info!("line"));
        });
    }
    let spans = captured.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].parent_span_id, SpanId::from_hex("b7ad6b7169203331").unwrap());
    for (line, flags) in captured.lines().iter().zip(["01", "00"]) {
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(line["trace_flags"], flags);
    }
}

#[test]
fn propagators_and_sampler_follow_the_environment() {
    let (telemetry, captured) =
        capture([("OTEL_PROPAGATORS", "none"), ("OTEL_TRACES_SAMPLER", "always_off")]);
    let mut headers = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", parent.parse().unwrap());
    assert_eq!(telemetry.remote_parent(&headers), None);
    with_default(&telemetry.dispatch(), || {
        request_span("r-1", None).in_scope(|| info!("line"));
    });
    assert!(captured.spans().is_empty());
}

#[test]
fn a_debugged_request_is_exported_whatever_the_sampler_says() {
    let parent = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::default(),
        true,
        "a=1".parse().unwrap(),
    );
    for (sampler, ratio) in [
        ("always_off", ""),
        ("traceidratio", "0"),
        ("parentbased_always_off", ""),
        ("parentbased_traceidratio", "0"),
    ] {
        let (telemetry, captured) =
            capture([("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", ratio)]);
        with_default(&telemetry.dispatch(), || {
            request_span("r-1", None).in_scope(|| info_span!("child").in_scope(|| ()));
            let scope = RequestScope::debugged("r-2".into(), Some("d-1".to_owned()));
            let context = Context::new().with_value(scope);
            let span = {
                let _attached = context.with_remote_span_context(parent.clone()).attach();
                info_span!("debugged")
            };
            span.in_scope(|| info_span!("child").in_scope(|| ()));
        });
        let spans = captured.spans();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["child", "debugged"], "{sampler}");
        for span in &spans {
            assert_eq!(span.span_context.trace_id(), parent.trace_id());
            assert_eq!(span.span_context.trace_state().header(), "a=1");
        }
    }
}

#[test]
fn a_disabled_sdk_still_makes_ids_for_lines() {
    let (telemetry, captured) = capture([("OTEL_SDK_DISABLED", "true")]);
    with_default(&telemetry.dispatch(), || {
        request_span("r-1", None).in_scope(|| info!("line"));
    });
    assert!(captured.spans().is_empty());
    let line = &captured.lines()[0];
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(line["trace_flags"], "00");
}

#[test]
fn attributes_are_cut_to_the_limit_of_the_environment() {
    let (telemetry, captured) = capture([("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")]);
    with_default(&telemetry.dispatch(), || {
        info_span!("s", a = "äöüß", n = 12345).in_scope(|| ());
    });
    let values: Vec<_> =
        captured.spans()[0].attributes.iter().map(|a| a.value.to_string()).collect();
    assert_eq!(values, ["äöü", "12345"]);
}

#[test]
fn two_telemetries_in_one_process_stay_apart() {
    let (one, two) = (capture([]), capture([("OTEL_SERVICE_NAME", "other")]));
    with_default(&one.0.dispatch(), || {
        info_span!("s").in_scope(|| info!("one"));
    });
    with_default(&two.0.dispatch(), || info!("two"));
    assert_eq!(one.1.lines()[0]["message"], "one");
    assert_eq!(one.1.lines()[0]["service.name"], "belvedere");
    assert_eq!(two.1.lines()[0]["message"], "two");
    assert_eq!(two.1.lines()[0]["service.name"], "other");
    assert_eq!((one.1.spans().len(), two.1.spans().len()), (1, 0));
    assert_eq!((one.1.lines().len(), two.1.lines().len()), (1, 1));
    let count = |t: &Telemetry| t.metrics().log_events.with_label_values(&["info"]).get();
    assert_eq!((count(&one.0), count(&two.0)), (1, 1));
}

#[test]
fn a_thread_without_telemetry_silences_nobody() {
    let (telemetry, captured) = capture([]);
    let line = || info!("line");
    line();
    telemetry.log_filter().set("debug", None).unwrap();
    with_default(&telemetry.dispatch(), line);
    assert_eq!(captured.lines().len(), 1);
}

#[test]
fn what_is_ignored_in_the_environment_is_told_once() {
    let (_telemetry, captured) = capture([("OTEL_TRACES_SAMPLER", "sometimes")]);
    let lines = captured.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["variable"], "OTEL_TRACES_SAMPLER");
}

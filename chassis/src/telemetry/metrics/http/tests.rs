//! That the short way to a series leads to the same series as its labels.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use prometheus::proto::{LabelPair, Metric};

use super::*;
use crate::telemetry::Metrics;

/// An answer to `GET` with an empty body.
fn outcome(route: Option<&Arc<str>>, status: u16) -> HttpOutcome<'_> {
    HttpOutcome {
        method: "GET",
        route,
        status: Some(status),
        scheme: "http",
        error_type: None,
        duration: Duration::from_millis(3),
        request_bytes: 5,
        response_bytes: Some(0),
        exemplar: None,
    }
}

/// How often each series of a family was observed, by its label values.
fn counts(metrics: &Metrics, family: &str) -> BTreeMap<String, u64> {
    let families = metrics.gather();
    let family = families.iter().find(|found| found.name() == family).unwrap();
    let of = |metric: &Metric| {
        let values: Vec<&str> = metric.get_label().iter().map(LabelPair::value).collect();
        (values.join(" "), metric.get_histogram().get_sample_count())
    };
    family.get_metric().iter().map(of).collect()
}

#[test]
fn each_combination_of_labels_is_a_series_of_its_own() {
    let metrics = Metrics::new().unwrap();
    let (users, user): (Arc<str>, Arc<str>) = ("/users".into(), "/users/{user_id}".into());
    for _ in 0..2 {
        for route in [Some(&users), Some(&user), None] {
            metrics.http.record(&outcome(route, 200));
        }
        metrics.http.record(&outcome(Some(&users), 404));
        metrics.http.record(&HttpOutcome { method: "POST", ..outcome(Some(&users), 200) });
        metrics.http.record(&HttpOutcome { scheme: "https", ..outcome(Some(&users), 200) });
        let fault = Some("overload");
        metrics.http.record(&HttpOutcome { error_type: fault, ..outcome(Some(&users), 503) });
    }
    let expected = [
        " GET 200  http",
        " GET 200 /users http",
        " GET 200 /users https",
        " GET 200 /users/{user_id} http",
        " GET 404 /users http",
        " POST 200 /users http",
        "overload GET 503 /users http",
    ];
    let durations = counts(&metrics, "http_server_request_duration_seconds");
    assert_eq!(durations, expected.map(|labels| (labels.to_owned(), 2)).into());
    let sizes = counts(&metrics, "http_server_request_body_size_bytes");
    let by_route =
        [("GET ", 2), ("GET /users", 8), ("GET /users/{user_id}", 2), ("POST /users", 2)];
    assert_eq!(sizes, by_route.map(|(labels, count)| (labels.to_owned(), count)).into());
}

#[test]
fn two_routes_of_the_same_name_share_a_series_and_their_exemplars() {
    let metrics = Metrics::new().unwrap();
    for _ in 0..3 {
        let route: Arc<str> = "/users".into();
        metrics.http.record(&outcome(Some(&route), 200));
    }
    let durations = counts(&metrics, "http_server_request_duration_seconds");
    assert_eq!(durations, [(" GET 200 /users http".to_owned(), 3)].into());
}

#[test]
fn more_series_than_there_is_room_for_are_counted_all_the_same() {
    let metrics = Metrics::new().unwrap();
    let routes: Vec<Arc<str>> = (0..2 * OUTCOMES).map(|n| format!("/{n}").into()).collect();
    for route in routes.iter().chain(&routes) {
        metrics.http.record(&outcome(Some(route), 200));
    }
    let durations = counts(&metrics, "http_server_request_duration_seconds");
    assert_eq!(durations.len(), routes.len());
    assert!(durations.values().all(|count| *count == 2));
}

#[test]
fn without_an_answer_no_size_is_counted() {
    let metrics = Metrics::new().unwrap();
    let gone = HttpOutcome {
        status: None,
        error_type: Some("client_disconnected"),
        response_bytes: None,
        ..outcome(None, 0)
    };
    metrics.http.record(&gone);
    let durations = counts(&metrics, "http_server_request_duration_seconds");
    assert_eq!(durations, [("client_disconnected GET   http".to_owned(), 1)].into());
    let names: Vec<String> =
        metrics.gather().iter().map(|family| family.name().to_owned()).collect();
    assert!(names.iter().all(|name| !name.contains("body_size")), "{names:?}");
}

#[test]
fn a_request_is_in_flight_until_it_is_dropped() {
    let metrics = Metrics::new().unwrap();
    let in_flight = |method| metrics.http.active.with_label_values(&[method, "http"]).get();
    let (first, second) = (metrics.http.begin("GET", "http"), metrics.http.begin("GET", "http"));
    let other = metrics.http.begin("POST", "http");
    assert_eq!((in_flight("GET"), in_flight("POST")), (2, 1));
    drop((first, other));
    assert_eq!((in_flight("GET"), in_flight("POST")), (1, 0));
    drop(second);
    assert_eq!(in_flight("GET"), 0);
}

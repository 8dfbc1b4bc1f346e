//! What fits, what is full, and what a request is made of.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use futures_util::FutureExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::*;

fn queue(items: usize, size: usize) -> Queue {
    let (delay, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    Queue::new(&otel_environment::Batch { delay, timeout, queue: items, size })
}

/// A span that has a name and nothing else.
fn span(name: &str) -> Vec<u8> {
    let mut item = Vec::new();
    protobuf::nested(&mut item, ITEM, |out| protobuf::bytes(out, 5, name));
    item
}

#[test]
fn what_has_no_room_is_not_taken_until_there_is_room_again() {
    let queue = queue(3, 2);
    let taken: Vec<_> = (0..5).map(|_| queue.push("s", "", &span("a"))).collect();
    assert_eq!(taken, [true, true, true, false, false]);
    assert_eq!(queue.len(), 3);
    assert_eq!(queue.take().unwrap().len(), 2);
    assert!(queue.push("s", "", &span("a")));
    assert_eq!(queue.close(), 2);
    assert!(!queue.push("s", "", &span("a")));
    assert!(queue.take().is_none());
}

#[test]
fn memory_is_bounded_whatever_the_size_of_items() {
    let queue = queue(1_000, 100);
    let big = span(&"x".repeat(100 * 1024));
    let taken = (0..100).filter(|_| queue.push("s", "", &big)).count();
    assert!(taken > 1 && taken * big.len() <= QUEUE_BYTES_MIN, "{taken}");
    while let Some(batch) = queue.take() {
        assert!(batch.bytes().len() <= BATCH_BYTES);
    }
    assert_eq!(queue.len(), 0);
}

#[test]
fn the_exporter_is_woken_by_a_full_batch_and_by_nothing_else() {
    let queue = queue(100, 2);
    queue.push("s", "", &span("a"));
    assert!(queue.filled().now_or_never().is_none());
    assert!(queue.take_full().is_none());
    queue.push("s", "", &span("b"));
    assert!(queue.filled().now_or_never().is_some());
    assert_eq!(queue.take_full().unwrap().len(), 2);
}

#[test]
fn a_request_has_each_item_below_its_scope() {
    let queue = queue(100, 100);
    for (scope, name) in [("one", "a"), ("two", "b"), ("one", "c")] {
        queue.push(scope, "1.0", &span(name));
    }
    let mut request = Vec::new();
    queue.take().unwrap().request(&[], &mut request);
    let request = ExportTraceServiceRequest::decode(request.as_slice()).unwrap();
    let scopes: Vec<_> = request.resource_spans[0]
        .scope_spans
        .iter()
        .map(|spans| {
            let scope = spans.scope.as_ref().unwrap();
            let names: Vec<_> = spans.spans.iter().map(|span| span.name.as_str()).collect();
            (scope.name.as_str(), scope.version.as_str(), names)
        })
        .collect();
    assert_eq!(scopes, [("one", "1.0", vec!["a", "c"]), ("two", "1.0", vec!["b"])]);
}

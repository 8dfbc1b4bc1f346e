//! When batches leave, and how long a collector is left alone.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::time::advance;

use super::super::{ITEM, Signal, protobuf};
use super::*;
use crate::telemetry::Metrics;
use crate::telemetry::otel_environment::{self, Otlp};
use crate::telemetry::target::{ExportTarget, Protocol};

/// Nothing here takes as long: no tick but the first, and no end of a batch's time.
const AGES: Duration = Duration::from_hours(1);
/// Whatever takes longer hangs.
const DEADLINE: Duration = Duration::from_mins(1);
const FULL: usize = 4;

/// What a collector was sent: how many spans in each request.
type Sizes = Arc<Mutex<Vec<usize>>>;

/// Calls `answer` for each request, before its answer is sent.
async fn collector(
    answer: impl Fn() -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> (ExportTarget, Sizes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sizes, answer) = (Sizes::default(), Arc::new(answer));
    let seen = Arc::clone(&sizes);
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let spans = request.resource_spans[0].scope_spans[0].spans.len();
            seen.lock().unwrap().push(spans);
            Ok::<_, Infallible>(answer())
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, service) = (Builder::new(TokioExecutor::new()), service.clone());
            tokio::spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (ExportTarget::new(url, Protocol::HttpProtobuf), sizes)
}

fn lane(target: &ExportTarget, queue: Arc<Queue>) -> Lane {
    let none = Otlp { headers: HashMap::new(), gzip: false, certificate: None, client: None };
    let collector = Collector::new(Signal::Traces, target, &none).unwrap();
    Lane {
        queue,
        books: Arc::new(Books::new(Signal::Traces, &Metrics::new().unwrap())),
        way: Way::Collector(Box::new(collector)),
        delay: AGES,
        timeout: AGES / 2,
        resource: Arc::default(),
        in_flight: Cell::new(0),
    }
}

fn queue() -> Arc<Queue> {
    let batch = otel_environment::Batch { delay: AGES, timeout: AGES, queue: 100, size: FULL };
    Arc::new(Queue::new(&batch))
}

fn push(queue: &Queue, count: usize) {
    let mut item = Vec::new();
    protobuf::nested(&mut item, ITEM, |out| protobuf::bytes(out, 5, "a"));
    assert!((0..count).all(|_| queue.push("s", "", &item)));
}

/// Waits for things that nobody tells.
async fn until(truth: impl Fn() -> bool) {
    let wait = async {
        while !truth() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test]
async fn what_comes_during_a_delivery_leaves_with_a_tick_or_in_a_full_batch() {
    let (queue, first) = (queue(), AtomicBool::new(true));
    push(&queue, 1);
    let during = Arc::clone(&queue);
    let (target, sizes) = collector(move || {
        if first.swap(false, Ordering::Relaxed) {
            push(&during, FULL - 1);
        }
        Response::default()
    })
    .await;
    let mut lane = lane(&target, Arc::clone(&queue));
    let (books, ending) = (Arc::clone(&lane.books), CancellationToken::new());
    let test = async {
        until(|| books.counts()[0] == 1).await;
        push(&queue, 1);
        until(|| sizes.lock().unwrap().len() == 2).await;
        ending.cancel();
    };
    tokio::join!(lane.work(&ending), test);
    assert_eq!(*sizes.lock().unwrap(), [1, FULL]);
}

#[tokio::test]
async fn a_collector_that_asks_for_a_pause_gets_it_unless_the_service_ends() {
    let (queue, first) = (queue(), AtomicBool::new(true));
    push(&queue, 1);
    let (target, sizes) = collector(move || {
        let mut answer = Response::default();
        if first.swap(false, Ordering::Relaxed) {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            answer.headers_mut().insert(RETRY_AFTER, (2 * AGES.as_secs()).into());
        }
        answer
    })
    .await;
    let mut lane = lane(&target, Arc::clone(&queue));
    let (books, ending) = (Arc::clone(&lane.books), CancellationToken::new());
    let test = async {
        // At once: its time ends before that of the pause.
        until(|| books.counts()[2] == 1).await;
        tokio::time::pause();
        push(&queue, FULL);
        advance(PAUSE_MAX / 2).await;
        tokio::task::yield_now().await;
        assert_eq!(queue.len(), FULL);
        tokio::time::resume();
        ending.cancel();
    };
    timeout(DEADLINE, async { tokio::join!(lane.work(&ending), test) }).await.unwrap();
    assert_eq!(*sizes.lock().unwrap(), [1, FULL]);
    assert_eq!(books.counts(), [4, 0, 1]);
}

#[test]
fn a_pause_is_as_long_as_was_asked_for_and_no_longer_than_the_longest() {
    let seconds = Duration::from_secs;
    assert_eq!(pause(Retry::After(seconds(40)), 0), seconds(40));
    assert_eq!(pause(Retry::After(AGES), 0), PAUSE_MAX);
    assert!(pause(Retry::Never, 0) <= BACKOFF_FIRST);
    assert!(pause(Retry::Soon, 40) <= BACKOFF_MAX);
}

//! The streams of one connection, of which hyper tells nothing: whether any is open, and whether the client
//! takes what it is answered. Over HTTP/1 each request is one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Frame, SizeHint};

/// Counts of one connection. A client that answers pings and asks for nothing else would hold its place
/// for ever, and so would one that opens no window for its answers: nothing is written for it, so no
/// write can stall.
pub(super) struct Streams {
    since: Instant,
    /// When the last one began or ended, in microseconds.
    used: AtomicU64,
    begun: AtomicUsize,
    ended: AtomicUsize,
    answered: AtomicUsize,
    /// Pieces of answers that the client has made some room for.
    taken: AtomicUsize,
}

/// One stream, counted as ended when it is dropped.
pub(super) struct Stream {
    streams: Arc<Streams>,
    is_answered: bool,
}

/// The body of an answer, which ends its stream.
pub(super) struct Answered<B> {
    body: B,
    stream: Stream,
}

impl Streams {
    /// Of a connection that begins now; times count from the given one.
    pub(super) fn new(since: Instant) -> Self {
        let streams = Self {
            since,
            used: AtomicU64::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        };
        streams.touch();
        streams
    }

    /// None is open.
    pub(super) fn are_over(&self) -> bool {
        // In this order: one that begins in between makes it busy, never idle.
        let ended = self.ended.load(Ordering::Acquire);
        ended == self.begun.load(Ordering::Acquire)
    }

    /// When it last was of use; comparable among connections that count from the same time.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        self.begun.fetch_add(1, Ordering::AcqRel);
        self.touch();
        Stream { streams: self.clone(), is_answered: false }
    }

    /// Returns once no stream was open for so long, and before it has been twice as long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            let idle = begun == self.ended.load(Ordering::Relaxed);
            tokio::time::sleep(limit).await;
            if idle && begun == self.begun.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Returns once answers have waited for so long and the client took nothing of any, and before it
    /// has been twice as long.
    pub(super) async fn stalled_for(&self, limit: Duration) {
        let progress = || (self.taken.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        loop {
            let (before, waiting) = (progress(), self.answered.load(Ordering::Relaxed) > 0);
            tokio::time::sleep(limit).await;
            if waiting && before == progress() {
                return;
            }
        }
    }
}

impl Stream {
    pub(super) fn answer<B>(mut self, body: B) -> Answered<B> {
        self.streams.answered.fetch_add(1, Ordering::Relaxed);
        self.is_answered = true;
        Answered { body, stream: self }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_answered {
            self.streams.answered.fetch_sub(1, Ordering::Relaxed);
        }
        self.streams.touch();
        self.streams.ended.fetch_add(1, Ordering::AcqRel);
    }
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    /// hyper asks once there is room for one byte in the client's window, and hands what it gets to h2. So
    /// an answer in one piece has ended here while all but that byte waits there.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.stream.streams.taken.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

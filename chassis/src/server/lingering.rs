//! What is left of an HTTP/2 request's body when nobody wants it: read for a moment, and thrown away.
//!
//! Left unread, the stream would be reset as soon as its answer is out. RFC 9113, section 8.1, allows that
//! and forbids clients to lose the answer over it, and yet curl before 8 does, and others with it: of a 401
//! or 413 they tell nothing but an error of the protocol.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Enough for what is on its way, and for a body several times as large as the usual limit. A client that
/// has more to send, or sends it slowly, is told to stop.
const AT_MOST: usize = 4 * 1024 * 1024;
const FOR: Duration = Duration::from_secs(1);

/// Of a listener at once. Beyond it streams are reset: a flood is not to be read for courtesy.
const PLACES: usize = 100;

/// Where bodies are read on.
#[derive(Clone)]
pub(super) struct Lounge {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    cut: CancellationToken,
}

/// A body that is read on for a while when it is dropped before its end.
pub(super) struct Lingering {
    /// None once it has ended.
    body: Option<BoxBody<Bytes, io::Error>>,
    lounge: Lounge,
}

impl Lounge {
    /// Reads in `tasks`, until `cut`.
    pub(super) fn new(tasks: TaskTracker, cut: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), tasks, cut }
    }

    /// Reads what will be left of this body, where there is a place.
    pub(super) fn linger(&self, body: BoxBody<Bytes, io::Error>) -> Lingering {
        Lingering { body: Some(body), lounge: self.clone() }
    }

    fn read(&self, rest: BoxBody<Bytes, io::Error>, runtime: &Handle) {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let cut = self.cut.clone();
        let reading = async move {
            cut.run_until_cancelled(tokio::time::timeout(FOR, throw_away(rest))).await;
            drop(place);
        };
        self.tasks.spawn_on(reading, runtime);
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            self.lounge.read(rest, &runtime);
        }
    }
}

async fn throw_away(mut body: BoxBody<Bytes, io::Error>) {
    let mut room = AT_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        match room.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(left) => room = left,
            None => return,
        }
    }
}

//! The telemetry thread: its runtime, and the order in which the export ends.

use std::pin::pin;
use std::sync::Arc;
use std::{io, thread};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::End;
use super::books::Books;
use super::lane::Lane;

/// The part of the time for an end in which everything should be gone; the rest is for the log
/// records that tell what is not.
const FIRST_PART: (u32, u32) = (9, 10);

/// What one signal lost since the end began.
struct Losses {
    books: Option<Arc<Books>>,
    before: u64,
}

/// It ends when asked to, or when the telemetry is gone.
pub(super) fn start(
    spans: Option<Lane>,
    records: Option<Lane>,
    mut asked: UnboundedReceiver<End>,
) -> io::Result<()> {
    let runtime = runtime()?;
    let work = move || {
        let silence = Dispatch::new(NoSubscriber::default());
        tracing::dispatcher::with_default(&silence, || {
            runtime.block_on(run(spans, records, &mut asked));
            // A host name that nobody answers for must not hold up the end.
            runtime.shutdown_background();
        });
    };
    thread::Builder::new().name("telemetry-export".to_owned()).spawn(work).map(drop)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("telemetry-names")
        // The threads that resolve host names have no subscriber either, for as long as they live.
        .on_thread_start(|| {
            let silence = Dispatch::new(NoSubscriber::default());
            std::mem::forget(tracing::dispatcher::set_default(&silence));
        })
        .build()
}

async fn run(
    mut spans: Option<Lane>,
    mut records: Option<Lane>,
    asked: &mut UnboundedReceiver<End>,
) {
    let (mut spans_lost, mut records_lost) =
        (Losses::of(spans.as_ref()), Losses::of(records.as_ref()));
    let ending = CancellationToken::new();
    let work = async { tokio::join!(work(&mut spans, &ending), work(&mut records, &ending)) };
    let mut work = Box::pin(work);
    let end = tokio::select! {
        _ = &mut work => return,
        end = asked.recv() => end,
    };
    let Some(End { within, done }) = end else {
        return;
    };
    let now = Instant::now();
    spans_lost.begin();
    records_lost.begin();
    ending.cancel();
    let _ = timeout_at(now + within * FIRST_PART.0 / FIRST_PART.1, &mut work).await;
    drop(work);
    // Log records come last, for some tell what became of the spans.
    finish(spans.as_mut(), now).await;
    spans_lost.tell();
    finish(records.as_mut(), now + within * 7 / 8).await;
    records_lost.tell();
    let _ = done.send(spans_lost.count() + records_lost.count() == 0);
}

/// Without a lane there is nothing to do, for ever.
async fn work(lane: &mut Option<Lane>, ending: &CancellationToken) {
    match lane {
        Some(lane) => lane.work(ending).await,
        None => ending.cancelled().await,
    }
}

async fn finish(lane: Option<&mut Lane>, deadline: Instant) {
    if let Some(lane) = lane {
        if !lane.was_interrupted() {
            let drain = pin!(lane.drain());
            let _ = timeout_at(deadline, drain).await;
        }
        lane.cut_off();
    }
}

impl Losses {
    fn of(lane: Option<&Lane>) -> Self {
        Self { books: lane.map(|lane| Arc::clone(&lane.books)), before: 0 }
    }

    fn begin(&mut self) {
        self.before = self.books.as_ref().map_or(0, |books| books.lost());
    }

    fn count(&self) -> u64 {
        self.books.as_ref().map_or(0, |books| books.lost() - self.before)
    }

    fn tell(&self) {
        if let Some(books) = self.books.as_ref().filter(|_| self.count() > 0) {
            books.conclude(self.count());
        }
    }
}

//! Whether a connection has bytes of an answer that its client has not taken. hyper tells nothing of
//! it, so its writes are watched.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Whether bytes wait for the client of one connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<AtomicBool>);

/// Passes everything on, and remembers whether the last write was taken.
pub(super) struct Watched<W> {
    inner: W,
    backlog: Backlog,
}

impl Backlog {
    /// Bytes wait at this moment.
    pub(super) fn exists(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<W> Watched<W> {
    pub(super) fn new(inner: W, backlog: Backlog) -> Self {
        Self { inner, backlog }
    }

    fn remember<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.backlog.0.store(poll.is_pending(), Ordering::Relaxed);
        poll
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Watched<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.remember(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.remember(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

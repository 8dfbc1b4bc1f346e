//! Requests that hyper has read are begun, whatever happens next.
//!
//! Where a client closes its end right after the request, hyper may drop the answer's future before
//! its first poll. But the request was made: it is begun then and given up at once, so that it has
//! its line, its span and its count like any other whose client has gone.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A future that has been polled at least once when it is gone.
pub(super) struct Begun<F: Future> {
    inner: Pin<Box<F>>,
    polled: bool,
}

impl<F: Future> Begun<F> {
    pub(super) fn new(inner: F) -> Self {
        Self { inner: Box::pin(inner), polled: false }
    }
}

impl<F: Future> Future for Begun<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.polled = true;
        self.inner.as_mut().poll(context)
    }
}

impl<F: Future> Drop for Begun<F> {
    fn drop(&mut self) {
        if !self.polled {
            // Nobody waits for what it would say.
            let _ = self.inner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_dropped_unpolled_has_begun_once() {
        let begun = Cell::new(0);
        let work = || async {
            begun.set(begun.get() + 1);
            std::future::pending::<()>().await;
        };
        drop(Begun::new(work()));
        assert_eq!(begun.get(), 1);
        let mut polled = Begun::new(work());
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut polled).poll(&mut context).is_pending());
        drop(polled);
        assert_eq!(begun.get(), 2);
    }
}

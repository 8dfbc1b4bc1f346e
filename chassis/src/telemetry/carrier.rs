//! Carries a request's OpenTelemetry `Context` along with a `tracing` span.
//!
//! The spans of requests and statements are made with the SDK itself, which costs a third of what
//! the bridge from `tracing` costs and nothing where the sampler says no. What remains for `tracing`
//! is to be the vehicle: `Instrument`, `in_current_span` and every library that hands its span to
//! another task or thread take the context along, and with it the ids of all lines.

use std::cell::RefCell;

use opentelemetry::{Context, ContextGuard};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

/// The target of carriers; no other layer takes their spans.
pub(super) const TARGET: &str = "chassis::request";

thread_local! {
    /// The contexts that are attached on this thread, innermost last.
    static ATTACHED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

/// A `tracing` span that attaches the current context again wherever it is entered.
pub(crate) fn carry_current() -> Span {
    tracing::info_span!(target: TARGET, "request")
}

pub(super) fn is_carrier(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

/// The layer that attaches and detaches.
pub(super) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let only_carriers = FilterFn::new(|metadata| metadata.is_span() && is_carrier(metadata));
    Carrier.with_filter(only_carriers.with_max_level_hint(LevelFilter::from_level(Level::INFO)))
}

struct Carrier;

struct Carried(Context);

impl<S> Layer<S> for Carrier
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, spans: LayerContext<'_, S>) {
        if let Some(span) = spans.span(id) {
            span.extensions_mut().insert(Carried(Context::current()));
        }
    }

    fn on_enter(&self, id: &Id, spans: LayerContext<'_, S>) {
        let carried = spans.span(id).and_then(|span| {
            let extensions = span.extensions();
            extensions.get::<Carried>().map(|carried| carried.0.clone())
        });
        if let Some(context) = carried {
            let attached = (id.clone(), context.attach());
            // Not there while the thread ends; the context is then detached at once.
            let _ = ATTACHED.try_with(|stack| stack.borrow_mut().push(attached));
        }
    }

    fn on_exit(&self, id: &Id, _: LayerContext<'_, S>) {
        // Spans may be left in another order than they were entered.
        let _ = ATTACHED.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let at = stack.iter().rposition(|(entered, _)| entered == id);
            at.map(|at| stack.remove(at))
        });
    }
}

#[cfg(test)]
mod tests {
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Mark(u8);

    fn mark() -> Option<u8> {
        Context::map_current(|context| context.get::<Mark>().map(|mark| mark.0))
    }

    fn carrying(number: u8) -> Span {
        let _attached = Context::new().with_value(Mark(number)).attach();
        carry_current()
    }

    #[test]
    fn the_context_is_there_exactly_while_the_span_is_entered() {
        let subscriber = tracing_subscriber::registry().with(layer());
        tracing::subscriber::with_default(subscriber, || {
            let (one, two) = (carrying(1), carrying(2));
            assert_eq!(mark(), None);
            one.in_scope(|| {
                assert_eq!(mark(), Some(1));
                two.in_scope(|| assert_eq!(mark(), Some(2)));
                assert_eq!(mark(), Some(1));
            });
            assert_eq!(mark(), None);
        });
    }

    #[test]
    fn the_current_span_takes_it_to_another_thread() {
        let subscriber = tracing_subscriber::registry().with(layer());
        let dispatch = tracing::Dispatch::new(subscriber);
        let seen = tracing::dispatcher::with_default(&dispatch, || {
            let current = carrying(3).in_scope(Span::current);
            let elsewhere = dispatch.clone();
            let thread = std::thread::spawn(move || {
                tracing::dispatcher::with_default(&elsewhere, || current.in_scope(mark))
            });
            thread.join()
        });
        assert_eq!(seen.ok(), Some(Some(3)));
    }

    #[tokio::test]
    async fn a_future_has_it_at_every_poll() {
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer()));
        let span = tracing::dispatcher::with_default(&dispatch, || carrying(4));
        let seen = async {
            let before = mark();
            tokio::task::yield_now().await;
            (before, mark())
        };
        assert_eq!(seen.instrument(span).await, (Some(4), Some(4)));
        assert_eq!(mark(), None);
    }
}

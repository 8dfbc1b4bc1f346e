//! Spans and log records on their way to a collector: OTLP, so that an operator can trust it.
//!
//! One thread does it all, on a runtime of its own: it goes on while the service's runtime is
//! saturated, blocked or has a single worker, and a shutdown can wait for it on any thread. It runs
//! without a subscriber, so that nothing of an export is traced or logged and makes the next export.
//! Whoever ends a span or logs a line leaves it in a queue, and neither waits nor wakes anybody. What
//! is lost is counted and told. What a span or record is made of is decided elsewhere.
//!
//! opentelemetry-otlp gives the names of variables and values. Its exporter is not used: it hides
//! what a collector rejected and why an export failed, and takes spans only as the SDK keeps them. It
//! is the reference: tests hand the same items to both and compare what is sent.

mod books;
mod client;
mod console;
mod failure;
mod lane;
mod otlp;
pub(in crate::telemetry) mod protobuf;
mod queue;
#[cfg(test)]
pub(in crate::telemetry) mod reference;
mod spans;
mod status;
mod thread;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::Dispatch;

pub(super) use self::books::Books;
pub use self::failure::ExportError;
use self::lane::{Lane, Way};
use self::otlp::Collector;
pub(super) use self::queue::{ITEM, Queue};
pub(super) use self::spans::{SpanQueue, cut};
pub use self::status::{ExportState, SignalStatus, TelemetryStatus};
use super::otel_environment::{Exporter, OtelEnvironment, SignalEnvironment};
use super::target::ExportTarget;
use super::{Metrics, TelemetryError};

/// To the console, items go while somebody watches.
const CONSOLE_DELAY: Duration = Duration::from_millis(100);

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
}

/// The export of one service. It ends with this, or in order by [`Export::end`].
pub(super) struct Export {
    traces: Outlet,
    logs: Outlet,
    ends: mpsc::UnboundedSender<End>,
}

/// One signal's entrance to the export, as the service sees it.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) books: Arc<Books>,
    pub(super) queue: Option<Arc<Queue>>,
    pub(super) target: Option<ExportTarget>,
    /// Items are lines for people.
    pub(super) is_console: bool,
}

/// A request to export what there is and to stop.
struct End {
    within: Duration,
    done: oneshot::Sender<bool>,
}

impl Export {
    /// Certificates are read here; nothing is sent before there is something to send.
    pub(super) fn start(
        otel: &OtelEnvironment,
        resource: &Resource,
        metrics: &Metrics,
    ) -> Result<Self, TelemetryError> {
        let resource: Arc<[u8]> = spans::resource(resource).into();
        let (traces, spans) = open(Signal::Traces, &otel.traces, &resource, metrics)?;
        let (logs, records) = open(Signal::Logs, &otel.logs, &resource, metrics)?;
        let (ends, asked) = mpsc::unbounded_channel();
        if spans.is_some() || records.is_some() {
            thread::start(spans, records, asked).map_err(TelemetryError::Export)?;
        }
        Ok(Self { traces, logs, ends })
    }

    /// Nothing leaves.
    pub(super) fn none(metrics: &Metrics) -> Self {
        let outlet = |signal| Outlet {
            books: Arc::new(Books::new(signal, metrics)),
            queue: None,
            target: None,
            is_console: false,
        };
        let (ends, _) = mpsc::unbounded_channel();
        Self { traces: outlet(Signal::Traces), logs: outlet(Signal::Logs), ends }
    }

    pub(super) fn traces(&self) -> &Outlet {
        &self.traces
    }

    pub(super) fn logs(&self) -> &Outlet {
        &self.logs
    }

    /// Tells failures to the log of the same telemetry.
    pub(super) fn report_to(&self, dispatch: &Dispatch) {
        self.traces.books.report_to(dispatch);
        self.logs.books.report_to(dispatch);
    }

    /// Exports what there is, within the given time, and stops. False where something was lost.
    pub(super) async fn end(&self, within: Duration) -> bool {
        let (done, finished) = oneshot::channel();
        let _ = self.ends.send(End { within, done });
        match timeout(within, finished).await {
            Ok(Ok(complete)) => complete,
            // There was nothing to export, or it has ended before.
            Ok(Err(_)) => self.traces.is_settled() && self.logs.is_settled(),
            Err(_) => false,
        }
    }
}

impl Outlet {
    /// Nothing waits, and the last batch was taken.
    fn is_settled(&self) -> bool {
        !self.books.is_failing() && self.queue.as_ref().is_none_or(|queue| queue.len() == 0)
    }
}

impl Signal {
    /// The value of the label `signal`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// What it consists of, for people.
    fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log records",
        }
    }

    fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

fn open(
    signal: Signal,
    environment: &SignalEnvironment,
    resource: &Arc<[u8]>,
    metrics: &Metrics,
) -> Result<(Outlet, Option<Lane>), TelemetryError> {
    let batch = &environment.batch;
    let (way, target) = match &environment.exporter {
        Exporter::None => (None, None),
        Exporter::Console => (Some(Way::Console), None),
        Exporter::Otlp(target) => {
            let collector = Collector::new(signal, target, &environment.otlp)?;
            (Some(Way::Collector(Box::new(collector))), Some(target.clone()))
        }
    };
    let is_console = matches!(way, Some(Way::Console));
    let books = Arc::new(Books::new(signal, metrics));
    let queue = way.is_some().then(|| Arc::new(Queue::new(batch)));
    let outlet = Outlet { books: Arc::clone(&books), queue: queue.clone(), target, is_console };
    let lane = way.zip(queue).map(|(way, queue)| Lane {
        queue,
        books,
        way,
        delay: if is_console { batch.delay.min(CONSOLE_DELAY) } else { batch.delay },
        timeout: batch.timeout,
        resource: Arc::clone(resource),
        in_flight: Cell::new(0),
    });
    Ok((outlet, lane))
}

#[cfg(test)]
pub(super) fn outlet_for_tests(metrics: &Metrics) -> Outlet {
    let delay = Duration::from_secs(1);
    let batch = super::otel_environment::Batch { delay, timeout: delay, queue: 100, size: 100 };
    Outlet {
        books: Arc::new(Books::new(Signal::Logs, metrics)),
        queue: Some(Arc::new(Queue::new(&batch))),
        target: None,
        is_console: false,
    }
}

//! Where lines go. Writing never holds up the service: a thread of each output does it, and lines that
//! it cannot keep up with are given up and counted.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use opentelemetry_sdk::Resource;
use tracing::{Dispatch, Event};

use super::file::DailyFile;
use super::format::{Format, Scratch};
use super::losses::{Losses, Reporter, is_muted};
use super::queue::{QUEUE_BYTES, Queue};
use super::writer::Writer;
use super::{LogFormat, LogSettings};
use crate::settings::Environ;
use crate::telemetry::{Metrics, TelemetryError};

/// Where lines go without `log.file`, by the name that the metrics have for it.
const STDOUT: &str = "stdout";
/// `log.file`.
const FILE: &str = "file";
/// A thread keeps its buffers unless a giant line made them bigger than this.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::new()) };
}

/// All outputs of one service. Cheap to clone.
#[derive(Clone)]
pub(in crate::telemetry) struct Destination(Arc<Outputs>);

struct Outputs {
    all: Vec<Output>,
    reporter: Arc<Reporter>,
}

struct Output {
    name: &'static str,
    format: Format,
    sink: Sink,
}

enum Sink {
    Queue { queue: Arc<Queue>, losses: Arc<Losses> },
    Memory(Arc<Mutex<String>>),
}

impl Destination {
    /// `lines`, which may be a terminal, and `log.file` where it is set.
    pub(in crate::telemetry) fn open(
        lines: impl Write + Send + 'static,
        terminal: bool,
        log: &LogSettings,
        resource: &Resource,
        environ: &Environ,
        metrics: &Metrics,
    ) -> Result<Self, TelemetryError> {
        let losses = |name| {
            Arc::new(Losses::new(name, metrics.log_lines_dropped.with_label_values(&[name])))
        };
        let (stdout_losses, file_losses) = (losses(STDOUT), losses(FILE));
        let all = vec![Arc::clone(&stdout_losses), Arc::clone(&file_losses)];
        let reporter = Arc::new(Reporter::new(all));
        let lines = Output {
            name: STDOUT,
            format: format(log.format, terminal, resource, environ),
            sink: Sink::queue(STDOUT, lines, &stdout_losses, &reporter)?,
        };
        let mut all = vec![lines];
        if let Some(path) = &log.file {
            let file = DailyFile::open(path.clone())
                .map_err(|source| TelemetryError::LogFile { path: path.clone(), source })?;
            all.push(Output {
                name: FILE,
                format: Format::json(resource),
                sink: Sink::queue(FILE, file, &file_losses, &reporter)?,
            });
        }
        Ok(Self(Arc::new(Outputs { all, reporter })))
    }

    /// Written at once, so that a test need not wait.
    pub(in crate::telemetry) fn memory(
        log: &LogSettings,
        resource: &Resource,
        environ: &Environ,
        text: &Arc<Mutex<String>>,
        metrics: &Metrics,
    ) -> Self {
        for name in [STDOUT, FILE] {
            metrics.log_lines_dropped.with_label_values(&[name]);
        }
        let output = Output {
            name: STDOUT,
            format: format(log.format, false, resource, environ),
            sink: Sink::Memory(Arc::clone(text)),
        };
        let reporter = Arc::new(Reporter::new(Vec::new()));
        Self(Arc::new(Outputs { all: vec![output], reporter }))
    }

    /// Lines that an output loses are told there.
    pub(in crate::telemetry) fn report_losses_to(&self, dispatch: &Dispatch) {
        self.0.reporter.report_to(dispatch);
    }

    pub(super) fn write(&self, event: &Event<'_>, time: DateTime<Utc>) {
        // Taken, not borrowed: a field that logs while it is formatted finds an empty one. None is
        // left while the thread ends.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        let mut rendered = None;
        for output in self.0.all.iter().filter(|output| !is_muted(output.name)) {
            // All outputs are of one service, so what has the same style is the same line.
            let style = Some(output.format.style());
            if rendered != style {
                output.format.render(event, time, &mut scratch);
                rendered = style;
            }
            output.sink.write(&scratch.line);
        }
        if scratch.line.capacity() <= KEPT_BYTES {
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
    }

    /// Blocks until all lines so far are written or lost. False where the last ones were lost.
    pub(in crate::telemetry) fn flush(&self) -> bool {
        let queues = self.0.all.iter().filter_map(|output| output.sink.as_queue());
        // All are hurried before one is waited for: it may be blocked.
        let hurried: Vec<_> = queues.map(|queue| (queue, queue.hurry())).collect();
        hurried.into_iter().fold(true, |written, (queue, lines)| queue.wait(lines) && written)
    }
}

impl Sink {
    fn queue(
        name: &'static str,
        output: impl Write + Send + 'static,
        losses: &Arc<Losses>,
        reporter: &Arc<Reporter>,
    ) -> Result<Self, TelemetryError> {
        let queue = Arc::new(Queue::new(QUEUE_BYTES));
        let writer = Writer {
            name,
            queue: Arc::clone(&queue),
            losses: Arc::clone(losses),
            reporter: Arc::clone(reporter),
        };
        writer.start(output)?;
        Ok(Self::Queue { queue, losses: Arc::clone(losses) })
    }

    fn as_queue(&self) -> Option<&Queue> {
        match self {
            Self::Queue { queue, .. } => Some(queue),
            Self::Memory(_) => None,
        }
    }

    fn write(&self, line: &str) {
        match self {
            Self::Queue { queue, losses } => {
                if !queue.push(line) {
                    losses.add(1);
                }
            }
            Self::Memory(text) => {
                text.lock().unwrap_or_else(PoisonError::into_inner).push_str(line);
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(queue) = self.as_queue() {
            queue.close();
        }
    }
}

/// Stdout without the buffer of the standard library, which hides how much of a line was written.
pub(in crate::telemetry) fn stdout() -> Result<File, TelemetryError> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned();
    descriptor.map(File::from).map_err(TelemetryError::LogWriter)
}

fn format(format: LogFormat, terminal: bool, resource: &Resource, environ: &Environ) -> Format {
    let colours = terminal && environ.get("NO_COLOR").is_none();
    match format {
        LogFormat::Auto if terminal => Format::Pretty { colours },
        LogFormat::Auto | LogFormat::Json => Format::json(resource),
        LogFormat::Pretty => Format::Pretty { colours },
        LogFormat::Syslog => Format::syslog(resource, environ),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use std::sync::mpsc::{Receiver, Sender, channel};

    use prometheus::IntCounter;

    use super::*;

    /// Tells that it was called, writes nothing until it may, then fails.
    struct Stalled {
        called: Sender<()>,
        resume: Receiver<()>,
    }

    impl Write for Stalled {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.called.send(());
            let _ = self.resume.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_output_costs_lines_and_no_time() {
        let dropped = IntCounter::new("dropped", "Dropped.").unwrap();
        let losses = Arc::new(Losses::new(STDOUT, dropped.clone()));
        let reporter = Arc::new(Reporter::new(vec![Arc::clone(&losses)]));
        let ((called, calls), (resume, stalled)) = (channel(), channel());
        let output = Stalled { called, resume: stalled };
        let sink = Sink::queue(STDOUT, output, &losses, &reporter).unwrap();
        let line = format!("{}\n", "x".repeat(1023));
        sink.write(&line);
        calls.recv().unwrap();
        let fitting = QUEUE_BYTES / line.len();
        for _ in 0..fitting + 500 {
            sink.write(&line);
        }
        assert_eq!(dropped.get(), 500);
        drop(resume);
        let queue = sink.as_queue().unwrap();
        assert!(!queue.wait(queue.hurry()));
        assert_eq!(dropped.get(), fitting as u64 + 501);
    }
}

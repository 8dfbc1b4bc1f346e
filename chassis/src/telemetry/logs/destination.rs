//! Where lines go. Writing never holds up the service: a thread does it, and lines that it cannot
//! keep up with are given up and counted.

use std::cell::Cell;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chrono::{DateTime, Utc};
use opentelemetry_sdk::Resource;
use prometheus::IntCounter;
use tracing::Event;

use super::file::DailyFile;
use super::format::{Format, Scratch};
use super::{LogFormat, LogSettings};
use crate::settings::Environ;
use crate::telemetry::{Metrics, TelemetryError};

/// Lines that may wait: some 8 MB, which bridges a stalled reader for half a second at 20 000
/// requests per second.
const QUEUE_LINES: usize = 16_384;
/// Lines that are written with one system call.
const BATCH_LINES: usize = 256;
/// A thread keeps its buffers unless a giant line made them bigger than this.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::new()) };
}

/// All outputs of one service. Cheap to clone.
#[derive(Clone)]
pub(in crate::telemetry) struct Destination(Arc<[Output]>);

struct Output {
    format: Format,
    sink: Sink,
}

enum Sink {
    Queue { sender: SyncSender<Message>, dropped: IntCounter },
    Memory(Arc<Mutex<String>>),
}

enum Message {
    Line(Box<str>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
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
        let lines = Output {
            format: format(log.format, terminal, resource, environ),
            sink: Sink::queue(lines, metrics)?,
        };
        let Some(path) = &log.file else {
            return Ok(Self([lines].into()));
        };
        let file = DailyFile::open(path.clone())
            .map_err(|source| TelemetryError::LogFile { path: path.clone(), source })?;
        let file = Output { format: Format::json(resource), sink: Sink::queue(file, metrics)? };
        Ok(Self([lines, file].into()))
    }

    /// Written at once, so that a test need not wait.
    pub(in crate::telemetry) fn memory(
        log: &LogSettings,
        resource: &Resource,
        environ: &Environ,
        text: &Arc<Mutex<String>>,
    ) -> Self {
        let output = Output {
            format: format(log.format, false, resource, environ),
            sink: Sink::Memory(Arc::clone(text)),
        };
        Self([output].into())
    }

    pub(super) fn write(&self, event: &Event<'_>, time: DateTime<Utc>) {
        // Taken, not borrowed: a field that logs while it is formatted finds an empty one. None is
        // left while the thread ends.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        for output in self.0.iter() {
            output.format.render(event, time, &mut scratch);
            output.sink.write(&scratch.line);
        }
        if scratch.line.capacity() <= KEPT_BYTES {
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
    }

    /// Blocks until all lines so far are written. False where an output is out of order.
    pub(in crate::telemetry) fn flush(&self) -> bool {
        self.0.iter().all(|output| output.sink.flush())
    }
}

impl Sink {
    fn queue(
        writer: impl Write + Send + 'static,
        metrics: &Metrics,
    ) -> Result<Self, TelemetryError> {
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        let dropped = metrics.log_lines_dropped.clone();
        let lost = dropped.clone();
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || write_lines(&receiver, writer, &lost))
            .map_err(TelemetryError::LogWriter)?;
        Ok(Self::Queue { sender, dropped })
    }

    fn write(&self, line: &str) {
        match self {
            Self::Queue { sender, dropped } => {
                if sender.try_send(Message::Line(line.into())).is_err() {
                    dropped.inc();
                }
            }
            Self::Memory(text) => {
                text.lock().unwrap_or_else(PoisonError::into_inner).push_str(line);
            }
        }
    }

    fn flush(&self) -> bool {
        let Self::Queue { sender, .. } = self else {
            return true;
        };
        let (done, finished) = sync_channel(1);
        sender.send(Message::Flush(done)).is_ok() && finished.recv().is_ok()
    }
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

/// Ends when the last sender is gone.
fn write_lines(receiver: &Receiver<Message>, mut writer: impl Write, lost: &IntCounter) {
    let mut batch = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut flushes = Vec::new();
        let mut lines = 0;
        let waiting = std::iter::once(first).chain(receiver.try_iter());
        for message in waiting.take(BATCH_LINES) {
            match message {
                Message::Line(line) => {
                    batch.extend_from_slice(line.as_bytes());
                    lines += 1;
                }
                Message::Flush(done) => flushes.push(done),
            }
        }
        // Nobody could be told: the log is what is broken.
        if writer.write_all(&batch).and_then(|()| writer.flush()).is_err() {
            lost.inc_by(lines);
        }
        batch.clear();
        for done in flushes {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use std::sync::mpsc::channel;

    use super::*;

    /// Writes nothing until it may, then fails.
    struct Stalled(Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_output_costs_lines_and_no_time() {
        let metrics = Metrics::new().unwrap();
        let (resume, stalled) = channel();
        let sink = Sink::queue(Stalled(stalled), &metrics).unwrap();
        let written = QUEUE_LINES + 2 * BATCH_LINES;
        for _ in 0..written {
            sink.write("line\n");
        }
        assert!(metrics.log_lines_dropped.get() >= BATCH_LINES as u64);
        drop(resume);
        assert!(sink.flush());
        assert_eq!(metrics.log_lines_dropped.get(), written as u64);
    }
}

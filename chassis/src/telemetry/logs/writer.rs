//! The thread of one output: takes lines from their queue and writes them, as many at once as there
//! are. What an output does not take is counted; a line that it took in part is finished first.

use std::io::{ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::losses::{Losses, Reporter};
use super::queue::{Batch, Queue};
use crate::telemetry::TelemetryError;

/// Before a pipe that somebody made non-blocking is asked again.
const RETRY: Duration = Duration::from_millis(10);

/// The thread and what it works with.
pub(super) struct Writer {
    pub(super) name: &'static str,
    pub(super) queue: Arc<Queue>,
    pub(super) losses: Arc<Losses>,
    pub(super) reporter: Arc<Reporter>,
}

/// An output that gets whole lines.
struct Lines<W> {
    output: W,
    /// The end of the line that it took in part.
    rest: Vec<u8>,
}

impl Writer {
    /// Runs until the queue is closed.
    pub(super) fn start(self, output: impl Write + Send + 'static) -> Result<(), TelemetryError> {
        let mut lines = Lines { output, rest: Vec::new() };
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || self.run(&mut lines))
            .map(drop)
            .map_err(TelemetryError::LogWriter)
    }

    fn run(&self, output: &mut Lines<impl Write>) {
        let mut batch = Batch::default();
        while self.queue.take(&mut batch) {
            let lost = output.write(&batch.lines);
            if lost > 0 {
                self.losses.add(lost);
            }
            let drained = self.queue.settle(count(&batch.lines), lost > 0);
            let works = lost == 0 && drained && !batch.lines.is_empty();
            self.reporter.review(works.then_some(self.name));
        }
    }
}

impl<W: Write> Lines<W> {
    /// Gives the number of lines that were lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        let begun = mem::take(&mut self.rest);
        let finished = self.push(&begun);
        if finished < begun.len() {
            self.rest.extend_from_slice(&begun[finished..]);
            return count(lines);
        }
        let (written, mut left) = lines.split_at(self.push(lines));
        if written.last().is_some_and(|last| *last != b'\n') {
            let end = left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |at| at + 1);
            self.rest.extend_from_slice(&left[..end]);
            left = &left[end..];
        }
        count(left)
    }

    /// Gives the number of bytes that the output took.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY),
                Err(_) => break,
            }
        }
        // One that buffers and fails at this has taken the lines all the same.
        let _ = self.output.flush();
        written
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Takes so many bytes, then nothing until it gets more room.
    #[derive(Default)]
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fitting = bytes.len().min(self.room);
            if fitting == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= fitting;
            self.content.extend_from_slice(&bytes[..fitting]);
            Ok(fitting)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_written_in_part_is_finished_before_the_next() {
        let mut lines = Lines { output: Disk { room: 6, ..Disk::default() }, rest: Vec::new() };
        assert_eq!(lines.write(b"one\ntwo\nthree\n"), 1);
        assert_eq!(lines.output.content, b"one\ntw");
        assert_eq!(lines.write(b"four\n"), 1);
        lines.output.room = 1;
        assert_eq!(lines.write(b"five\n"), 1);
        lines.output.room = 100;
        assert_eq!(lines.write(b"six\n"), 0);
        assert_eq!(lines.output.content, b"one\ntwo\nsix\n");
    }

    #[test]
    fn every_cut_leaves_whole_lines() {
        let text = b"one\ntwo\nthree\n";
        for room in 0..=text.len() {
            let mut lines = Lines { output: Disk { room, ..Disk::default() }, rest: Vec::new() };
            let lost = lines.write(text);
            lines.output.room = 100;
            assert_eq!(lines.write(b"end\n"), 0);
            let content = String::from_utf8_lossy(&lines.output.content).into_owned();
            assert_eq!(content.lines().count() as u64, 4 - lost, "{content}");
            for line in content.lines() {
                assert!(["one", "two", "three", "end"].contains(&line), "{content}");
            }
        }
    }
}

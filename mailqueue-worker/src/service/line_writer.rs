//! Log lines on their way to standard error.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The time for which the lines of a busy process gather.
const GATHERING: Duration = Duration::from_millis(10);

/// The octets that gather at most.
const MAX_GATHERED: usize = 256 << 10;

/// Writes lines whole, in their order, and loses none of them unless the process is killed.
///
/// A line after a pause is written at once by the thread that logs it. The lines of the next 10 ms are written together,
/// by a thread for them: a write for each would cost a busy process more than all else about the line. Warnings and errors
/// are written at once, with what has gathered before them.
#[derive(Debug)]
pub(super) struct LineWriter<W>(Arc<Shared<W>>);

#[derive(Debug)]
struct Shared<W> {
    state: Mutex<State<W>>,
    /// Wakes the thread that writes what gathers.
    has_gathered: Condvar,
}

#[derive(Debug)]
struct State<W> {
    out: W,
    gathered: Vec<u8>,
    /// The time of the latest write.
    written: Option<Instant>,
    /// True while the thread knows of gathered lines.
    is_awaited: bool,
    /// False once each line is written at once.
    gathers: bool,
}

impl<W> Clone for LineWriter<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write + Send + 'static> LineWriter<W> {
    /// Writes to `out`. Starts a thread, which ends with the process.
    pub(super) fn start(out: W) -> Self {
        let state = State { out, gathered: Vec::new(), written: None, is_awaited: false, gathers: true };
        let writer = Self(Arc::new(Shared { state: Mutex::new(state), has_gathered: Condvar::new() }));
        let own = writer.clone();
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || own.write_gathered());
        if started.is_err() {
            writer.finish();
        }
        writer
    }

    /// Writes what has gathered. Each further line is written at once.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        state.gathers = false;
        state.write();
        // The thread has nothing to do any more.
        self.0.has_gathered.notify_one();
    }

    fn write_gathered(&self) {
        let mut state = self.state();
        while state.gathers {
            if !state.is_awaited {
                state = self.0.has_gathered.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            thread::sleep(GATHERING);
            state = self.state();
            state.is_awaited = false;
            state.write();
        }
    }

    fn add(&self, line: &[u8], is_urgent: bool) {
        let mut state = self.state();
        state.gathered.extend_from_slice(line);
        let is_full = state.gathered.len() > MAX_GATHERED;
        if is_urgent || is_full || !state.gathers || state.is_after_pause() {
            state.write();
        } else if !std::mem::replace(&mut state.is_awaited, true) {
            self.0.has_gathered.notify_one();
        }
    }
}

impl<W> LineWriter<W> {
    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> State<W> {
    fn is_after_pause(&self) -> bool {
        self.written.is_none_or(|written| written.elapsed() >= GATHERING)
    }

    fn write(&mut self) {
        if !self.gathered.is_empty() {
            // Nobody is left to tell that it cannot be written.
            let _ = self.out.write_all(&self.gathered);
            self.gathered.clear();
            self.written = Some(Instant::now());
        }
    }
}

/// Takes the lines of one event.
pub(super) struct Line<'w, W> {
    writer: &'w LineWriter<W>,
    is_urgent: bool,
}

impl<W: Write + Send + 'static> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.writer.add(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w, W: Write + Send + 'static> MakeWriter<'w> for LineWriter<W> {
    type Writer = Line<'w, W>;

    fn make_writer(&'w self) -> Self::Writer {
        Line { writer: self, is_urgent: true }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Self::Writer {
        Line { writer: self, is_urgent: *event.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Passes on what is written, each write as a message.
    struct Writes(mpsc::Sender<String>);

    impl Write for Writes {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(octets).expect("lines are text").to_owned();
            self.0.send(text).expect("the test is there");
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> (LineWriter<Writes>, mpsc::Receiver<String>) {
        let (sender, writes) = mpsc::channel();
        (LineWriter::start(Writes(sender)), writes)
    }

    #[test]
    fn a_line_after_a_pause_is_written_by_its_own_thread() {
        let (writer, writes) = writer();
        writer.add(b"one\n", false);
        assert_eq!(writes.try_recv().as_deref(), Ok("one\n"));
    }

    #[test]
    fn gathered_lines_are_written_without_a_further_one() {
        let (writer, writes) = writer();
        (0..1000).for_each(|n| writer.add(format!("{n}\n").as_bytes(), false));
        let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let mut written = String::new();
        while written.len() < expected.len() {
            written += &writes.recv().expect("the writer is there");
        }
        assert_eq!(written, expected);
    }

    #[test]
    fn a_warning_is_written_at_once_behind_the_lines_before_it() {
        let (writer, writes) = writer();
        (0..100).for_each(|n| writer.add(format!("{n}\n").as_bytes(), false));
        writer.add(b"warning\n", true);
        let written: String = writes.try_iter().collect();
        assert!(written.starts_with("0\n1\n") && written.ends_with("\n99\nwarning\n"), "{written}");
    }

    #[test]
    fn nothing_is_lost_at_the_end() {
        let (writer, writes) = writer();
        let expected: usize = (0..4)
            .map(|thread| {
                let writer = writer.clone();
                thread::spawn(move || {
                    (0..500).for_each(|n| writer.add(format!("{thread} {n}\n").as_bytes(), false))
                })
            })
            .map(|logging| logging.join().map(|()| 500).expect("no panic"))
            .sum();
        writer.finish();
        writer.add(b"last\n", false);
        let written: String = writes.try_iter().collect();
        assert_eq!(written.lines().count(), expected + 1);
        assert!(written.ends_with("\nlast\n"));
    }
}

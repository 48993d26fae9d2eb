//! Logs: one line an event.

use std::io::Stderr;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use super::line_writer::LineWriter;

/// The way of the lines of this process to standard error.
static WRITER: OnceLock<LineWriter<Stderr>> = OnceLock::new();

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. Of a panic only the place is logged: its text may quote a message.
/// `filter` is in the syntax of tracing's `EnvFilter`: `info`, `mailqueue_core=debug`.
///
/// A busy process writes its lines together every 10 ms, warnings and errors at once. Call [`finish`] at the end.
///
/// # Errors
///
/// The fault of the filter.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let writer = WRITER.get_or_init(|| LineWriter::start(std::io::stderr())).clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A subscriber of the host or of a test stays.
    let _ = match format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(event = "process.panicked", place, "panicked: there is a bug here");
    }));
    Ok(())
}

/// Writes the lines that have gathered, and each further one at once: the process is about to end.
pub fn finish() {
    if let Some(writer) = WRITER.get() {
        writer.finish();
    }
}

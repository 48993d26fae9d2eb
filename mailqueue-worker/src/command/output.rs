//! Standard output: tables for people, an object a line for programs.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use comfy_table::{Cell, Table, presets};
use mailqueue_worker::service::command::Failure;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The form of what a command shows.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Output {
    /// Write an object a line, in JSON, instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes to standard output. A reader that has gone, as `head` does, ends the command well.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        result => result.map_err(|error| Failure::Sentence(format!("standard output: {error}"))),
    }
}

/// Writes a line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Writes an object as one line.
pub(crate) fn object(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value);
    line(&text.map_err(|error| Failure::Sentence(format!("it cannot be written as JSON: {error}")))?)
}

/// Writes a table.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|text| Cell::new(plain(text))));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    line(&lines.join("\n"))
}

/// Writes advice to standard error.
pub(crate) fn advise(text: &str) {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The progress of a command, told on standard error every now and then.
pub(crate) struct Progress {
    told: Instant,
}

impl Progress {
    /// Begins with nothing to tell.
    pub(crate) fn start() -> Self {
        Self { told: Instant::now() }
    }

    /// Tells how far it is, if it was not told for a while.
    pub(crate) fn tell(&mut self, so_far: impl FnOnce() -> String) {
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            advise(&so_far());
            self.told = Instant::now();
        }
    }
}

/// A text of others without what would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A time for people, to the second.
pub(crate) fn seconds(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    // Cannot fail: the parts are those of any date and time.
    time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// A time for programs (RFC 3339).
pub(crate) fn instant(time: OffsetDateTime) -> String {
    // Cannot fail within the years that a store keeps.
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// A length of time for people, in its two largest units.
pub(crate) fn length(duration: Duration) -> String {
    let whole = match duration.as_secs() {
        0 => Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX)),
        seconds => Duration::from_secs(seconds),
    };
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// The time from `since` to `until` for people.
pub(crate) fn between(since: OffsetDateTime, until: OffsetDateTime) -> String {
    length((until - since).try_into().unwrap_or(Duration::ZERO))
}

//! The choices of whoever runs the bench.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// How fast mail comes in and goes out, beside the tools everybody knows, in one run.
#[derive(Debug, Parser)]
#[command(name = "cargo bench -p mailqueue-testing --bench performance --")]
pub(crate) struct Options {
    /// Only these parts; all when none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds, each of which measures everything once; the table shows medians.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds for each figure of submitting.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Messages that a worker finds waiting.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) backlog: usize,
    /// Seconds of submitting and delivering at once.
    #[arg(long, default_value_t = 60)]
    through: u64,
    /// Messages a second that are submitted meanwhile.
    #[arg(long, default_value_t = 6_000)]
    pub(crate) rate: u32,
    /// Messages that wait beside, for the growth.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) waiting: usize,
    /// Finished messages beside, for the growth.
    #[arg(long, default_value_t = 400_000)]
    pub(crate) finished: usize,
    /// 2,000,000 waiting and 10,000,000 finished messages beside. Needs 14 GB of disk: set TMPDIR.
    #[arg(long)]
    full: bool,
    /// One short pass of everything, for CI: says nothing about speed.
    #[arg(long)]
    pub(crate) test: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Over HTTP.
    Submit,
    /// Submitting through the library.
    Core,
    /// Draining what waits.
    Deliver,
    /// Submitting and delivering with fsyncs that take 2 ms longer.
    SlowDisk,
    /// From the call to the relay, when nothing else is to be done.
    Latency,
    /// Submitting and delivering with many rows beside.
    Growth,
    /// Submitting and delivering at once.
    Through,
}

impl Options {
    /// The options of the command line.
    pub(crate) fn read() -> Self {
        let mut options = Self::parse();
        if options.full {
            (options.waiting, options.finished) = (2_000_000, 10_000_000);
        }
        if options.test {
            options = Self {
                rounds: 1,
                seconds: 0.1,
                backlog: 200,
                through: 1,
                rate: 200,
                waiting: 500,
                finished: 500,
                ..options
            };
        }
        options
    }

    pub(crate) fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// How long submitting is measured for one figure.
    pub(crate) fn submit_for(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn through_for(&self) -> Duration {
        Duration::from_secs(self.through)
    }

    /// How many messages are timed one by one.
    pub(crate) fn single_messages(&self) -> usize {
        if self.test { 5 } else { 200 }
    }
}

//! How fast workers send what waits.

use std::time::{Duration, Instant};

use mailqueue_testing::{PostfixSink, Postgres};

use crate::figures::{Section, plural};
use crate::limits;
use crate::options::Options;
use crate::service::Service;
use crate::site::{Bench, Site, wait_for, wait_for_sink};

/// Connections that a worker opens by default.
const CONCURRENCY: usize = 32;

/// What a drain cost, and its parts, which still run.
pub(crate) struct Drained {
    sink: PostfixSink,
    workers: Vec<Service>,
    /// From the sink's first message to its last.
    pub(crate) rate: f64,
    /// Seconds from the start of the workers to the first message.
    pub(crate) first: f64,
    /// Seconds of processor time per 1,000 messages, of all workers with their start.
    pub(crate) worker_seconds: f64,
    /// The same of Postgres.
    pub(crate) postgres_seconds: f64,
}

/// Measures it with one, two and four processes, beside smtp-source.
pub(crate) fn measure(
    bench: &Bench,
    postgres: &Postgres,
    workers: &[usize],
    options: &Options,
    section: &mut Section<'_>,
) {
    for &workers in workers {
        let site = bench.site_on(postgres);
        site.fill(options.backlog);
        let drained = drain(&site, workers, options.backlog);
        let name = plural(workers, "worker");
        section.record(&name, "msg/s", drained.rate);
        section.record(format!("{name}, worker"), "CPU s per 1,000", drained.worker_seconds);
        section.record(format!("{name}, Postgres"), "CPU s per 1,000", drained.postgres_seconds);
        let sessions = workers * CONCURRENCY;
        drained.end(&site, options.backlog);
        section.record(limit(sessions), "msg/s", limits::smtp_source(sessions, options.backlog));
        let beside = if workers == 1 { limit(sessions) } else { plural(1, "worker") };
        section.compare(&name, "msg/s", &beside);
    }
}

/// Lets workers send until the sink has `messages`, which wait already.
pub(crate) fn drain(site: &Site<'_>, workers: usize, messages: usize) -> Drained {
    let sink = PostfixSink::counting();
    let (before, begun) = (site.postgres_seconds(), Instant::now());
    let mut running: Vec<Service> = (0..workers).map(|_| site.worker(&sink.url())).collect();
    wait_for_sink(&sink, 1, &mut running);
    let (first, early) = (Instant::now(), sink.received());
    wait_for_sink(&sink, messages, &mut running);
    let took = first.elapsed();
    // The last results are on their way to the database.
    std::thread::sleep(Duration::from_millis(50));
    let thousands = sink.received() as f64 / 1e3;
    let worker_seconds: f64 = running.iter().map(Service::cpu_seconds).sum();
    let postgres_seconds = site.postgres_seconds() - before;
    Drained {
        rate: (messages - early) as f64 / took.as_secs_f64(),
        first: (first - begun).as_secs_f64(),
        worker_seconds: worker_seconds / thousands,
        postgres_seconds: postgres_seconds / thousands,
        sink,
        workers: running,
    }
}

impl Drained {
    /// Ends it, when nothing waits any more.
    ///
    /// # Panics
    ///
    /// When the sink or the database has not what it should have.
    pub(crate) fn end(self, site: &Site<'_>, messages: usize) {
        wait_for("all is written down", || site.count("status IN ('queued', 'sending')") == 0);
        assert_eq!(site.count("status = 'sent'"), messages, "all are written down as sent");
        assert_eq!(self.sink.received(), messages, "the sink has every message once");
        drop(self.workers);
    }
}

fn limit(sessions: usize) -> String {
    format!("smtp-source, {sessions} connections")
}

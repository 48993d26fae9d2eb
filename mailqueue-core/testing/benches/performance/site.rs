//! What one measurement runs on: an empty database, an empty Redis, the binaries.

use std::time::{Duration, Instant};

use mailqueue_testing::{PostfixSink, Postgres, Redis};

use crate::binaries::Binaries;
use crate::client;
use crate::disk::Disk;
use crate::service::Service;
use crate::usage;

/// How long nothing may happen before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// With so many entries in Redis, submitters need not add to them.
const QUEUE_CAP: usize = 100_000;

/// The servers and programs of a run.
pub(crate) struct Bench {
    pub(crate) binaries: Binaries,
    pub(crate) disk: Disk,
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

/// An empty database and an empty Redis.
pub(crate) struct Site<'a> {
    bench: &'a Bench,
    postgres: &'a Postgres,
    pub(crate) database: String,
    /// Settings other than the defaults.
    pub(crate) settings: &'static [(&'static str, &'static str)],
}

impl Bench {
    /// A new site. There is one Redis, so one site at a time.
    pub(crate) fn site(&self) -> Site<'_> {
        self.site_on(&self.postgres)
    }

    /// A new site on another server.
    pub(crate) fn site_on<'a>(&'a self, postgres: &'a Postgres) -> Site<'a> {
        self.redis.flush();
        Site { bench: self, postgres, database: postgres.database(), settings: &[] }
    }
}

impl Site<'_> {
    pub(crate) fn http(&self) -> Service {
        self.start(&self.bench.binaries.http, "file://outbox")
    }

    /// A worker that sends to a relay.
    pub(crate) fn worker(&self, relay: &str) -> Service {
        self.start(&self.bench.binaries.worker, relay)
    }

    fn start(&self, program: &std::path::Path, relay: &str) -> Service {
        let redis = self.bench.redis.url();
        let servers = [("DATABASE_URL", &*self.database), ("REDIS_URL", &redis), ("SMTP_URL", relay)];
        Service::start(program, &self.bench.disk, &[&servers, self.settings].concat())
    }

    /// Lets mailqueue-http take `messages` and put them in line, and ends it.
    pub(crate) fn fill(&self, messages: usize) {
        let mut http = self.http();
        // It listens when it has made the tables.
        let address = http.address();
        let before = self.count("true");
        client::fill(address, messages);
        assert_eq!(self.count("true"), before + messages, "all are in the database");
        wait_for("all are in the queue", || self.in_queue() >= messages.min(QUEUE_CAP));
    }

    /// How many entries Redis has.
    pub(crate) fn in_queue(&self) -> usize {
        let keys = self.bench.redis.command(&["KEYS", "mailqueue:*"]);
        let length = |key: &str| self.bench.redis.command(&["ZCARD", key]).parse::<usize>();
        keys.lines().map(|key| length(key).expect("a sorted set has a length")).sum()
    }

    /// How many deliveries fulfil a condition of SQL.
    pub(crate) fn count(&self, condition: &str) -> usize {
        let rows = self.query(&format!("SELECT count(*) FROM deliveries WHERE {condition}"));
        rows[0][0].as_ref().and_then(|count| count.parse().ok()).expect("a count is a number")
    }

    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.postgres.query(&self.database, sql)
    }

    /// Seconds of processor time of all of Postgres since its start.
    pub(crate) fn postgres_seconds(&self) -> f64 {
        usage::cpu_seconds(self.postgres.pid())
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // Its files lie in memory. Whoever is still connected was killed a moment ago.
        let name = self.database.rsplit('/').next().unwrap_or_default();
        let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
        self.postgres.query(&self.postgres.url_for("postgres"), &drop);
    }
}

/// Waits until the sink has `messages`.
pub(crate) fn wait_for_sink(sink: &PostfixSink, messages: usize, workers: &mut [Service]) {
    let (mut last, mut changed) = (0, Instant::now());
    loop {
        let received = sink.received();
        if received >= messages {
            return;
        }
        if received != last {
            (last, changed) = (received, Instant::now());
        }
        if changed.elapsed() > PATIENCE {
            let logs: Vec<String> = workers.iter().map(Service::log).collect();
            panic!("{received} of {messages} have arrived:\n{}", logs.join("\n"));
        }
        workers.iter_mut().for_each(Service::assert_runs);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for something that is true soon.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

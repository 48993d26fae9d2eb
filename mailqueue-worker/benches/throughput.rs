//! How fast mail comes in and goes out, beside the tools everybody knows, in one run.
//!
//! `cargo bench -p mailqueue-worker` prints a Markdown table; `-- drain` measures only that. Every figure is the median of several rounds that take turns,
//! so that a machine whose speed drifts slows all of them alike; compare within one table only. Client, servers
//! and load generators share the machine.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod tools;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::{Draft, MessageStore, Outbox, Queue, connect};
use mailqueue_testing::{PostfixSink, Postgres, Redis};
use mailqueue_worker::{CancellationToken, Worker};
use tempfile::TempDir;
use tokio::task::JoinSet;

const ROUNDS: usize = 3;
const SUBMIT_FOR: Duration = Duration::from_secs(3);
const BACKLOG: usize = 20_000;
const CONCURRENCY: usize = 32;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know whether it runs.
    let quick = std::env::args().any(|argument| argument == "--test");
    let (rounds, time, backlog) =
        if quick { (1, Duration::from_millis(50), 200) } else { (ROUNDS, SUBMIT_FOR, BACKLOG) };
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let postgres = Postgres::durable();
    let mut figures = Figures::default();
    for _ in 0..rounds {
        if wanted("submit") {
            measure_submitting(&postgres, time, &mut figures).await;
        }
        if wanted("drain") {
            let sink = PostfixSink::start();
            figures.add("drain, Postgres and Redis to smtp-sink", drain(&postgres, &sink, backlog).await);
            figures.add("smtp-source to smtp-sink", tools::smtp_source(&sink, CONCURRENCY, backlog));
        }
    }
    figures.print();
}

async fn measure_submitting(postgres: &Postgres, time: Duration, figures: &mut Figures) {
    let folder = TempDir::new().expect("a temporary directory");
    for submitters in [1, 32, 256] {
        let rate = submit(&postgres.database(), submitters, time).await;
        figures.add(&format!("submit, Postgres, {submitters} at once"), rate);
        let file = folder.path().join(format!("{submitters}.db"));
        let rate = submit(&format!("sqlite://{}", file.display()), submitters, time).await;
        figures.add(&format!("submit, SQLite, {submitters} at once"), rate);
        if submitters < 256 {
            let rate = tools::pgbench(postgres, submitters, time);
            figures.add(&format!("pgbench, one insert a transaction, {submitters} clients"), rate);
        }
    }
}

/// A message of about 1 KiB.
fn draft(n: usize) -> Draft {
    Draft::new("Shop <shop@example.com>", format!("user{n}@example.org"), format!("Order {n}"))
        .text("It is on its way, and this line is here to make it as long as mail is. ".repeat(9))
}

/// Messages accepted a second by `submitters` that each wait for their answer before they submit again.
async fn submit(url: &str, submitters: usize, time: Duration) -> f64 {
    let store = connect::store(&url.into()).await.expect("the database opens");
    let queue = connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(store, queue).await;
    let (started, mut tasks) = (Instant::now(), JoinSet::new());
    for submitter in 0..submitters {
        let outbox = outbox.clone();
        tasks.spawn(async move {
            let mut accepted = 0;
            while started.elapsed() < time {
                outbox.submit(draft(submitter)).await.expect("accepted");
                accepted += 1;
            }
            accepted
        });
    }
    let accepted: usize = tasks.join_all().await.into_iter().sum();
    accepted as f64 / started.elapsed().as_secs_f64()
}

/// Messages a second that one worker takes from Postgres and Redis and sends to `sink`, until none is left.
async fn drain(postgres: &Postgres, sink: &PostfixSink, backlog: usize) -> f64 {
    let redis = Redis::start();
    let store = connect::store(&postgres.database().into()).await.expect("the database opens");
    let queue = connect::queue(Some(&redis.url().into())).expect("the URL is right");
    fill(&store, &queue, backlog).await;
    let transport = connect::transport(&sink.url().into()).expect("the URL is right");
    let worker = Worker::builder(Arc::clone(&store), queue, transport).concurrency(CONCURRENCY).build();
    let (shutdown, started) = (CancellationToken::new(), Instant::now());
    let working = tokio::spawn(worker.run(shutdown.clone()));
    while waiting(&store).await > 0 {
        // Asking counts what waits; more often would be measured too.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rate = backlog as f64 / started.elapsed().as_secs_f64();
    shutdown.cancel();
    working.await.expect("the worker drains");
    rate
}

async fn fill(store: &Arc<dyn MessageStore>, queue: &Arc<dyn Queue>, backlog: usize) {
    let outbox = Outbox::start(Arc::clone(store), Arc::clone(queue)).await;
    for start in (0..backlog).step_by(1000) {
        let drafts = (start..backlog.min(start + 1000)).map(draft).collect();
        for receipt in outbox.submit_many(drafts).await {
            receipt.expect("accepted");
        }
    }
}

async fn waiting(store: &Arc<dyn MessageStore>) -> u64 {
    let backlog = store.backlog(u64::MAX).await.expect("the store answers");
    backlog.queued + backlog.sending
}

/// Rates by name, in the order they were first measured.
#[derive(Default)]
struct Figures(Vec<(String, Vec<f64>)>);

impl Figures {
    fn add(&mut self, name: &str, rate: f64) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, rates)) => rates.push(rate),
            None => self.0.push((name.to_owned(), vec![rate])),
        }
    }

    fn print(&self) {
        println!("| messages a second, 1 KiB | median | least | most |\n| --- | ---: | ---: | ---: |");
        for (name, rates) in &self.0 {
            let mut sorted = rates.clone();
            sorted.sort_by(f64::total_cmp);
            let (least, median, most) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            println!("| {name} | {median:.0} | {least:.0} | {most:.0} |");
        }
    }
}

//! What a message costs when many others wait or are finished beside it.

use crate::client;
use crate::deliver;
use crate::figures::{Section, whole};
use crate::options::Options;
use crate::rows;
use crate::site::{Bench, Site};

const CONNECTIONS: usize = 32;

/// By default no more than a million may wait.
const ROOMY: [(&str, &str); 2] =
    [("MAILQUEUE_MAX_WAITING", "20000000"), ("MAILQUEUE_MAX_WAITING_BYTES", "100GiB")];

/// Measures it with few rows beside and with many.
pub(crate) fn measure(bench: &Bench, options: &Options, section: &mut Section<'_>) {
    let few = format!("{} waiting", whole(options.backlog / 20));
    let many = format!("{} waiting, {} finished", whole(options.waiting), whole(options.finished));
    for (waiting, finished, name) in
        [(options.backlog / 20, 0, &few), (options.waiting, options.finished, &many)]
    {
        let mut site = bench.site();
        site.settings = &ROOMY;
        rows::fill(&site, waiting, finished);
        submit(&site, name, options, section);
        deliver(&site, name, options, section);
    }
    for (figure, unit) in [
        ("submit", "req/s"),
        ("submit, mailqueue-http and Postgres", "CPU s per 1,000"),
        ("deliver", "msg/s"),
        ("deliver, worker and Postgres", "CPU s per 1,000"),
        ("first mail after the start", "ms"),
    ] {
        section.compare(&format!("{figure}, {many}"), unit, &format!("{figure}, {few}"));
    }
}

fn submit(site: &Site<'_>, name: &str, options: &Options, section: &mut Section<'_>) {
    let mut http = site.http();
    let address = http.address();
    client::submit(address, CONNECTIONS, options.submit_for() / 8);
    let seconds = |http: &crate::service::Service| http.cpu_seconds() + site.postgres_seconds();
    let before = seconds(&http);
    let answers = client::submit(address, CONNECTIONS, options.submit_for());
    let cost = (seconds(&http) - before) / (answers.count() as f64 / 1e3);
    section.record(format!("submit, {name}"), "req/s", answers.rate());
    section.record(format!("submit, mailqueue-http and Postgres, {name}"), "CPU s per 1,000", cost);
}

/// Sends as many as in the other parts, of all that wait.
fn deliver(site: &Site<'_>, name: &str, options: &Options, section: &mut Section<'_>) {
    let missing = options.backlog.saturating_sub(site.count("status = 'queued'"));
    site.fill(missing);
    let drained = deliver::drain(site, 1, options.backlog);
    let cost = drained.worker_seconds + drained.postgres_seconds;
    section.record(format!("deliver, {name}"), "msg/s", drained.rate);
    section.record(format!("deliver, worker and Postgres, {name}"), "CPU s per 1,000", cost);
    section.record(format!("first mail after the start, {name}"), "ms", drained.first * 1e3);
}

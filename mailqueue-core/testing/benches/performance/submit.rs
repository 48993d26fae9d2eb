//! How fast mailqueue-http takes mail in.

use mailqueue_testing::Postgres;

use crate::client;
use crate::figures::{Section, plural};
use crate::limits;
use crate::options::Options;
use crate::site::Bench;

/// Connections of the client.
const CONNECTIONS: [usize; 3] = [1, 32, 128];

/// Measures it on Postgres and Redis, beside pgbench.
pub(crate) fn measure(bench: &Bench, postgres: &Postgres, options: &Options, section: &mut Section<'_>) {
    let site = bench.site_on(postgres);
    let mut http = site.http();
    let address = http.address();
    let mut accepted = 0;
    for connections in CONNECTIONS {
        // The first requests open connections to the database.
        accepted += client::submit(address, connections, options.submit_for() / 8).count();
        let before = (http.cpu_seconds(), site.postgres_seconds());
        let answers = client::submit(address, connections, options.submit_for());
        accepted += answers.count();
        let thousands = answers.count() as f64 / 1e3;
        let name = plural(connections, "connection");
        section.record(&name, "req/s", answers.rate());
        section.record(format!("{name}, p50"), "ms", answers.percentile(0.5));
        section.record(format!("{name}, p99"), "ms", answers.percentile(0.99));
        let http_seconds = (http.cpu_seconds() - before.0) / thousands;
        section.record(format!("{name}, mailqueue-http"), "CPU s per 1,000", http_seconds);
        let postgres_seconds = (site.postgres_seconds() - before.1) / thousands;
        section.record(format!("{name}, Postgres"), "CPU s per 1,000", postgres_seconds);
        http.assert_runs();
    }
    assert_eq!(
        site.count("true"),
        accepted,
        "what was answered with 200 is in the database, and nothing else"
    );
    drop(http);
    for clients in [1, 32] {
        let rate = limits::pgbench(postgres, clients, options.submit_for());
        section.record(limit(clients), "req/s", rate);
    }
    for connections in CONNECTIONS {
        section.compare(&plural(connections, "connection"), "req/s", &limit(connections.min(32)));
    }
}

/// The limit's name. One row a transaction is inserted no faster by more clients.
fn limit(clients: usize) -> String {
    format!("pgbench, a row a transaction, {}", plural(clients, "client"))
}

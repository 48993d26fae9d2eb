//! Submitting and delivering at once: what waits and what is in memory must not grow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mailqueue_testing::PostfixSink;

use crate::client;
use crate::figures::Section;
use crate::options::Options;
use crate::site::Bench;

const CONNECTIONS: usize = 32;

/// How many times it is looked at.
const LOOKS: u32 = 4;

/// Measures it with one mailqueue-http and one mailqueue-worker.
pub(crate) fn measure(bench: &Bench, options: &Options, section: &mut Section<'_>) {
    let (site, sink) = (bench.site(), PostfixSink::counting());
    let (mut http, worker) = (site.http(), site.worker(&sink.url()));
    let (address, accepted, time) = (http.address(), AtomicUsize::new(0), options.through_for());
    let answers = std::thread::scope(|scope| {
        let load = || client::submit_at(address, CONNECTIONS, time, Some(options.rate), &accepted);
        let (client, begun) = (scope.spawn(load), Instant::now());
        for look in 1..=LOOKS {
            let at = time * look / LOOKS;
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
            // The sink first: what has arrived was accepted, and nothing waits that was not.
            let received = sink.received();
            let waiting = accepted.load(Ordering::Relaxed).saturating_sub(received);
            let after = format!("after {:.0} s", at.as_secs_f64());
            section.record(format!("waiting {after}"), "messages", waiting as f64);
            section.record(format!("mailqueue-http {after}"), "MiB", http.resident());
            section.record(format!("mailqueue-worker {after}"), "MiB", worker.resident());
            if look == LOOKS {
                section.record("delivered", "msg/s", received as f64 / begun.elapsed().as_secs_f64());
            }
        }
        client.join().expect("everything is accepted")
    });
    section.record(format!("accepted, {} a second offered", options.rate), "msg/s", answers.rate());
    section.record("answers, p99", "ms", answers.percentile(0.99));
    http.assert_runs();
    let accepted = accepted.into_inner();
    assert_eq!(
        site.count("true"),
        accepted,
        "what was answered with 200 is in the database, and nothing else"
    );
    // What waits after a rate that is too high is not waited for.
    worker.end();
    assert_eq!(
        sink.received(),
        site.count("status = 'sent'"),
        "the sink has what is written down as sent, once"
    );
}

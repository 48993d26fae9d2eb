//! How fast the library takes mail in, without HTTP.

use std::time::{Duration, Instant};

use mailqueue_core::{Outbox, connect};
use tokio::task::JoinSet;

use crate::figures::{Section, plural};
use crate::mail;
use crate::options::Options;
use crate::site::Bench;

/// Measures it on Postgres and on SQLite.
pub(crate) fn measure(bench: &Bench, options: &Options, section: &mut Section<'_>) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for tasks in [1, 32, 128] {
        let site = bench.site();
        let rate = submit(&site.database, tasks, options.submit_for());
        section.record(format!("Postgres, {}", plural(tasks, "task")), "msg/s", rate);
        let file = folder.path().join(format!("{tasks}.db"));
        let rate = submit(&format!("sqlite://{}", file.display()), tasks, options.submit_for());
        section.record(format!("SQLite, {}", plural(tasks, "task")), "msg/s", rate);
    }
}

/// Messages a second accepted from tasks that each wait for their answer before they submit again.
fn submit(url: &str, tasks: usize, time: Duration) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = connect::store(&url.into()).await.expect("the database opens");
        let queue = connect::queue(None).expect("a queue in this process");
        let outbox = Outbox::start(store, queue).await;
        let (begun, mut submitters) = (Instant::now(), JoinSet::new());
        for n in 0..tasks {
            let outbox = outbox.clone();
            submitters.spawn(async move {
                let mut accepted = 0;
                while begun.elapsed() < time {
                    outbox.submit(mail::draft(n)).await.expect("accepted");
                    accepted += 1;
                }
                accepted
            });
        }
        let accepted: usize = submitters.join_all().await.into_iter().sum();
        accepted as f64 / begun.elapsed().as_secs_f64()
    })
}

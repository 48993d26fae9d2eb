//! A thread that only reads, beside the one that writes.

use diesel::prelude::*;

use super::error::outcome;
use super::job::{Job, Transaction};
use super::time;

/// Does all jobs, one after the other, and answers each at once.
pub(super) fn serve(connection: &mut SqliteConnection, jobs: Vec<Box<dyn Job>>) {
    for mut job in jobs {
        if job.is_abandoned() {
            continue;
        }
        let now = time::now(connection).map_err(outcome);
        // No BEGIN: a reading job is one statement, which has its own snapshot, or begins a transaction itself.
        let result = now.and_then(|now| job.run(&mut Transaction { connection, now }));
        job.answer(result);
    }
}

//! The thread that writes: all that waits goes into one transaction, and is answered when that is on the disk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diesel::prelude::*;

use super::error::outcome;
use super::job::{Job, Transaction};
use super::statement::Statement;
use super::time;
use crate::contracts::store::StoreError;

/// How long a transaction takes in further jobs. A commit waits for the disk, so that there are few of them counts more
/// than that each is short.
const LONGEST: Duration = Duration::from_millis(100);

/// Does all jobs and answers them.
pub(super) fn serve(connection: &mut SqliteConnection, jobs: Vec<Box<dyn Job>>) {
    let mut jobs: VecDeque<_> = jobs.into_iter().filter(|job| !job.is_abandoned()).collect();
    while !jobs.is_empty() {
        let mut done = Vec::with_capacity(jobs.len());
        let result = transact(connection, &mut jobs, &mut done);
        answer(connection, done, result);
    }
}

/// A job that has been run, and its own outcome.
type Done = (Box<dyn Job>, Result<(), StoreError>);

/// Runs jobs in one transaction and commits it. Each job that was begun is in `done` then, also when this fails:
/// then all of them are rolled back.
fn transact(
    connection: &mut SqliteConnection,
    jobs: &mut VecDeque<Box<dyn Job>>,
    done: &mut Vec<Done>,
) -> Result<(), StoreError> {
    let result = begin(connection).and_then(|now| {
        let start = Instant::now();
        let mut transaction = Transaction { connection, now };
        while let Some(mut job) = jobs.pop_front() {
            let outcome = in_savepoint(&mut transaction, job.as_mut());
            let (own, common) = match outcome {
                Ok(own) => (own, Ok(())),
                Err(common) => (Ok(()), Err(common)),
            };
            done.push((job, own));
            common?;
            if start.elapsed() > LONGEST {
                break;
            }
        }
        execute(transaction.connection, "COMMIT")
    });
    if result.is_err() {
        // Nothing was begun: the jobs share the fate of the transaction they would have been in.
        if done.is_empty() {
            done.extend(jobs.drain(..).map(|job| (job, Ok(()))));
        }
        // SQLite has done it already after some errors; then there is nothing to roll back, which is an error too.
        drop(execute(connection, "ROLLBACK"));
    }
    result
}

fn begin(connection: &mut SqliteConnection) -> Result<time::Micros, StoreError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    time::now(connection).map_err(outcome)
}

/// Runs one job so that its failure undoes what it did and nothing else. The outer error means that SQLite rolled
/// the whole transaction back, as it does when the disk is full.
fn in_savepoint(
    transaction: &mut Transaction<'_>,
    job: &mut dyn Job,
) -> Result<Result<(), StoreError>, StoreError> {
    execute(transaction.connection, "SAVEPOINT job")?;
    let result = job.run(transaction);
    if let Err(error) = &result {
        execute(transaction.connection, "ROLLBACK TO job").map_err(|_| error.clone())?;
    }
    execute(transaction.connection, "RELEASE job")?;
    Ok(result)
}

/// Tells every caller. When there was no room for all jobs together, each gets a transaction of its own: a small one
/// may still fit.
fn answer(connection: &mut SqliteConnection, done: Vec<Done>, result: Result<(), StoreError>) {
    match result {
        Ok(()) => done.into_iter().for_each(|(job, own)| job.answer(own)),
        Err(StoreError::Overloaded(_)) if done.len() > 1 => {
            done.into_iter().for_each(|(job, _)| serve(connection, vec![job]));
        }
        Err(error) => done.into_iter().for_each(|(job, _)| job.answer(Err(error.clone()))),
    }
}

fn execute(connection: &mut SqliteConnection, text: &'static str) -> Result<(), StoreError> {
    Statement::new(text).execute(connection).map(drop).map_err(outcome)
}

//! The thread that writes: all that waits goes into one transaction, and is answered when that is on the disk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diesel::prelude::*;

use super::error::outcome;
use super::job::{Job, Transaction};
use super::statement::{Statement, sql};
use super::time;
use crate::contracts::store::StoreError;

/// How long a transaction takes on further jobs. A commit waits for the disk, so that there are few of them counts more
/// than that each is short.
const MAX_TRANSACTION_TIME: Duration = Duration::from_millis(100);

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
            // Before the error is passed on: a job that was begun must be answered.
            done.push((job, own));
            common?;
            if start.elapsed() > MAX_TRANSACTION_TIME {
                break;
            }
        }
        execute(transaction.connection, sql!("COMMIT"))
    });
    if result.is_err() {
        // Nothing was begun: the jobs share the fate of the transaction they would have been in.
        if done.is_empty() {
            done.extend(jobs.drain(..).map(|job| (job, Ok(()))));
        }
        // SQLite has done it already after some errors; then there is nothing to roll back, which is an error too.
        drop(execute(connection, sql!("ROLLBACK")));
    }
    result
}

fn begin(connection: &mut SqliteConnection) -> Result<time::Micros, StoreError> {
    // Takes the write lock now: a transaction that reads first can be refused when it comes to write.
    execute(connection, sql!("BEGIN IMMEDIATE"))?;
    time::now(connection).map_err(outcome)
}

/// Runs one job so that its failure undoes what it did and nothing else. The outer error means that SQLite rolled
/// the whole transaction back, as it does when the disk is full.
fn in_savepoint(
    transaction: &mut Transaction<'_>,
    job: &mut dyn Job,
) -> Result<Result<(), StoreError>, StoreError> {
    execute(transaction.connection, sql!("SAVEPOINT job"))?;
    let result = job.run(transaction);
    if let Err(error) = &result {
        execute(transaction.connection, sql!("ROLLBACK TO job")).map_err(|_| error.clone())?;
    }
    // Needed after a failure as well: ROLLBACK TO leaves the savepoint open.
    execute(transaction.connection, sql!("RELEASE job"))?;
    Ok(result)
}

/// Tells every caller. When there was no room for all jobs together, each gets a transaction of its own: a small one
/// may still fit.
fn answer(connection: &mut SqliteConnection, done: Vec<Done>, result: Result<(), StoreError>) {
    match result {
        Ok(()) => done.into_iter().for_each(|(job, own)| job.answer(own)),
        Err(StoreError::NoSpace(_)) if done.len() > 1 => {
            // Goes one level deep: a job that is alone is answered, whatever the error.
            done.into_iter().for_each(|(job, _)| serve(connection, vec![job]));
        }
        Err(error) => done.into_iter().for_each(|(job, _)| job.answer(Err(error.clone()))),
    }
}

fn execute(connection: &mut SqliteConnection, statement: Statement<'_>) -> Result<(), StoreError> {
    statement.execute(connection).map(drop).map_err(outcome)
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use tokio::sync::oneshot;

    use super::super::connection;
    use super::super::job::Task;
    use super::*;

    type Answer = oneshot::Receiver<Result<usize, StoreError>>;

    fn open() -> (SqliteConnection, tempfile::TempDir) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut connection = connection::open(&folder.path().join("jobs.db")).expect("a new database");
        connection.batch_execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, data BLOB)").expect("a table");
        (connection, folder)
    }

    /// A job that writes a row of this size, and the same again under the next id.
    fn writes(id: i64, size: i64) -> (Box<dyn Job>, Answer) {
        let work = move |transaction: &mut Transaction<'_>| {
            for id in [id, id + 1] {
                sql!("INSERT INTO jobs VALUES (?, zeroblob(?))", id, size)
                    .execute(transaction.connection)
                    .map_err(outcome)?;
            }
            Ok(2)
        };
        let (task, answer) = Task::new(work, None);
        (Box::new(task), answer)
    }

    fn done(
        connection: &mut SqliteConnection,
        jobs: Vec<(Box<dyn Job>, Answer)>,
    ) -> Vec<Result<usize, StoreError>> {
        let (jobs, answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        serve(connection, jobs);
        answers.into_iter().map(|mut answer| answer.try_recv().expect("it was answered")).collect()
    }

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }

    fn rows(connection: &mut SqliteConnection) -> i64 {
        let count: Count =
            sql!("SELECT count(*) AS count FROM jobs").get_result(connection).expect("a count");
        count.count
    }

    #[test]
    fn a_job_that_fails_half_way_undoes_itself_alone() {
        let (mut connection, _folder) = open();
        let results = done(&mut connection, vec![writes(1, 10), writes(2, 10), writes(5, 10)]);
        assert!(matches!(results[1], Err(StoreError::Refused(_))), "{results:?}");
        assert!(results[0].is_ok() && results[2].is_ok());
        assert_eq!(rows(&mut connection), 4);
    }

    #[test]
    fn a_full_disk_refuses_only_what_does_not_fit() {
        let (mut connection, _folder) = open();
        connection.batch_execute("PRAGMA max_page_count = 40").expect("a pragma");
        let results = done(&mut connection, vec![writes(1, 10), writes(11, 1 << 20), writes(21, 10)]);
        assert!(matches!(results[1], Err(StoreError::NoSpace(_))), "{results:?}");
        assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
        assert_eq!(rows(&mut connection), 4);
        assert!(done(&mut connection, vec![writes(31, 10)])[0].is_ok(), "and it goes on");
    }

    #[test]
    fn a_job_that_panics_half_way_undoes_itself_alone() {
        let (mut connection, _folder) = open();
        let (broken, answer) = Task::new(
            |transaction: &mut Transaction<'_>| -> Result<usize, StoreError> {
                execute(transaction.connection, sql!("INSERT INTO jobs VALUES (9, NULL)"))?;
                panic!("on purpose")
            },
            None,
        );
        let results = done(&mut connection, vec![writes(1, 10), (Box::new(broken), answer), writes(5, 10)]);
        assert!(matches!(results[1], Err(StoreError::Unavailable(_))), "{results:?}");
        assert!(results[0].is_ok() && results[2].is_ok());
        assert_eq!(rows(&mut connection), 4);
    }

    #[test]
    fn a_job_without_a_caller_is_not_begun() {
        let (mut connection, _folder) = open();
        let (job, answer) = writes(1, 10);
        drop(answer);
        serve(&mut connection, vec![job]);
        assert_eq!(rows(&mut connection), 0);
    }

    #[test]
    fn a_database_that_went_away_is_out_of_reach() {
        let (mut connection, folder) = open();
        connection.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
        let mut other = connection::open(&folder.path().join("jobs.db")).expect("it is there");
        other.batch_execute("PRAGMA busy_timeout = 10").expect("a pragma");
        let results = done(&mut other, vec![writes(1, 10), writes(3, 10)]);
        assert!(
            results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))),
            "{results:?}"
        );
        connection.batch_execute("ROLLBACK").expect("nothing was changed");
        assert!(done(&mut other, vec![writes(1, 10)])[0].is_ok(), "it is back");
    }
}

//! Threads that each own a connection and do what is asked for, in order.

use std::fs::File;
use std::sync::Arc;

use diesel::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::job::{Job, Task, Transaction};
use crate::contracts::store::StoreError;

/// How many jobs may wait for a thread.
const QUEUE_CAPACITY: usize = 8192;

/// How many jobs a thread takes at once.
const MAX_BATCH: usize = 256;

/// The weight that waiting submissions may have together, in KiB. With [`MIN_WEIGHT_KIB`] it lets half as many wait as
/// there is place for, so the results of what is being sent always find one.
const SUBMISSIONS_CAPACITY_KIB: u32 = 128 << 10;

/// The least weight of a submission, in KiB.
const MIN_WEIGHT_KIB: usize = 32;

/// The receiver of the answer to a job.
type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A thread with a connection. It ends when this is dropped, after the jobs it was given.
pub(super) struct ConnectionThread {
    jobs: mpsc::Sender<Box<dyn Job>>,
    room: Arc<Semaphore>,
}

impl ConnectionThread {
    /// Starts a thread that hands the jobs it finds waiting to `serve`, all at once. `serve` leaves none. The file's
    /// `lock` is kept until the thread ends.
    ///
    /// # Errors
    ///
    /// The system's, when it starts no more threads.
    pub(super) fn start(
        name: &str,
        mut connection: SqliteConnection,
        serve: fn(&mut SqliteConnection, Vec<Box<dyn Job>>),
        lock: Option<Arc<File>>,
    ) -> std::io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel(QUEUE_CAPACITY);
        let work = move || {
            let _until_the_last_thread_ends = lock;
            let mut taken = Vec::with_capacity(MAX_BATCH);
            while waiting.blocking_recv_many(&mut taken, MAX_BATCH) > 0 {
                serve(&mut connection, std::mem::take(&mut taken));
            }
        };
        // The handle is dropped: dropping the store must not block an async thread on the last jobs.
        std::thread::Builder::new().name(format!("sqlite-{name}")).spawn(work)?;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(SUBMISSIONS_CAPACITY_KIB as usize)) })
    }

    /// Has `work` done and gives its result; of a writer's, once it is committed. It may be done more than once, each
    /// time after the last was rolled back. It takes its place in line when this is called, not when it is awaited.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`StoreError::Overloaded`] when too many wait.
    pub(super) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        answered(self.enqueue(work, None))
    }

    /// As [`run`](Self::run), for work that brings in `octets`. There is less room for it.
    pub(super) fn bring<T, W>(
        &self,
        octets: usize,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        // A single one that is larger than all the room still fits when nothing else waits.
        let weight = u32::try_from(MIN_WEIGHT_KIB + octets / 1024)
            .unwrap_or(SUBMISSIONS_CAPACITY_KIB)
            .min(SUBMISSIONS_CAPACITY_KIB);
        let room = Arc::clone(&self.room).try_acquire_many_owned(weight);
        let room = room.map_err(|_| StoreError::Overloaded("too many submissions wait for SQLite".into()));
        answered(room.and_then(|room| self.enqueue(work, Some(room))))
    }

    fn enqueue<T, W>(&self, work: W, room: Option<OwnedSemaphorePermit>) -> Result<Answer<T>, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (task, answer) = Task::new(work, room);
        match self.jobs.try_send(Box::new(task)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(StoreError::Overloaded("too many requests wait for SQLite".into()))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped()),
        }
    }
}

async fn answered<T>(enqueued: Result<Answer<T>, StoreError>) -> Result<T, StoreError> {
    enqueued?.await.unwrap_or_else(|_| Err(stopped()))
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the thread that talks to SQLite has stopped".into())
}

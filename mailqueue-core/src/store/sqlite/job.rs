//! A piece of work for a thread with a connection, and the caller who waits for its result.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::time::Micros;
use crate::contracts::store::StoreError;

/// The transaction that a job works in.
pub(super) struct Transaction<'a> {
    /// The connection.
    pub(super) connection: &'a mut SqliteConnection,
    /// The time by the database's clock when the transaction began.
    pub(super) now: Micros,
}

/// Work that can be done again after it was rolled back, and then be answered once.
pub(super) trait Job: Send {
    /// Tells whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;

    /// Does it and keeps the result. Never panics: a panic inside is an error of this job, and the thread goes on.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError>;

    /// Tells the caller: the kept result, or why there is none.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A job made of a closure.
pub(super) struct Task<T, W> {
    work: W,
    result: Option<T>,
    caller: oneshot::Sender<Result<T, StoreError>>,
    /// Given back when the job is done with.
    _room: Option<OwnedSemaphorePermit>,
}

impl<T, W> Task<T, W> {
    /// A job, and where its answer will be.
    pub(super) fn new(
        work: W,
        room: Option<OwnedSemaphorePermit>,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (caller, answer) = oneshot::channel();
        (Self { work, result: None, caller, _room: room }, answer)
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        // Its changes to the database are rolled back, as after any other error.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(transaction)));
        let result = result.unwrap_or_else(|_| {
            tracing::error!(
                event = "store.panicked",
                "work on SQLite panicked; who was waiting for it is told so"
            );
            Err(StoreError::Unavailable("it panicked".into()))
        });
        // Kept rather than sent, as the commit may still fail.
        self.result = Some(result?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, caller, .. } = *self;
        let nothing = || StoreError::Unavailable("the work was not begun".into());
        // A caller that is gone needs no answer.
        drop(caller.send(outcome.and_then(|()| result.ok_or_else(nothing))));
    }
}

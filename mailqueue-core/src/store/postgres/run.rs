//! Running a step on a connection, and what is done when that fails.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::session::Session;
use super::{PostgresStore, error, probe, reserve};
use crate::contracts::store::StoreError;

/// How often a statement is tried again that the database undid to let others go on.
const TRIES: usize = 5;

/// What a step on a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It brings in messages, which have no part in the space that is kept for results.
    NewMail,
    /// It does something about messages that are there.
    Results,
}

/// Why a step on a connection failed.
pub(super) enum Failure {
    Database(diesel::result::Error),
    Store(StoreError),
}

impl Failure {
    pub(super) fn unreadable(what: String) -> Self {
        Self::Store(StoreError::Unreadable(what.into()))
    }

    fn is_lack_of_space(&self) -> bool {
        matches!(self, Self::Database(error) if error::is_lack_of_space(error))
    }

    fn may_pass_again(&self) -> bool {
        matches!(self, Self::Database(error) if error::may_pass_again(error))
    }
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => error::outcome(error),
            Failure::Store(error) => error,
        }
    }
}

impl PostgresStore {
    /// Runs `work` on a connection, again if the database undid it to let others go on. It runs in a task of its own: a
    /// caller that stops waiting leaves no connection behind in the middle of an exchange.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        self.run_for(Purpose::Results, work).await
    }

    pub(super) async fn run_for<T, W>(&self, purpose: Purpose, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        match tokio::time::timeout(self.limit, self.run_on(purpose, work)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("it did not answer in time".into())),
        }
    }

    /// As [`run`](Self::run), however long the server takes. Where there is no space for results, the reserve is given up.
    pub(super) async fn run_on<T, W>(&self, purpose: Purpose, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        let (pool, space, prober) = (self.pool.clone(), Arc::clone(&self.space), self.prober);
        let running = tokio::spawn(async move {
            let mut connection = pool.get().await?;
            let (mut tries, mut has_reserve) = (1, purpose == Purpose::Results);
            loop {
                match work(&mut connection).await {
                    Err(failure) if failure.may_pass_again() && tries < TRIES => tries += 1,
                    Err(failure) if failure.is_lack_of_space() && has_reserve => {
                        has_reserve = false;
                        if !matches!(reserve::release(&mut connection).await, Ok(true)) {
                            return Err(failure.into());
                        }
                        // Nor is there space for new mail, then, until the reserve is kept again.
                        space.note(true);
                        probe::note_refusal(&mut connection, prober, true).await?;
                    }
                    result => return Ok(result?),
                }
            }
        });
        running.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the task that asked it ended".into())))
    }
}

//! Running a step on a connection, and what is done when that fails.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::error::Failure;
use super::pool::Pool;
use super::session::Session;
use super::space::Space;
use super::{probe, reserve};
use crate::contracts::store::StoreError;

/// How often a statement is tried again that the database undid to let others go on.
const MAX_TRIES: usize = 5;

/// The purpose of a step on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It brings in messages, which have no part in the space and the connections that are kept for results.
    NewMail,
    /// It does something about messages that are there.
    Results,
}

/// Runs steps on the connections of a pool.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) pool: Pool,
    /// How long any call may take in all, so that a frozen server does not keep a caller for ever.
    pub(super) timeout: Duration,
    /// The row that this process writes to show that it can.
    pub(super) prober: Uuid,
    pub(super) space: Arc<Space>,
}

impl Runner {
    /// Runs `work` on a connection, again if the database undid it to let others go on. It runs in a task of its own: a
    /// caller that stops waiting leaves no connection behind in the middle of an exchange.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        self.run_for(Purpose::Results, work).await
    }

    /// As [`run`](Self::run), for a purpose.
    pub(super) async fn run_for<T, W>(&self, purpose: Purpose, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        match tokio::time::timeout(self.timeout, self.run_on(purpose, work)).await {
            Ok(result) => result,
            // The task goes on detached, so the connection returns to the pool only after its exchange.
            Err(_) => Err(StoreError::Unavailable("it did not answer in time".into())),
        }
    }

    /// As [`run`](Self::run), however long the server takes. Where there is no space for results, the reserve is given
    /// up.
    pub(super) async fn run_on<T, W>(&self, purpose: Purpose, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Session) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync + 'static,
    {
        let (pool, space, prober) = (self.pool.clone(), Arc::clone(&self.space), self.prober);
        let running = tokio::spawn(async move {
            let _share = match purpose {
                Purpose::NewMail => Some(pool.share_for_new_mail().await?),
                Purpose::Results => None,
            };
            let mut connection = pool.get().await?;
            let (mut tries, mut has_reserve) = (1, purpose == Purpose::Results);
            loop {
                match work(&mut connection).await {
                    Err(failure) if failure.may_pass_again() && tries < MAX_TRIES => tries += 1,
                    Err(failure) if failure.is_lack_of_space() && has_reserve => {
                        // Once a call, so that a disk that stays full ends the loop.
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

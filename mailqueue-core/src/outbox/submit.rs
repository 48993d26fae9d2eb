//! Accepting a message.

use std::sync::Arc;

use super::Outbox;
use super::admission::Load;
use super::error::SubmitError;
use crate::contracts::queue::Entry;
use crate::contracts::store::{Idempotency, Inserted, StoreError, Submission};
use crate::domain::draft::Draft;
use crate::domain::id::MessageId;
use crate::domain::idempotency::{IdempotencyKey, IdempotencyKeyError};
use crate::domain::validation::{FieldError, ValidationError};
use crate::telemetry;

/// The answer to an accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// True if it had been accepted before under the same idempotency key.
    pub replayed: bool,
}

impl Outbox {
    /// Accepts one message.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; nothing is kept then, unless the store went out of reach while it was asked: submit again
    /// with the same idempotency key to be sure.
    pub async fn submit(&self, draft: Draft) -> Result<Receipt, SubmitError> {
        match draft.parsed_key() {
            Ok(key) => self.submit_with_key(draft, key).await,
            Err(error) => Err(self.faults_of(draft, error).await?.into()),
        }
    }

    /// Accepts one message under a key that is at hand; the key of the draft itself is not looked at.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub async fn submit_with_key(
        &self,
        draft: Draft,
        key: Option<IdempotencyKey>,
    ) -> Result<Receipt, SubmitError> {
        let receipts = self.submit_all(vec![draft], key).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Unreadable("a submission without ids".into()).into())
    }

    /// All faults of a draft whose key is one of them.
    async fn faults_of(
        &self,
        draft: Draft,
        error: IdempotencyKeyError,
    ) -> Result<ValidationError, SubmitError> {
        let (limits, now) = (self.limits, self.clock().now());
        let content = self.offload(draft.size(), move || draft.check_content(&limits, now)).await?;
        let mut invalid = ValidationError::from(FieldError::new("/idempotency_key", error.to_string()));
        invalid.faults.extend(content.err().into_iter().flat_map(|content| content.faults));
        Ok(invalid)
    }

    /// Tells the queue of messages that have just been committed, so that a worker takes them at once. Never waits and
    /// never fails: what the queue misses, the next sweep adds.
    pub fn announce(&self, submission: &Submission) {
        let now = self.clock().now();
        // Later ones are left to the sweep, because the queue holds what is due.
        for new in
            submission.messages.iter().filter(|new| new.message.scheduled_at.is_none_or(|at| at <= now))
        {
            self.notifier.notify(Entry { lane: new.message.lane, due_at: now, id: new.id });
        }
    }

    pub(super) async fn keep(&self, submission: Submission) -> Result<Vec<Receipt>, SubmitError> {
        let submission = Arc::new(submission);
        let inserted = self.insert(&submission).await?;
        match inserted {
            Inserted::Stored => {
                // After the commit, because a worker that pulls an id without a row drops it.
                self.announce(&submission);
                telemetry::accepted(submission.messages.len());
                Ok(receipts(submission.ids(), false))
            }
            Inserted::Replayed(ids) => Ok(receipts(ids, true)),
            Inserted::KeyReused => Err(SubmitError::KeyReused),
        }
    }

    /// The messages that were accepted before under the same key; `None` when there are none.
    pub(super) async fn replay(&self, key: &Idempotency) -> Result<Option<Vec<Receipt>>, StoreError> {
        Ok(self.store.find_by_key(key).await?.map(|ids| receipts(ids, true)))
    }

    /// Has a submission kept if it is admitted.
    async fn insert(&self, submission: &Arc<Submission>) -> Result<Inserted, SubmitError> {
        let load = Load::of(submission);
        let reservation = self.monitor.admission().try_reserve(load).ok_or(SubmitError::Full)?;
        // If the caller goes meanwhile, the reservation is kept: the insert may still be committed.
        let inserted = self.store.insert(vec![Arc::clone(submission)]).await.pop();
        let inserted =
            inserted.unwrap_or_else(|| Err(StoreError::Unreadable("an insert without a result".into())));
        // Otherwise it is kept, or nobody knows.
        if matches!(
            inserted,
            Ok(Inserted::Replayed(_) | Inserted::KeyReused)
                | Err(StoreError::Overloaded(_) | StoreError::NoSpace(_) | StoreError::Refused(_))
        ) {
            reservation.release();
        }
        Ok(inserted?)
    }
}

fn receipts(ids: Vec<MessageId>, replayed: bool) -> Vec<Receipt> {
    ids.into_iter().map(|id| Receipt { id, replayed }).collect()
}

//! Accepting several messages.

use super::Outbox;
use super::error::SubmitError;
use super::submit::Receipt;
use crate::domain::draft::Draft;
use crate::domain::idempotency::IdempotencyKey;

impl Outbox {
    /// Accepts several messages, each on its own. Results are in the order of the drafts.
    pub async fn submit_many(&self, drafts: Vec<Draft>) -> Vec<Result<Receipt, SubmitError>> {
        futures_util::future::join_all(drafts.into_iter().map(|draft| self.submit(draft))).await
    }

    /// Accepts several messages together or none, under one idempotency key if there is one; the keys of
    /// the drafts themselves are not looked at.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); the pointers of faults begin with the draft's index when there are several drafts.
    pub async fn submit_all(
        &self,
        drafts: Vec<Draft>,
        key: Option<IdempotencyKey>,
    ) -> Result<Vec<Receipt>, SubmitError> {
        let refused = match self.prepare_offloaded(drafts, key).await? {
            Ok(submission) => return self.keep(submission).await,
            Err(refused) => *refused,
        };
        match refused {
            // A repeat is not judged anew: what was scheduled may lie in the past by now.
            (SubmitError::Invalid(invalid), Some(key)) => Ok(self.replay(&key).await?.ok_or(invalid)?),
            (error, _) => Err(error),
        }
    }
}

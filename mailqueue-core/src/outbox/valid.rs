//! Accepting what is valid of several messages.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Outbox, Receipt, SubmitError, together};
use crate::contracts::store::Submission;
use crate::domain::draft::Draft;
use crate::domain::invalid::Invalid;
use crate::domain::message::Message;

/// One of several messages, or why it never became a draft.
pub type Part = Result<Draft, Invalid>;

impl Outbox {
    /// Accepts those of several messages that are valid, together or none, under one idempotency key if there is one;
    /// the keys of the drafts themselves are not looked at. Results are in the order of the parts, and a repeat
    /// gets the same, whatever has become invalid since.
    ///
    /// # Errors
    ///
    /// As [`submit_together`](Self::submit_together), less [`SubmitError::Invalid`]: what is invalid is told by the
    /// results.
    pub async fn submit_valid(
        &self,
        parts: &[Part],
        key: Option<&str>,
    ) -> Result<Vec<Result<Receipt, Invalid>>, SubmitError> {
        // To the millisecond, so that a repeat can be judged by the time that the first id carries.
        let now = self.clock().now();
        let now = now.replace_millisecond(now.millisecond()).unwrap_or(now);
        let idempotency = key.map(|key| self.idempotency(key, together(parts.iter().map(fingerprint))));
        let mut checked = self.checked(parts, now);
        let messages: Vec<Message> = checked.iter().filter_map(|one| one.as_ref().ok()).cloned().collect();
        let receipts = match (messages.is_empty(), idempotency) {
            (false, idempotency) => {
                self.keep(Submission { messages: self.rendered(messages, now)?, idempotency }).await?
            }
            (true, None) => Vec::new(),
            (true, Some(key)) => {
                let ids = self.store.recall(&key).await?.unwrap_or_default();
                ids.into_iter().map(|id| Receipt { id, replayed: true }).collect()
            }
        };
        if let Some(first) = receipts.first().filter(|receipt| receipt.replayed) {
            checked = self.checked(parts, first.id.made_at().unwrap_or(now));
        }
        if checked.iter().filter(|one| one.is_ok()).count() != receipts.len() {
            // The rules are others than at the first time, so what was accepted then is not what is valid now.
            return Err(SubmitError::KeyReused);
        }
        let mut receipts = receipts.into_iter();
        Ok(checked.into_iter().filter_map(|one| one.map(|_| receipts.next()).transpose()).collect())
    }

    fn checked(&self, parts: &[Part], now: OffsetDateTime) -> Vec<Result<Message, Invalid>> {
        let check = |draft: &Draft| {
            let message = draft.check(&self.limits, now)?;
            let foreign = self.sender_fault(&message);
            foreign.map_or(Ok(message), |fault| Err(Invalid { faults: vec![fault] }))
        };
        parts.iter().map(|part| part.as_ref().map_err(Clone::clone).and_then(check)).collect()
    }
}

/// A part that never became a draft takes part as what was wrong with it.
fn fingerprint(part: &Part) -> [u8; 32] {
    match part {
        Ok(draft) => draft.fingerprint(),
        Err(invalid) => {
            let faults = serde_json::to_vec(&invalid.faults).expect("structs of strings always serialize");
            Sha256::digest(faults).into()
        }
    }
}

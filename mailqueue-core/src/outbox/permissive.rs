//! Accepting the valid ones of several messages.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Outbox;
use super::error::SubmitError;
use super::prepare::combined;
use super::submit::Receipt;
use crate::contracts::store::Submission;
use crate::domain::draft::Draft;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::validation::ValidationError;

/// One of several messages, or the faults for which it never became a draft.
pub type Part = Result<Draft, ValidationError>;

impl Outbox {
    /// Accepts those of several messages that are valid, together or none, under one idempotency key if there is one;
    /// the keys of the drafts themselves are not looked at. Results are in the order of the parts, and a repeat
    /// gets the same, whatever has become invalid since.
    ///
    /// # Errors
    ///
    /// As [`submit_all`](Self::submit_all), but never [`SubmitError::Invalid`]: the results name what is invalid.
    pub async fn submit_permissive(
        &self,
        parts: Vec<Part>,
        key: Option<IdempotencyKey>,
    ) -> Result<Vec<Result<Receipt, ValidationError>>, SubmitError> {
        // To the millisecond, so that a repeat can be judged by the time that the first id carries.
        let now = self.clock().now();
        let now = now.replace_millisecond(now.millisecond()).unwrap_or(now);
        let parts: Arc<[Part]> = parts.into();
        let octets = parts.iter().flatten().map(Draft::size).sum();
        let (outbox, all) = (self.clone(), Arc::clone(&parts));
        let valid = self.offload(octets, move || outbox.valid(&all, key, now)).await??;
        let (submission, mut verdicts) = valid;
        let receipts = match &submission.idempotency {
            _ if !submission.messages.is_empty() => self.keep(submission).await?,
            None => Vec::new(),
            // Nothing is valid any more, but a repeat gets what was accepted at the first time.
            Some(key) => self.replay(key).await?.unwrap_or_default(),
        };
        if let Some(first) = receipts.first().filter(|receipt| receipt.replayed) {
            let (outbox, at) = (self.clone(), first.id.made_at().unwrap_or(now));
            let verdicts_then = move || parts.iter().map(|part| outbox.checked(part, at).map(drop)).collect();
            verdicts = self.offload(octets, verdicts_then).await?;
        }
        if verdicts.iter().filter(|verdict| verdict.is_ok()).count() != receipts.len() {
            // The rules are others than at the first time, so what was accepted then is not what is valid now.
            return Err(SubmitError::KeyReused);
        }
        let mut receipts = receipts.into_iter();
        Ok(verdicts.into_iter().filter_map(|one| one.map(|()| receipts.next()).transpose()).collect())
    }

    /// The valid messages, maybe none, and the verdict on every part.
    fn valid(
        &self,
        parts: &[Part],
        key: Option<IdempotencyKey>,
        now: OffsetDateTime,
    ) -> Result<(Submission, Vec<Result<(), ValidationError>>), SubmitError> {
        let idempotency = self.idempotency(key, || combined(parts.iter().map(fingerprint)));
        let (mut messages, mut verdicts) = (Vec::new(), Vec::with_capacity(parts.len()));
        for part in parts {
            match self.checked(part, now) {
                Ok(message) => {
                    messages.push(self.rendered(message, now)?);
                    verdicts.push(Ok(()));
                }
                Err(invalid) => verdicts.push(Err(invalid)),
            }
        }
        Ok((Submission { messages, idempotency }, verdicts))
    }

    fn checked(&self, part: &Part, now: OffsetDateTime) -> Result<Message, ValidationError> {
        let message = part.as_ref().map_err(Clone::clone)?.check_content(&self.limits, now)?;
        self.sender_fault(&message).map_or(Ok(message), |fault| Err(fault.into()))
    }
}

/// A part that could not be read as a draft is hashed by its faults.
fn fingerprint(part: &Part) -> [u8; 32] {
    match part {
        Ok(draft) => draft.fingerprint(),
        Err(invalid) => {
            let faults = serde_json::to_vec(&invalid.faults).expect("structs of strings always serialize");
            Sha256::digest(faults).into()
        }
    }
}

//! Accepting the valid ones of several messages.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Outbox;
use super::error::SubmitError;
use super::prepare::combined;
use super::submit::Receipt;
use crate::contracts::store::{Idempotency, NewMessage, Submission};
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
        let sorted = self.offload(octets, move || outbox.sorted(&all, key, now)).await??;
        let Sorted { idempotency, messages, mut verdicts } = sorted;
        let receipts = match (messages.is_empty(), idempotency) {
            (false, idempotency) => self.keep(Submission { messages, idempotency }).await?,
            (true, None) => Vec::new(),
            // Nothing is valid any more, but a repeat gets what was accepted at the first time.
            (true, Some(key)) => {
                let ids = self.store.find_by_key(&key).await?.unwrap_or_default();
                ids.into_iter().map(|id| Receipt { id, replayed: true }).collect()
            }
        };
        if let Some(first) = receipts.first().filter(|receipt| receipt.replayed) {
            let (outbox, at) = (self.clone(), first.id.made_at().unwrap_or(now));
            verdicts = self.offload(octets, move || outbox.checked(&parts, at).1).await?;
        }
        if verdicts.iter().filter(|verdict| verdict.is_ok()).count() != receipts.len() {
            // The rules are others than at the first time, so what was accepted then is not what is valid now.
            return Err(SubmitError::KeyReused);
        }
        let mut receipts = receipts.into_iter();
        Ok(verdicts.into_iter().filter_map(|one| one.map(|()| receipts.next()).transpose()).collect())
    }

    fn sorted(
        &self,
        parts: &[Part],
        key: Option<IdempotencyKey>,
        now: OffsetDateTime,
    ) -> Result<Sorted, SubmitError> {
        let idempotency = self.idempotency(key, || combined(parts.iter().map(fingerprint)));
        let (messages, verdicts) = self.checked(parts, now);
        Ok(Sorted { idempotency, messages: self.rendered(messages, now)?, verdicts })
    }

    /// The valid messages, and the verdict on every part.
    fn checked(
        &self,
        parts: &[Part],
        now: OffsetDateTime,
    ) -> (Vec<Message>, Vec<Result<(), ValidationError>>) {
        let check = |draft: &Draft| {
            let message = draft.check_content(&self.limits, now)?;
            let foreign = self.sender_fault(&message);
            foreign.map_or(Ok(message), |fault| Err(fault.into()))
        };
        let (mut messages, mut verdicts) = (Vec::new(), Vec::with_capacity(parts.len()));
        for part in parts {
            let checked = part.as_ref().map_err(Clone::clone).and_then(check);
            verdicts.push(checked.map(|message| messages.push(message)));
        }
        (messages, verdicts)
    }
}

/// Several messages, the valid ones apart.
struct Sorted {
    idempotency: Option<Idempotency>,
    messages: Vec<NewMessage>,
    /// The verdict on every part.
    verdicts: Vec<Result<(), ValidationError>>,
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

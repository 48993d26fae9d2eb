//! Checking and rendering drafts for the store.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Outbox;
use super::error::SubmitError;
use crate::contracts::store::{Idempotency, NewMessage, StoreError, Submission};
use crate::domain::draft::Draft;
use crate::domain::id::MessageId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::render::render;
use crate::domain::validation::{FieldError, ValidationError};
use crate::offload::ShuttingDown;

/// The most octets of drafts that are gone through on the calling thread: a millisecond or so. More would hold up
/// everybody else.
const MAX_INLINE_OCTETS: usize = 64 << 10;

/// The time for which an idempotency key is remembered, counted from acceptance or, if that is later, the scheduled time.
const KEY_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// A submission, or the reason why it cannot be kept and the key under which it may have been kept before.
pub(super) type Prepared = Result<Submission, Box<(SubmitError, Option<Idempotency>)>>;

impl Outbox {
    /// Checks and renders messages without keeping them, for a host that keeps them in a transaction of its own.
    ///
    /// It takes about as long as to copy the messages some ten times, on the thread it is called on: for what is large,
    /// call it off the async runtime.
    ///
    /// # Errors
    ///
    /// As [`submit_all`](Self::submit_all), less the store's.
    pub fn prepare(&self, drafts: &[Draft], key: Option<IdempotencyKey>) -> Result<Submission, SubmitError> {
        self.prepared(drafts, key).map_err(|refused| refused.0)
    }

    /// The same off the async runtime. If the caller has stopped waiting before it is begun, it is not done.
    pub(super) async fn prepare_offloaded(
        &self,
        drafts: Vec<Draft>,
        key: Option<IdempotencyKey>,
    ) -> Result<Prepared, SubmitError> {
        let octets = drafts.iter().map(Draft::size).sum();
        let outbox = self.clone();
        self.offload(octets, move || outbox.prepared(&drafts, key)).await
    }

    /// Does work that goes through so many octets of drafts: at once when they are few, else off the async runtime.
    pub(super) async fn offload<T: Send + 'static>(
        &self,
        octets: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SubmitError> {
        if octets <= MAX_INLINE_OCTETS {
            return Ok(work());
        }
        let ending = |ending: ShuttingDown| StoreError::Overloaded(ending.to_string().into()).into();
        self.rendering.run(work).await.map_err(ending)
    }

    fn prepared(&self, drafts: &[Draft], key: Option<IdempotencyKey>) -> Prepared {
        let idempotency = self.idempotency(key, || combined(drafts.iter().map(Draft::fingerprint)));
        match self.messages(drafts, self.clock().now()) {
            Ok(messages) => Ok(Submission { messages, idempotency }),
            Err(error) => Err(Box::new((error, idempotency))),
        }
    }

    fn messages(&self, drafts: &[Draft], now: OffsetDateTime) -> Result<Vec<NewMessage>, SubmitError> {
        let (mut faults, mut foreign, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for (n, draft) in drafts.iter().enumerate() {
            let locate = |fault: FieldError| if drafts.len() > 1 { fault.within(n) } else { fault };
            match draft.check_content(&self.limits, now) {
                Err(invalid) => faults.extend(invalid.faults.into_iter().map(locate)),
                Ok(message) => match self.sender_fault(&message) {
                    Some(fault) => foreign.push(locate(fault)),
                    // Rendered only while all may be kept, because it costs more than the checks.
                    None if faults.is_empty() && foreign.is_empty() => {
                        messages.push(self.rendered(message, now)?);
                    }
                    None => {}
                },
            }
        }
        match (faults.is_empty(), foreign.is_empty()) {
            (false, _) => Err(ValidationError { faults }.into()),
            (true, false) => Err(SubmitError::ForeignSender(foreign)),
            (true, true) => Ok(messages),
        }
    }

    /// A checked message with its id and its bytes.
    pub(super) fn rendered(&self, message: Message, now: OffsetDateTime) -> Result<NewMessage, SubmitError> {
        let id = MessageId::new(now);
        // A scheduled message carries its own time as its Date, not that of its submission.
        let raw = render(&message, id, message.scheduled_at.unwrap_or(now)).map_err(Arc::new)?;
        Ok(NewMessage { id, tenant: self.tenant_name(), message, raw })
    }

    /// The record under which a submission may be repeated.
    pub(super) fn idempotency(
        &self,
        key: Option<IdempotencyKey>,
        fingerprint: impl FnOnce() -> [u8; 32],
    ) -> Option<Idempotency> {
        let (tenant, key) = (self.tenant_name(), key?.into());
        Some(Idempotency { tenant, key, fingerprint: fingerprint(), keep: KEY_RETENTION })
    }

    fn tenant_name(&self) -> String {
        self.tenant.as_deref().unwrap_or_default().to_owned()
    }

    pub(super) fn sender_fault(&self, message: &Message) -> Option<FieldError> {
        let domains = self.domains.as_ref()?;
        let foreign = !domains.iter().any(|domain| domain == message.from.address.domain());
        foreign.then(|| FieldError::new("/from", "must be at a domain that this sender may use"))
    }
}

/// One hash stands for itself, several for the list they are.
pub(super) fn combined(hashes: impl ExactSizeIterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut hashes = hashes;
    if hashes.len() == 1 {
        return hashes.next().unwrap_or_default();
    }
    let mut hash = Sha256::new();
    hashes.for_each(|one| hash.update(one));
    hash.finalize().into()
}

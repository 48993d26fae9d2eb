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

/// Drafts on their way to the store.
pub(super) struct Prepared {
    /// The key under which they may be repeated.
    pub(super) idempotency: Option<Idempotency>,
    /// The messages, or their faults.
    pub(super) messages: Result<Vec<NewMessage>, SubmitError>,
}

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
        let Prepared { idempotency, messages } = self.prepared(drafts, key);
        Ok(Submission { messages: messages?, idempotency })
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
        Prepared { idempotency, messages: self.messages(drafts, self.clock().now()) }
    }

    fn messages(&self, drafts: &[Draft], now: OffsetDateTime) -> Result<Vec<NewMessage>, SubmitError> {
        let messages = self.checked_drafts(drafts, now)?;
        self.check_senders(&messages)?;
        self.rendered(messages, now)
    }

    fn checked_drafts(&self, drafts: &[Draft], now: OffsetDateTime) -> Result<Vec<Message>, ValidationError> {
        let mut faults = Vec::new();
        let mut messages = Vec::with_capacity(drafts.len());
        for (n, draft) in drafts.iter().enumerate() {
            match draft.check_content(&self.limits, now) {
                Ok(message) => messages.push(message),
                Err(invalid) if drafts.len() == 1 => faults.extend(invalid.faults),
                Err(invalid) => faults.extend(invalid.faults.into_iter().map(|fault| fault.within(n))),
            }
        }
        if faults.is_empty() { Ok(messages) } else { Err(ValidationError { faults }) }
    }

    pub(super) fn rendered(
        &self,
        messages: Vec<Message>,
        now: OffsetDateTime,
    ) -> Result<Vec<NewMessage>, SubmitError> {
        let rendered = messages.into_iter().map(|message| {
            let id = MessageId::new(now);
            // A scheduled message carries its own time as its Date, not that of its submission.
            let raw = render(&message, id, message.scheduled_at.unwrap_or(now)).map_err(Arc::new)?;
            Ok(NewMessage { id, tenant: self.tenant_name(), message, raw })
        });
        rendered.collect()
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

    fn check_senders(&self, messages: &[Message]) -> Result<(), SubmitError> {
        let faults = messages.iter().enumerate().filter_map(|(n, message)| {
            let fault = self.sender_fault(message)?;
            Some(if messages.len() > 1 { fault.within(n) } else { fault })
        });
        let faults: Vec<FieldError> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(SubmitError::ForeignSender(faults)) }
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

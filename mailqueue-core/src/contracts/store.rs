//! Where messages are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use super::queue::Entry;
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::message::Message;
use crate::domain::report::Report;
use crate::domain::status::Status;
use crate::domain::transition::{Circumstances, DeliveryPolicy, Event, NotAllowed, Transition, decide};
use crate::record::{Filter, Page, Record};

/// The record and the truth: what a store has committed is what happened.
///
/// Every method is safe to call from many tasks and processes at once. A future that is dropped may have taken
/// effect or not, never half.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Keeps submissions, each wholly or not at all. When its result is `Ok`, the submission is committed and survives
    /// a crash. One that cannot be kept does not fail its neighbours. Results are in the order of the arguments.
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>>;

    /// The messages that were submitted before with the same content under the same key, in their order; `None` when
    /// there are none, the key stood for something else, or it has run out. Asked when a repeat cannot be
    /// inserted because it would not be valid any more. A store that does not tell loses nothing: such repeats are
    /// refused as invalid.
    async fn recall(&self, _key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        Ok(None)
    }

    /// One message with everything that is known of it; `None` when there is none or it is another tenant's.
    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError>;

    /// A page of messages, newest first, without their bodies.
    async fn list(&self, filter: &Filter) -> Result<Page, StoreError>;

    /// Leases those of `ids` that are queued and due and have at most `terms.largest` octets, for `terms.duration` from
    /// now: exactly one caller gets each, however many ask. Larger ones are named and stay as they are; the others are
    /// left out of the answer.
    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError>;

    /// Extends leases to `duration` from now. The answer is, in their order, whether each is still held. One that is
    /// renewed with `before_dot` counts from then on as maybe sent: it survives a crash that the dot was allowed.
    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError>;

    /// Writes down results. What a server accepted is recorded whoever holds the lease; anything else only while
    /// the reporter holds it. Saying the same twice changes nothing. Results are in the order of the arguments.
    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>>;

    /// Messages of a lane that are queued and due before `before`, and by now; the longest due first, at most `limit`.
    async fn due(
        &self,
        lane: Lane,
        before: Option<OffsetDateTime>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Ends at most `limit` leases that ran out before `expired_before`, a time this store has told, and says what
    /// became of the messages. In parallel callers share the work.
    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError>;

    /// Does what a person asks for, if the message's state allows it, and says where the message stands then.
    async fn amend(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        amendment: Amendment,
    ) -> Result<Amended, StoreError>;

    /// Writes something small and tells the time here. `Ok` means that results could be written down at this moment: it
    /// is committed, as durably as everything else.
    async fn probe(&self) -> Result<Probe, StoreError>;

    /// How much is waiting, counted up to `count` messages, and what time it is here.
    async fn statistics(&self, count: u64) -> Result<Statistics, StoreError>;

    /// Forgets at most `limit` finished messages that are older than `retention` says, content before record, and
    /// idempotency keys that have run out. Never touches a message that is not finished.
    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or the connection broke before it answered. Whether it did it is not known.
    #[error("the message store is out of reach: {0}")]
    Unavailable(String),
    /// More is being asked than it can do. It has not been done.
    #[error("the message store is overloaded: {0}")]
    Overloaded(String),
    /// It has no space for new messages, which has not been kept. What is there can still be sent and written down.
    #[error("the message store has no space for new messages: {0}")]
    NoSpace(String),
    /// It refused this item. It has not been done, and will be refused again.
    #[error("the message store refused it: {0}")]
    Refused(String),
    /// What it holds makes no sense to this version.
    #[error("the message store holds something unreadable: {0}")]
    Unreadable(String),
}

/// Messages that are kept together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// At least one.
    pub messages: Vec<NewMessage>,
    /// What makes repeating it harmless.
    pub idempotency: Option<Idempotency>,
}

impl Submission {
    /// The size of what is kept, in octets.
    #[must_use]
    pub fn size(&self) -> usize {
        self.messages.iter().map(|new| new.raw.len()).sum()
    }

    /// The ids of its messages.
    #[must_use]
    pub fn ids(&self) -> Vec<MessageId> {
        self.messages.iter().map(|new| new.id).collect()
    }
}

/// A message ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Whose it is; empty where there are no tenants.
    pub tenant: String,
    /// What was asked for.
    pub message: Message,
    /// What will be sent.
    pub raw: Bytes,
}

/// Makes repeating a submission harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose key it is.
    pub tenant: String,
    /// The key the submitter chose.
    pub key: String,
    /// A hash of all that was submitted.
    pub fingerprint: [u8; 32],
    /// How long the key is remembered.
    pub keep: Duration,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Stored,
    /// The same had been submitted before, under these ids; nothing was added.
    Replayed(Vec<MessageId>),
    /// Something else had been submitted with this idempotency key; nothing was added.
    KeyReused,
}

/// On what terms messages are claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The worker, by the name it has in logs.
    pub owner: String,
    /// Made anew for every claim, so that no later lease can be mistaken for this one (the fence).
    pub token: Uuid,
    /// How long the lease holds unless it is renewed.
    pub duration: Duration,
    /// How many octets a message may have as it is sent: what there is memory for.
    pub largest: u64,
}

/// What became of messages that were to be claimed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// Those that were leased.
    pub leased: Vec<Claimed>,
    /// Those that could have been, but for their size.
    pub too_large: Vec<TooLarge>,
}

/// A message that is queued and due, and larger than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The message.
    pub id: MessageId,
    /// Its size as it is sent.
    pub octets: u64,
}

/// A lease on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The message.
    pub id: MessageId,
    /// The claim that gave it.
    pub token: Uuid,
}

/// A message that this caller alone may send now.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// The lane it waited in.
    pub lane: Lane,
    /// The state it is in now: `sending`.
    pub delivery: Delivery,
    /// When it was claimed, by the store's clock.
    pub claimed_at: OffsetDateTime,
    /// How long it had been waiting since it was last due.
    pub waited: Duration,
    /// How long it has been due in all: what the time until giving up is measured by.
    pub age: Duration,
    /// The sender of the envelope.
    pub sender: String,
    /// What is to be sent.
    pub raw: Bytes,
    /// Whether only a server that offers SMTPUTF8 can take it.
    pub smtputf8: bool,
}

/// A lease to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The lease.
    pub lease: Lease,
    /// Whether its holder is about to send the final dot.
    pub before_dot: bool,
}

/// A result to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The lease under which it came about.
    pub lease: Lease,
    /// The state as it was claimed.
    pub claimed: Delivery,
    /// What the transport said.
    pub report: Report,
    /// What else is to be known.
    pub seen: Circumstances,
    /// The rules.
    pub policy: DeliveryPolicy,
}

impl Settlement {
    /// What it makes of the delivery as it was claimed: what is written while the lease is held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when the claimed state is not `sending`.
    pub fn transition(&self) -> Result<Transition, NotAllowed> {
        self.transition_of(&self.claimed, true)
    }

    /// What it makes of the delivery as it is now, depending on whether the lease is still held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when it changes nothing.
    pub fn transition_of(&self, current: &Delivery, is_held: bool) -> Result<Transition, NotAllowed> {
        let (report, seen) = (self.report.clone(), self.seen.clone());
        let event = if is_held { Event::Reported(report, seen) } else { Event::ReportedLate(report, seen) };
        decide(current, &event, &self.policy)
    }

    /// The same result without the texts of others: for a store that refuses one of them, or what they say.
    #[must_use]
    pub fn reduced(&self) -> Self {
        let mut reduced = self.clone();
        reduced.report = self.report.without_texts();
        reduced
    }
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was written down; the message stands there now.
    Recorded(Status),
    /// The lease was gone and there was nothing left to say.
    Superseded,
}

/// A lease that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaimed {
    /// The message.
    pub id: MessageId,
    /// Where it stands now.
    pub status: Status,
    /// Whether the dot had been allowed: a copy may be out.
    pub ambiguous: bool,
}

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amendment {
    /// Withdraw it.
    Cancel,
    /// Try it again now.
    RetryNow,
    /// Move it to another time; one that has passed means now.
    Reschedule(OffsetDateTime),
}

impl Amendment {
    /// The event it stands for.
    #[must_use]
    pub fn event(self) -> Event {
        match self {
            Self::Cancel => Event::Cancelled,
            Self::RetryNow => Event::RetriedNow,
            Self::Reschedule(at) => Event::Rescheduled(at),
        }
    }
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amended {
    /// It was done; this entry may be pushed if it is due.
    Done {
        /// Where the message stands now.
        status: Status,
        /// Where it waits now.
        entry: Entry,
    },
    /// The state does not allow it.
    NotAllowed(Status),
    /// There is no such message, or it is another tenant's.
    NotFound,
}

/// A write that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The store's time.
    pub now: OffsetDateTime,
    /// Whether there is space for new messages, as far as is known. What is there can be sent and written down
    /// either way.
    pub has_space: bool,
}

/// How much is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// The store's time.
    pub now: OffsetDateTime,
    /// Messages queued, due or not; as many as were to be counted means at least so many.
    pub queued: u64,
    /// The size of those counted as they will be sent, in octets.
    pub octets: u64,
    /// Messages leased.
    pub sending: u64,
    /// When the longest waiting message was due; `None` when none is due yet.
    pub oldest_due: Option<OffsetDateTime>,
}

/// How long finished messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bodies, attachments and the rendered message.
    pub content: Duration,
    /// Everything else.
    pub record: Duration,
}

impl Default for Retention {
    /// 30 days for both.
    fn default() -> Self {
        let month = Duration::from_secs(30 * 24 * 3600);
        Self { content: month, record: month }
    }
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Messages whose content went.
    pub contents: u64,
    /// Messages that went wholly.
    pub records: u64,
    /// Idempotency keys that went.
    pub keys: u64,
}

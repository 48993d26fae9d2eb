//! Leases: how messages are claimed, kept and lost.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::status::Status;
use crate::domain::transition::{AttemptContext, DeliveryPolicy, Event, NotAllowed, Transition, decide};

/// The terms on which messages are claimed.
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
    /// A message of at most so many octets is allowed one final dot with its lease. It counts from then on as maybe sent, as
    /// one that is renewed with [`before_dot`](Renewal::before_dot). One whose last lease was lost is allowed none: it may be
    /// poison, which leaves no doubt as long as nobody asks for its dot. `None` allows no dot.
    pub dot_up_to: Option<u64>,
}

/// The outcome of a claim.
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
    /// The state it is in now: `sending`, with the dot allowed or not.
    pub delivery: Delivery,
    /// The time it was claimed, by the store's clock.
    pub claimed_at: OffsetDateTime,
    /// How long it had been waiting since it was last due.
    pub waited: Duration,
    /// How long it has been due in all: what the time until giving up is measured by.
    pub age: Duration,
    /// The sender of the envelope.
    pub sender: String,
    /// The message as it is sent.
    pub raw: Bytes,
    /// The message needs a server that offers SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
}

/// A lease to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The lease.
    pub lease: Lease,
    /// Its holder is about to send the final dot.
    pub before_dot: bool,
}

/// A lease that ran out, and the delivery it was for.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpiredLease {
    /// The message.
    pub id: MessageId,
    /// The state it is in: `sending`.
    pub delivery: Delivery,
    /// The time it was claimed, by the store's clock.
    pub claimed_at: OffsetDateTime,
    /// How long the lease was held, renewals included.
    pub held: Duration,
    /// How long the message has been due in all.
    pub age: Duration,
    /// The worker that held the lease.
    pub owner: String,
}

impl ExpiredLease {
    /// Ends the lease: the result to report and the state to write. `jitter`, in 0..1, chooses within the back-off
    /// window.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when the state is not `sending`.
    pub fn reclaim(
        self,
        policy: &DeliveryPolicy,
        jitter: f64,
    ) -> Result<(Reclaimed, Transition), NotAllowed> {
        let context = AttemptContext {
            attempt: self.delivery.attempt,
            started_at: self.claimed_at,
            duration: self.held,
            age: self.age,
            worker: self.owner,
            jitter,
        };
        let transition = decide(&self.delivery, &Event::LeaseExpired(context), policy)?;
        let status = transition.delivery.status;
        // This lease's dot alone: the doubt of earlier leases has been counted when they ended.
        Ok((Reclaimed { id: self.id, status, ambiguous: self.delivery.dot_allowed }, transition))
    }
}

/// A lease that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaimed {
    /// The message.
    pub id: MessageId,
    /// Its status now.
    pub status: Status,
    /// The dot had been allowed: a copy may be out.
    pub ambiguous: bool,
}

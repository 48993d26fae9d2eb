//! The contract of a store of messages.

mod backlog;
mod change;
mod due_range;
mod error;
mod lease;
mod query;
mod retention;
mod settlement;
mod submission;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

pub use self::backlog::{Backlog, Probe};
pub use self::change::{Change, Changed};
pub use self::due_range::DueRange;
pub use self::error::StoreError;
pub use self::lease::{Claimed, Claims, ExpiredLease, Lease, LeaseTerms, Reclaimed, Renewal, TooLarge};
pub use self::query::{Cursor, Filter, Listed, Page};
pub use self::retention::{Pruned, Retention};
pub use self::settlement::{Settled, Settlement};
pub use self::submission::{Idempotency, Inserted, NewMessage, Submission};
use super::queue::Entry;
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;

/// The record of all messages: a result counts once a store has committed it.
///
/// Every method is safe to call from many tasks and processes at once. A future that is dropped may have taken
/// effect or not, never half.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}", folder.path().join("mail.db").display());
/// use mailqueue_core::{Filter, connect};
///
/// let store = connect::store(&url.into()).await?;
/// let page = store.list(&Filter { limit: 10, ..Filter::default() }).await?;
/// assert_eq!(page.ids().count(), 0);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Keeps submissions, each wholly or not at all. When its result is `Ok`, the submission is committed and survives
    /// a crash. One that cannot be kept does not fail the others. Results are in the order of the arguments.
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>>;

    /// The messages that were submitted before with the same content under the same key, in their order; `None` when
    /// there are none, the key stood for something else, or it has run out. Asked when a repeat cannot be
    /// inserted because it would not be valid any more. A store without this loses nothing: such repeats are
    /// refused as invalid.
    async fn find_by_key(&self, _key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        Ok(None)
    }

    /// One message with everything that is known of it; `None` when there is none or it is another tenant's.
    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError>;

    /// A page of messages, newest first, without their bodies.
    async fn list(&self, filter: &Filter) -> Result<Page, StoreError>;

    /// Leases those of `ids` that are queued and due and have at most `terms.largest` octets, for `terms.duration` from
    /// now: exactly one caller gets each, however many ask. Larger ones are named and stay as they are; the others are
    /// left out of the answer. A message of at most `terms.dot_up_to` octets whose last lease was not lost
    /// counts from then on as maybe sent: the
    /// permission to send its dot, which the answer tells of, survives a crash.
    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError>;

    /// Extends leases to `duration` from now. The answer is, in their order, whether each is still held. One that is
    /// renewed with `before_dot` counts from then on as maybe sent: the permission to send the dot survives a crash.
    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError>;

    /// Records results. A success is recorded with or without the lease, any other result only while the reporter
    /// holds it. Recording the same twice changes nothing. Results are in the order of the arguments.
    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>>;

    /// Messages that are queued and due by now, range by range in their order; of each the longest due first.
    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError>;

    /// Ends at most `limit` leases that ran out before `expired_before`, a time that came from this store, and
    /// returns the new status of each message. Callers in parallel share the work.
    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError>;

    /// Makes a change that a person asks for, if the message's state allows it, and returns the status it leads to.
    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError>;

    /// Writes something small and returns the store's time, and whether a lease has run out by then. `Ok` means that results could be written down at this
    /// moment: it is committed, as durably as everything else.
    async fn probe(&self) -> Result<Probe, StoreError>;

    /// The time by the store's clock, which is the only one that decides when a message is due.
    async fn now(&self) -> Result<OffsetDateTime, StoreError>;

    /// How much is waiting, counted up to `count` messages, and the store's time.
    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError>;

    /// Deletes at most `limit` finished messages that are older than `retention` says, content before record, and
    /// idempotency keys that have run out. Never touches a message that is not finished.
    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError>;
}

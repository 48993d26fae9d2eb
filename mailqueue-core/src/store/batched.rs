//! Micro-batching: many callers, one statement.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::batcher::{Batcher, WhenCallerLeaves};
use super::pace::Pace;
use crate::contracts::queue::Entry;
use crate::contracts::store::{
    Backlog, Change, Changed, Claims, DueRange, Filter, Idempotency, Inserted, LeaseTerms, MessageStore,
    Page, Probe, Pruned, Reclaimed, Renewal, Retention, Settled, Settlement, StoreError, Submission,
};
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;
use crate::telemetry;

/// How long renewals of many callers gather. A dot waits for its renewal.
const RENEWALS_GATHER: Duration = Duration::from_millis(2);

/// How long settlements of many callers gather. Nobody but the store waits for these.
const SETTLEMENTS_GATHER: Duration = Duration::from_millis(12);

/// A store that gathers what many callers ask for at the same time into few calls of the store behind it.
///
/// It takes what is waiting and never waits for a batch to fill while the store has nothing to do, so a lone caller loses
/// nothing. Every caller gets the answer to its own item. When too much waits, further callers get [`StoreError::Overloaded`] at once. Where the store
/// behind it panics, those get [`StoreError::Unavailable`] who were asking at that moment. A submission whose caller
/// has stopped waiting before it was begun is not kept.
pub struct Batched {
    inner: Arc<dyn MessageStore>,
    inserts: Batcher<Arc<Submission>, Inserted>,
    renewals: Batcher<(Renewal, Duration), bool>,
    settlements: Batcher<Arc<Settlement>, Settled>,
}

/// How many calls of a kind may be under way at once. Each may take a connection of the store, which needs others for
/// everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallsAtOnce {
    /// Inserts. Further ones are begun where calls take long, and once as many submissions are waiting as the latest carries.
    pub inserts: NonZeroU32,
    /// Renewals, and as many settlements. Further ones are begun where calls take long.
    pub results: NonZeroU32,
}

impl Default for CallsAtOnce {
    /// One of each.
    fn default() -> Self {
        Self { inserts: NonZeroU32::MIN, results: NonZeroU32::MIN }
    }
}

impl Batched {
    /// Gathers calls for `inner`, one call of a kind (inserts, renewals, settlements) at a time. Needs a tokio runtime.
    #[must_use]
    pub fn new(inner: Arc<dyn MessageStore>) -> Self {
        Self::with_calls(inner, CallsAtOnce::default())
    }

    /// The same with several calls of a kind at once.
    #[must_use]
    pub fn with_calls(inner: Arc<dyn MessageStore>, calls: CallsAtOnce) -> Self {
        let (inserts, renewals, settlements) = (Arc::clone(&inner), Arc::clone(&inner), Arc::clone(&inner));
        Self {
            inner,
            // A caller that stops waiting for a submission has reported that it was not accepted.
            inserts: Batcher::start(
                WhenCallerLeaves::Skip,
                Pace::new(calls.inserts).balanced(),
                |submission: &Arc<Submission>| submission.size(),
                move |batch| {
                    let store = Arc::clone(&inserts);
                    Box::pin(async move { store.insert(batch).await })
                },
            ),
            renewals: Batcher::start(
                // Run all the same: a lease is worth keeping as long as its message is being sent.
                WhenCallerLeaves::Run,
                Pace::new(calls.results).gathering(RENEWALS_GATHER),
                // Small, so their number alone bounds them.
                |_| 0,
                move |batch| {
                    let store = Arc::clone(&renewals);
                    Box::pin(async move { renew(&*store, batch).await })
                },
            ),
            settlements: Batcher::start(
                // Run all the same: what was sent is sent, whether or not its caller still waits.
                WhenCallerLeaves::Run,
                Pace::new(calls.results).gathering(SETTLEMENTS_GATHER),
                |_| 0,
                move |batch| {
                    let store = Arc::clone(&settlements);
                    Box::pin(async move { store.settle(batch).await })
                },
            ),
        }
    }
}

/// Renews in one call for each duration; in practice there is one.
async fn renew(store: &dyn MessageStore, batch: Vec<(Renewal, Duration)>) -> Vec<Result<bool, StoreError>> {
    let mut held = Vec::with_capacity(batch.len());
    // Joins neighbours only, since answers stand in the order of the batch.
    for same in batch.chunk_by(|(_, one), (_, other)| one == other) {
        let (renewals, duration) = (same.iter().map(|(renewal, _)| *renewal).collect(), same[0].1);
        match store.renew(renewals, duration).await {
            Ok(answers) => held.extend(answers.into_iter().map(Ok)),
            Err(error) => held.extend(same.iter().map(|_| Err(error.clone()))),
        }
    }
    held
}

/// The same results, and each error counted.
fn counted<T>(results: Vec<Result<T, StoreError>>) -> Vec<Result<T, StoreError>> {
    results.iter().filter_map(|result| result.as_ref().err()).for_each(telemetry::store_failed);
    results
}

// A default method would pass the store behind it by.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl MessageStore for Batched {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        counted(self.inserts.submit_all(submissions).await)
    }

    async fn find_by_key(&self, key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        self.inner.find_by_key(key).await.inspect_err(telemetry::store_failed)
    }

    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError> {
        self.inner.get(tenant, id).await.inspect_err(telemetry::store_failed)
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.list(filter).await.inspect_err(telemetry::store_failed)
    }

    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError> {
        self.inner.claim(ids, terms).await.inspect_err(telemetry::store_failed)
    }

    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError> {
        let items = renewals.into_iter().map(|renewal| (renewal, duration)).collect();
        counted(self.renewals.submit_all(items).await).into_iter().collect()
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        counted(self.settlements.submit_all(settlements).await)
    }

    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        self.inner.due(ranges).await.inspect_err(telemetry::store_failed)
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        self.inner.reclaim(expired_before, limit, policy).await.inspect_err(telemetry::store_failed)
    }

    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError> {
        self.inner.change(tenant, id, change).await.inspect_err(telemetry::store_failed)
    }

    async fn probe(&self) -> Result<Probe, StoreError> {
        self.inner.probe().await.inspect_err(telemetry::store_failed)
    }

    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.inner.now().await.inspect_err(telemetry::store_failed)
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.inner.backlog(count).await.inspect_err(telemetry::store_failed)
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        self.inner.prune(retention, limit).await.inspect_err(telemetry::store_failed)
    }
}

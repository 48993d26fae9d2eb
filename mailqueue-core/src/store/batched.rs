//! Micro-batching: many callers, one statement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::contracts::queue::Entry;
use crate::contracts::store::{
    Backlog, Change, Changed, Claims, Filter, Idempotency, Inserted, LeaseTerms, MessageStore, Page, Probe,
    Pruned, Reclaimed, Renewal, Retention, Settled, Settlement, StoreError, Submission,
};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::record::Record;
use crate::domain::transition::DeliveryPolicy;

/// How many items one call to the store carries at most.
const MAX_BATCH: usize = 256;

/// How many octets of messages one insert carries at most, unless a single one is larger. The way to the database makes
/// several copies of a batch.
const MAX_BATCH_OCTETS: usize = 4 << 20;

/// How many items wait at most. More would only make everybody wait longer, so further callers get an error at once.
const QUEUE_CAPACITY: usize = 4096;

/// How much all that waits may weigh, in KiB; a single item that is heavier still fits when nothing else waits.
const QUEUE_CAPACITY_KIB: u32 = 128 << 10;

/// A store that gathers what many callers ask for at the same time into few calls of the store behind it.
///
/// It takes what is waiting and never waits for a batch to fill, so a lone caller loses nothing. Every caller gets the
/// answer to its own item. When too much waits, further callers get [`StoreError::Overloaded`] at once. Where the store
/// behind it panics, those get [`StoreError::Unavailable`] who were asking at that moment. A submission whose caller
/// has stopped waiting before it was begun is not kept.
pub struct Batched {
    inner: Arc<dyn MessageStore>,
    inserts: Batcher<Arc<Submission>, Inserted>,
    renewals: Batcher<(Renewal, Duration), bool>,
    settlements: Batcher<Arc<Settlement>, Settled>,
}

impl Batched {
    /// Gathers calls for `inner`. Needs a tokio runtime.
    #[must_use]
    pub fn new(inner: Arc<dyn MessageStore>) -> Self {
        let (inserts, renewals, settlements) = (Arc::clone(&inner), Arc::clone(&inner), Arc::clone(&inner));
        Self {
            inner,
            // A caller that stops waiting for a submission has reported that it was not accepted.
            inserts: Batcher::start(
                WhenCallerLeaves::Skip,
                |submission: &Arc<Submission>| submission.size(),
                move |batch| {
                    let store = Arc::clone(&inserts);
                    Box::pin(async move { store.insert(batch).await })
                },
            ),
            renewals: Batcher::start(
                // Run all the same: a lease is worth keeping as long as its message is being sent.
                WhenCallerLeaves::Run,
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

// A default method would pass the store behind it by.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl MessageStore for Batched {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        self.inserts.submit_all(submissions).await
    }

    async fn find_by_key(&self, key: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        self.inner.find_by_key(key).await
    }

    async fn get(&self, tenant: Option<&str>, id: MessageId) -> Result<Option<Record>, StoreError> {
        self.inner.get(tenant, id).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.list(filter).await
    }

    async fn claim(&self, ids: &[MessageId], terms: &LeaseTerms) -> Result<Claims, StoreError> {
        self.inner.claim(ids, terms).await
    }

    async fn renew(&self, renewals: Vec<Renewal>, duration: Duration) -> Result<Vec<bool>, StoreError> {
        let items = renewals.into_iter().map(|renewal| (renewal, duration)).collect();
        self.renewals.submit_all(items).await.into_iter().collect()
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        self.settlements.submit_all(settlements).await
    }

    async fn due(
        &self,
        lane: Lane,
        before: Option<OffsetDateTime>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.due(lane, before, limit).await
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        self.inner.reclaim(expired_before, limit, policy).await
    }

    async fn change(
        &self,
        tenant: Option<&str>,
        id: MessageId,
        change: Change,
    ) -> Result<Changed, StoreError> {
        self.inner.change(tenant, id, change).await
    }

    async fn probe(&self) -> Result<Probe, StoreError> {
        self.inner.probe().await
    }

    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.inner.now().await
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.inner.backlog(count).await
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        self.inner.prune(retention, limit).await
    }
}

/// An item, the caller that waits for its answer, and its weight.
struct Pending<I, O> {
    item: I,
    caller: Caller<O>,
    octets: usize,
}

/// The caller that waits for an answer. Its share of the capacity is given back when it has been answered.
struct Caller<O> {
    answer: oneshot::Sender<Result<O, StoreError>>,
    _capacity: OwnedSemaphorePermit,
}

/// The fate of an item that was not begun when its caller stopped waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenCallerLeaves {
    Run,
    Skip,
}

impl WhenCallerLeaves {
    fn is_wanted<I, O>(self, pending: &Pending<I, O>) -> bool {
        self == Self::Run || !pending.caller.answer.is_closed()
    }
}

/// Collects items that are waiting into batches, one batch at a time.
struct Batcher<I, O> {
    pending: mpsc::Sender<Pending<I, O>>,
    octets: fn(&I) -> usize,
    capacity: Arc<Semaphore>,
}

impl<I: Send + 'static, O: Clone + Send + 'static> Batcher<I, O> {
    /// `octets` gives an item's size, `work` answers a batch in its order.
    fn start(
        when_caller_leaves: WhenCallerLeaves,
        octets: fn(&I) -> usize,
        work: impl Fn(Vec<I>) -> BoxFuture<'static, Vec<Result<O, StoreError>>> + Send + 'static,
    ) -> Self {
        let (pending, mut waiting) = mpsc::channel::<Pending<I, O>>(QUEUE_CAPACITY);
        tokio::spawn(async move {
            let mut next = None;
            loop {
                let first = match next.take() {
                    Some(first) => first,
                    None => match waiting.recv().await {
                        Some(first) => first,
                        None => break,
                    },
                };
                if !when_caller_leaves.is_wanted(&first) {
                    continue;
                }
                let (batch, too_much) = gather(first, &mut waiting, when_caller_leaves);
                next = too_much;
                let (items, callers): (Vec<I>, Vec<Caller<O>>) =
                    batch.into_iter().map(|pending| (pending.item, pending.caller)).unzip();
                // Unwind safe, as the items are gone with the panic. While this runs, the next batch gathers.
                let answers = AssertUnwindSafe(work(items)).catch_unwind().await;
                let answers = answers.unwrap_or_else(|_| {
                    tracing::error!("the message store panicked; who was asking it is told so");
                    vec![Err(panicked()); callers.len()]
                });
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // A caller that went away does not need its answer.
                    let _ = caller.answer.send(answer);
                }
            }
        });
        Self { pending, octets, capacity: Arc::new(Semaphore::new(QUEUE_CAPACITY_KIB as usize)) }
    }

    async fn submit_all(&self, items: Vec<I>) -> Vec<Result<O, StoreError>> {
        // All are submitted before the first is awaited, so that they can share a batch.
        let answers: Vec<_> = items.into_iter().map(|item| self.submit(item)).collect();
        join_all(answers.into_iter().map(async |answer| match answer {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err(ended())),
            Err(error) => Err(error),
        }))
        .await
    }

    fn submit(&self, item: I) -> Result<oneshot::Receiver<Result<O, StoreError>>, StoreError> {
        let too_much = || StoreError::Overloaded("too much is waiting".into());
        let octets = (self.octets)(&item);
        let weight = u32::try_from(octets / 1024).unwrap_or(QUEUE_CAPACITY_KIB).min(QUEUE_CAPACITY_KIB);
        let capacity = Arc::clone(&self.capacity).try_acquire_many_owned(weight).map_err(|_| too_much())?;
        let (caller, answer) = oneshot::channel();
        let caller = Caller { answer: caller, _capacity: capacity };
        // Never waits: a full queue is the caller's back-pressure.
        self.pending.try_send(Pending { item, caller, octets }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => too_much(),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        Ok(answer)
    }
}

/// How far the store had come is not known.
fn panicked() -> StoreError {
    StoreError::Unavailable("it panicked".into())
}

fn ended() -> StoreError {
    StoreError::Unavailable("the task that asks it has ended".into())
}

/// A batch, and what was taken after it and would have been too much.
type Gathered<I, O> = (Vec<Pending<I, O>>, Option<Pending<I, O>>);

/// `first` and what else is waiting by now, within the bounds of a batch.
fn gather<I, O>(
    first: Pending<I, O>,
    waiting: &mut mpsc::Receiver<Pending<I, O>>,
    when_caller_leaves: WhenCallerLeaves,
) -> Gathered<I, O> {
    let mut total = first.octets;
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH {
        let Ok(pending) = waiting.try_recv() else { break };
        if !when_caller_leaves.is_wanted(&pending) {
            continue;
        }
        total = total.saturating_add(pending.octets);
        if total > MAX_BATCH_OCTETS {
            return (batch, Some(pending));
        }
        batch.push(pending);
    }
    (batch, None)
}

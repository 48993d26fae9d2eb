//! A store whose first insert waits until it is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::contracts::store::{
    Backlog, Change, Changed, Claims, DueRange, Idempotency, Inserted, LeaseTerms, Probe, Pruned, Reclaimed,
    Renewal, Retention, Settled, Settlement, Submission,
};
use mailqueue_core::{DeliveryPolicy, Entry, Filter, MessageId, MessageStore, Page, Record, StoreError};
use time::OffsetDateTime;
use tokio::sync::{Mutex, oneshot};

/// A store behind a gate.
pub(crate) struct GatedStore {
    inner: Arc<dyn MessageStore>,
    first: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
    /// Inserts that have begun, those that wait included.
    begun: AtomicUsize,
}

/// The gate, in the hands of the test.
pub(crate) struct Gate {
    reached: Option<oneshot::Receiver<()>>,
    go: Option<oneshot::Sender<()>>,
}

impl GatedStore {
    pub(crate) fn new(inner: Arc<dyn MessageStore>) -> (Self, Gate) {
        let ((tell, reached), (go, wait)) = (oneshot::channel(), oneshot::channel());
        let gate = Gate { reached: Some(reached), go: Some(go) };
        (Self { inner, first: Mutex::new(Some((tell, wait))), begun: AtomicUsize::new(0) }, gate)
    }
}

impl GatedStore {
    /// How many inserts have been begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Gate {
    /// Waits until the first insert waits.
    pub(crate) async fn reached(&mut self) {
        self.reached.take().unwrap().await.unwrap();
    }

    /// Lets it go on.
    pub(crate) fn open(&mut self) {
        self.go.take().unwrap().send(()).unwrap();
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl MessageStore for GatedStore {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        // Held until the end: a database makes the second wait for the outcome of the first.
        let mut first = self.first.lock().await;
        if let Some((tell, wait)) = first.take() {
            tell.send(()).unwrap();
            wait.await.unwrap();
        }
        self.inner.insert(submissions).await
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
        self.inner.renew(renewals, duration).await
    }
    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        self.inner.settle(settlements).await
    }
    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        self.inner.due(ranges).await
    }
    async fn reclaim(
        &self,
        before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        self.inner.reclaim(before, limit, policy).await
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

//! A store that misbehaves when told to, and messages to put into it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::contracts::store::{
    Backlog, Change, Changed, Claimed, Claims, DueRange, Idempotency, Inserted, LeaseTerms, NewMessage,
    Probe, Pruned, Reclaimed, Renewal, Settled, Settlement, Submission,
};
use mailqueue_core::contracts::store::{Filter, Page};
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::render::render;
use mailqueue_core::store::sqlite::{SqliteOptions, SqliteStore};
use mailqueue_core::{
    DeliveryPolicy, Draft, Entry, Limits, MessageId, MessageStore, OnUnknown, Retention, RetryPolicy,
    StoreError,
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

/// A lease nothing in a test outlives.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// How long anything is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Methods of a store that the double can interfere with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Insert,
    Renew,
    Settle,
    Probe,
    Due,
    Reclaim,
    Backlog,
}

/// What a double does to the calls of one method.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// It passes them on.
    Good,
    /// It fails them.
    Failing(StoreError),
    /// It holds them up until its mood changes.
    Holding,
    /// It panics at one, and is good again.
    Panicking,
}

/// A store with moods.
pub(crate) struct FaultyStore {
    /// The real one.
    pub(crate) inner: Arc<dyn MessageStore>,
    moods: watch::Sender<Vec<(Method, Mood)>>,
    calls: watch::Sender<Vec<(Method, usize)>>,
    _folder: TempDir,
}

impl FaultyStore {
    /// A good-tempered one, empty.
    pub(crate) async fn new() -> Arc<Self> {
        let folder = TempDir::new().expect("a folder");
        let inner = SqliteStore::open(folder.path().join("mail.db"), &SqliteOptions::default()).await;
        let inner = Arc::new(inner.expect("a new database can be made"));
        let (moods, calls) = (watch::Sender::new(Vec::new()), watch::Sender::new(Vec::new()));
        Arc::new(Self { inner, moods, calls, _folder: folder })
    }

    pub(crate) fn set(&self, method: Method, mood: Mood) {
        self.moods.send_modify(|moods| {
            moods.retain(|(other, _)| *other != method);
            moods.push((method, mood));
        });
    }

    pub(crate) fn fail(&self, method: Method) {
        self.set(method, Mood::Failing(StoreError::Unavailable("away on purpose".into())));
    }

    /// The sizes of the calls of a method so far.
    pub(crate) fn calls(&self, method: Method) -> Vec<usize> {
        self.calls.borrow().iter().filter(|(called, _)| *called == method).map(|(_, size)| *size).collect()
    }

    /// Waits until a method has been called `count` times.
    pub(crate) async fn called(&self, method: Method, count: usize) {
        let mut calls = self.calls.subscribe();
        let enough =
            calls.wait_for(|calls| calls.iter().filter(|(called, _)| *called == method).count() >= count);
        soon(enough).await.expect("the sender lives in the double");
    }

    /// Notes a call, and goes on, fails or waits as the mood is.
    async fn meet(&self, method: Method, size: usize) -> Result<(), StoreError> {
        self.calls.send_modify(|calls| calls.push((method, size)));
        let mut moods = self.moods.subscribe();
        loop {
            let mood = moods
                .borrow_and_update()
                .iter()
                .find(|(other, _)| *other == method)
                .map(|(_, mood)| mood.clone());
            match mood {
                None | Some(Mood::Good) => return Ok(()),
                Some(Mood::Failing(error)) => return Err(error),
                Some(Mood::Panicking) => {
                    self.set(method, Mood::Good);
                    panic!("on purpose, in the store");
                }
                Some(Mood::Holding) => moods.changed().await.expect("the sender lives in the double"),
            }
        }
    }

    // What tests ask of the real store.

    pub(crate) async fn now(&self) -> OffsetDateTime {
        self.inner.now().await.expect("the clock can be read")
    }

    /// Waits until the store's clock has moved on by `time`.
    pub(crate) async fn pass(&self, time: Duration) {
        let end = self.now().await + time;
        until(|| async { (self.now().await > end).then_some(()) }).await;
    }

    pub(crate) async fn submit(&self, draft: &Draft) -> MessageId {
        let submission = self.submission(draft).await;
        let id = submission.messages[0].id;
        let inserted = self.inner.insert(vec![Arc::new(submission)]).await.remove(0);
        assert_eq!(inserted.expect("it is kept"), Inserted::Stored);
        id
    }

    /// A submission of one message.
    pub(crate) async fn submission(&self, draft: &Draft) -> Submission {
        let now = self.now().await;
        let message = draft.check(&Limits::default(), now).expect("a good draft");
        let id = MessageId::new(now);
        let raw = render(&message, id, now).expect("a message");
        let message = NewMessage { id, tenant: String::new(), message, raw };
        Submission { messages: vec![message], idempotency: None }
    }

    pub(crate) async fn record(&self, id: MessageId) -> Record {
        self.inner.get(None, id).await.expect("records can be read").expect("the message is there")
    }

    /// Claims what can be claimed of `ids`, as some other worker.
    pub(crate) async fn claim(&self, ids: &[MessageId], duration: Duration) -> Vec<Claimed> {
        let token = Uuid::from_u128(fastrand::u128(..));
        let terms = LeaseTerms { owner: "other".into(), token, duration, largest: u64::MAX, dot_up_to: None };
        self.inner.claim(ids, &terms).await.expect("a claim is answered").leased
    }

    /// Waits until the lease of a message has run out, and ends it.
    pub(crate) async fn end_lease(&self, id: MessageId) -> Reclaimed {
        until(|| async {
            let ended =
                self.inner.reclaim(self.now().await, 100, &eager()).await.expect("leases can be ended");
            ended.into_iter().find(|reclaimed| reclaimed.id == id)
        })
        .await
    }
}

/// A message to one recipient.
pub(crate) fn draft(subject: &str) -> Draft {
    Draft::new("shop@example.com", "ana@example.org", subject).text("It is on its way.")
}

/// Retries at once, for an hour.
pub(crate) fn eager() -> DeliveryPolicy {
    let retry = RetryPolicy {
        first: Duration::ZERO,
        cap: Duration::from_secs(60),
        give_up_after: Duration::from_secs(3600),
    };
    DeliveryPolicy { retry, on_unknown: OnUnknown::Retry, poison_after: 3 }
}

/// What comes in good time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("it happens in good time")
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    soon(async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl MessageStore for FaultyStore {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        match self.meet(Method::Insert, submissions.len()).await {
            Ok(()) => self.inner.insert(submissions).await,
            Err(error) => submissions.iter().map(|_| Err(error.clone())).collect(),
        }
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
        self.meet(Method::Renew, renewals.len()).await?;
        self.inner.renew(renewals, duration).await
    }

    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        match self.meet(Method::Settle, settlements.len()).await {
            Ok(()) => self.inner.settle(settlements).await,
            Err(error) => settlements.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn due(&self, ranges: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        self.meet(Method::Due, ranges.len()).await?;
        self.inner.due(ranges).await
    }

    async fn reclaim(
        &self,
        expired_before: OffsetDateTime,
        limit: usize,
        policy: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        self.meet(Method::Reclaim, 1).await?;
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
        self.meet(Method::Probe, 1).await?;
        self.inner.probe().await
    }

    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.inner.now().await
    }

    async fn backlog(&self, count: u64) -> Result<Backlog, StoreError> {
        self.meet(Method::Backlog, 1).await?;
        self.inner.backlog(count).await
    }

    async fn prune(&self, retention: &Retention, limit: usize) -> Result<Pruned, StoreError> {
        self.inner.prune(retention, limit).await
    }
}

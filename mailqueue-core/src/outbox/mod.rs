//! Handing mail over, looking it up, and changing one's mind.

mod hints;
mod preparing;
mod room;
pub mod valid;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::contracts::queue::{Entry, Queue};
use crate::contracts::store::{Backlog, Change, Changed, Inserted, MessageStore, StoreError, Submission};
use crate::contracts::store::{Filter, Page};
use crate::domain::clock::Clock;
use crate::domain::draft::{Draft, Limits};
use crate::domain::id::MessageId;
use crate::domain::record::Record;
use crate::domain::render::RenderError;
use crate::domain::schedule::Schedule;
use crate::domain::status::Status;
use crate::domain::validation::{FieldError, ValidationError};
use crate::health::{Health, HealthOptions};
use crate::offload::Offload;
use hints::Hints;
use preparing::Prepared;
pub use room::Capacity;
use room::Weight;
use watch::Watch;

/// How long an idempotency key is remembered, counted from acceptance or, if that is later, the scheduled time.
const KEEP_KEYS: Duration = Duration::from_secs(24 * 3600);

/// Takes mail in. Cheap to clone; all clones share one pipeline.
///
/// When a submission is answered with `Ok`, it is committed in the store and will end in exactly one of `sent`,
/// `failed`, `cancelled` or `unknown`, whatever crashes. Large messages are checked and rendered off the async runtime, few at
/// once; one whose submitter has stopped waiting before its turn is neither rendered nor kept.
#[derive(Clone)]
pub struct Outbox {
    store: Arc<dyn MessageStore>,
    hints: Hints,
    watch: Arc<Watch>,
    health: Arc<Health>,
    rendering: Offload,
    limits: Limits,
    tenant: Option<Arc<str>>,
    domains: Option<Arc<[String]>>,
}

/// What a submitter gets for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// Whether it had been accepted before under the same idempotency key.
    pub replayed: bool,
}

/// Why a submission was not accepted. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The message is faulty.
    #[error("the message cannot be accepted: {0}")]
    Invalid(#[from] ValidationError),
    /// The message is from a domain that this outbox does not send for.
    #[error("the message is from a domain that this outbox does not send for")]
    ForeignSender(Vec<FieldError>),
    /// The idempotency key stands for another message.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// So much is waiting to be sent that nothing more is taken in.
    #[error("too much is waiting to be sent")]
    Full,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mail library refused it.
    #[error(transparent)]
    Render(#[from] Arc<RenderError>),
}

impl Outbox {
    /// An outbox on a store and a queue. Asks the store for its time first, so that schedules are judged by it;
    /// a store that is out of reach is asked again later. Needs a tokio runtime.
    ///
    /// Any amount of mail may wait; see [`start_within`](Self::start_within).
    pub async fn start(store: Arc<dyn MessageStore>, queue: Arc<dyn Queue>) -> Self {
        Self::start_within(Capacity::default(), store, queue).await
    }

    /// The same, but new mail is refused as [`SubmitError::Full`] rather than that more waits than `capacity` says.
    ///
    /// It goes by what the store has told a short while ago and by what was taken in here since; so the cap holds for
    /// one process, and for several as long as they stay a fifth of it ahead of one another. What a host keeps in a
    /// transaction of its own is counted, not refused.
    pub async fn start_within(
        capacity: Capacity,
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let watch = Arc::new(Watch::start(Arc::clone(&store), capacity).await);
        let health = Health::new(Arc::clone(&store), HealthOptions::default());
        Self {
            store,
            hints: Hints::start(queue),
            watch,
            health,
            rendering: Offload::default(),
            limits: Limits::default(),
            tenant: None,
            domains: None,
        }
    }

    /// The same outbox with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same outbox for one tenant: it submits as this tenant and sees nothing of others.
    #[must_use]
    pub fn for_tenant(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.into()), ..self.clone() }
    }

    /// The tenant it submits as; `None` sees all and submits as nobody.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The same outbox, but it takes only messages whose From address is at one of these domains: in lower case and
    /// ASCII, as [`Address::domain`](crate::domain::address::Address::domain) gives them. Subdomains are others.
    #[must_use]
    pub fn sending_for(&self, domains: Arc<[String]>) -> Self {
        Self { domains: Some(domains), ..self.clone() }
    }

    /// The limits messages are checked by.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The store's time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.watch.clock()
    }

    /// Whether mail can be taken in, which is asked of it for a supervisor.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// How much was waiting a short while ago; `None` until the store has answered for the first time.
    #[must_use]
    pub fn backlog(&self) -> Option<Backlog> {
        self.watch.backlog()
    }

    /// Accepts one message.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; nothing is kept then, unless the store went out of reach while it was asked: submit again
    /// with the same idempotency key to be sure.
    pub async fn submit(&self, draft: Draft) -> Result<Receipt, SubmitError> {
        let key = draft.idempotency_key.clone();
        let receipts = self.submit_all(vec![draft], key.as_deref()).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Unreadable("a submission without ids".into()).into())
    }

    /// Accepts several messages, each on its own. Results are in the order of the drafts.
    pub async fn submit_many(&self, drafts: Vec<Draft>) -> Vec<Result<Receipt, SubmitError>> {
        futures_util::future::join_all(drafts.into_iter().map(|draft| self.submit(draft))).await
    }

    /// Accepts several messages together or none, under one idempotency key if there is one; the keys of
    /// the drafts themselves are not looked at.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); the pointers of faults begin with the draft's index when there are several drafts.
    pub async fn submit_all(
        &self,
        drafts: Vec<Draft>,
        key: Option<&str>,
    ) -> Result<Vec<Receipt>, SubmitError> {
        let Prepared { idempotency, messages } = self.prepare_aside(drafts, key).await?;
        match (messages, idempotency) {
            (Err(SubmitError::Invalid(invalid)), Some(key)) => {
                // A repeat is not judged anew: what was scheduled may lie in the past by now.
                let ids = self.store.find_by_key(&key).await?.ok_or(invalid)?;
                Ok(ids.into_iter().map(|id| Receipt { id, replayed: true }).collect())
            }
            (messages, idempotency) => self.keep(Submission { messages: messages?, idempotency }).await,
        }
    }

    async fn keep(&self, submission: Submission) -> Result<Vec<Receipt>, SubmitError> {
        let submission = Arc::new(submission);
        let inserted = self.insert(&submission).await?;
        let (ids, replayed) = match inserted {
            Inserted::Stored => {
                self.announce(&submission);
                metrics::counter!("mailqueue_messages_accepted_total")
                    .increment(submission.messages.len() as u64);
                (submission.ids(), false)
            }
            Inserted::Replayed(ids) => (ids, true),
            Inserted::KeyReused => return Err(SubmitError::KeyReused),
        };
        Ok(ids.into_iter().map(|id| Receipt { id, replayed }).collect())
    }

    /// Has a submission kept where there is room for it.
    async fn insert(&self, submission: &Arc<Submission>) -> Result<Inserted, SubmitError> {
        let place = self.watch.room().enter(Weight::of(submission)).ok_or(SubmitError::Full)?;
        let inserted = self.store.insert(vec![Arc::clone(submission)]).await.pop();
        let inserted =
            inserted.unwrap_or_else(|| Err(StoreError::Unreadable("an insert without a result".into())));
        // Otherwise it is kept, or nobody knows.
        if matches!(
            inserted,
            Ok(Inserted::Replayed(_) | Inserted::KeyReused)
                | Err(StoreError::Overloaded(_) | StoreError::NoSpace(_) | StoreError::Refused(_))
        ) {
            place.give_up();
        }
        Ok(inserted?)
    }

    /// Tells the queue of messages that have just been committed, so that a worker takes them at once. Never waits and
    /// never fails: what the queue misses, the next sweep adds.
    pub fn announce(&self, submission: &Submission) {
        let now = self.clock().now();
        for new in
            submission.messages.iter().filter(|new| new.message.scheduled_at.is_none_or(|at| at <= now))
        {
            self.hints.give(Entry { lane: new.message.lane, due_at: now, id: new.id });
        }
    }

    /// One message with everything that is known of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn get(&self, id: MessageId) -> Result<Option<Record>, StoreError> {
        self.store.get(self.tenant.as_deref(), id).await
    }

    /// A page of messages, newest first. The filter's tenant is overruled by the outbox's.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn list(&self, mut filter: Filter) -> Result<Page, StoreError> {
        if let Some(tenant) = &self.tenant {
            filter.tenant = Some(tenant.to_string());
        }
        self.store.list(&filter).await
    }

    /// Withdraws a message that is still queued.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]
    pub async fn cancel(&self, id: MessageId) -> Result<Status, ChangeError> {
        self.change(id, Change::Cancel).await
    }

    /// Has a message that is queued, failed or unknown tried again now.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]
    pub async fn retry_now(&self, id: MessageId) -> Result<Status, ChangeError> {
        self.change(id, Change::RetryNow).await
    }

    /// Moves a message that is still queued to another time.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; a time in the past or too far ahead is [`ChangeError::Invalid`].
    pub async fn reschedule(&self, id: MessageId, at: impl Into<Schedule>) -> Result<Status, ChangeError> {
        let at = self.limits.time_of(&at.into(), self.clock().now()).map_err(|detail| {
            let pointer = "/scheduled_at".to_owned();
            ValidationError { faults: vec![FieldError { pointer, detail }] }
        })?;
        self.change(id, Change::Reschedule(at)).await
    }

    async fn change(&self, id: MessageId, change: Change) -> Result<Status, ChangeError> {
        match self.store.change(self.tenant.as_deref(), id, change).await? {
            Changed::Done { status, entry } => {
                if status.is_final() {
                    metrics::counter!("mailqueue_finished_total", "outcome" => status.as_str()).increment(1);
                }
                if status == Status::Queued && entry.due_at <= self.clock().now() {
                    self.hints.give(entry);
                }
                Ok(status)
            }
            Changed::NotAllowed(status) => Err(ChangeError::NotAllowed(status)),
            Changed::NotFound => Err(ChangeError::NotFound),
        }
    }
}

/// Why a wish was not granted. Nothing has changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChangeError {
    /// There is no such message.
    #[error("there is no such message")]
    NotFound,
    /// The message's state does not allow it.
    #[error("a message that is {0} does not allow this")]
    NotAllowed(Status),
    /// What is asked for makes no sense.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

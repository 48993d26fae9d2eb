//! Handing mail over, looking it up, and changing it.

mod admission;
mod batch;
mod change;
mod error;
mod monitor;
mod notifier;
mod permissive;
mod prepare;
mod read;
mod search;
mod submit;

use std::sync::Arc;

pub use self::admission::Capacity;
pub use self::error::{ChangeError, SubmitError};
use self::monitor::StoreMonitor;
use self::notifier::QueueNotifier;
pub use self::permissive::Part;
pub use self::search::Found;
pub use self::submit::Receipt;
use crate::contracts::queue::Queue;
use crate::contracts::store::{Backlog, MessageStore};
use crate::domain::clock::Clock;
use crate::domain::draft::Limits;
use crate::health::{Health, HealthOptions};
use crate::offload::Offload;

/// Takes mail in. Cheap to clone; all clones share one pipeline.
///
/// A submission that is answered with `Ok` is committed in the store and will end in exactly one of `sent`,
/// `failed`, `cancelled` or `unknown`, whatever crashes. Large messages are checked and rendered off the async runtime, few at
/// once; one whose submitter has stopped waiting before its turn is neither rendered nor kept.
///
/// ```
/// # async fn example(outbox: mailqueue_core::Outbox) -> Result<(), Box<dyn std::error::Error>> {
/// use mailqueue_core::Draft;
///
/// let draft = Draft::new("shop@example.com", "ana@example.org", "Your order").text("It is on its way.");
/// let receipt = outbox.for_tenant("shop").submit(draft.idempotency_key("order-42")).await?;
/// assert!(outbox.get(receipt.id).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Outbox {
    store: Arc<dyn MessageStore>,
    notifier: QueueNotifier,
    monitor: Arc<StoreMonitor>,
    health: Arc<Health>,
    rendering: Offload,
    limits: Limits,
    tenant: Option<Arc<str>>,
    domains: Option<Arc<[String]>>,
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
    /// It goes by the last count of the store and by what was taken in here since. Once that is a twentieth of the cap the
    /// count is renewed, after a rest of 20 times as long as the last one took and 30 s at most. What other processes take
    /// in until then, and what a host keeps in a transaction of its own, is counted later, not refused.
    pub async fn start_within(
        capacity: Capacity,
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let monitor = Arc::new(StoreMonitor::start(Arc::clone(&store), capacity).await);
        let health = Health::new(Arc::clone(&store), HealthOptions::default());
        Self {
            store,
            notifier: QueueNotifier::start(queue),
            monitor,
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
        self.monitor.clock()
    }

    /// The health of taking mail in, for a supervisor.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The amount that was waiting a short while ago; `None` until the store has answered for the first time.
    #[must_use]
    pub fn backlog(&self) -> Option<Backlog> {
        self.monitor.backlog()
    }
}

//! The loop that pulls, claims and hands over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mailqueue_core::deliver::{DeliverOptions, Deliverer, Job};
use mailqueue_core::sweep::{SweepOptions, Sweeper};
use mailqueue_core::{
    DeliveryPolicy, Lane, MessageId, MessageStore, Queue, Retention, StoreError, Transport,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sweeping;

/// How many messages one claim takes at most.
const CLAIM: usize = 32;

/// How long one pull waits for the queue to hold something.
const PULL_WAIT: Duration = Duration::from_secs(1);

/// Every so manieth pull serves the lanes from the other end, so that none starves.
const REVERSE_EVERY: u32 = 8;

/// How many results may wait for the store, for each message that can be sent at once.
const UNSETTLED_PER_SLOT: usize = 8;

/// Takes what is due and sends it, and sweeps. Any number of workers may share a store and a queue.
pub struct Worker {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    transport: Arc<dyn Transport>,
    deliver: DeliverOptions,
    sweep: SweepOptions,
    concurrency: usize,
}

/// Says how a [`Worker`] works.
pub struct WorkerBuilder {
    worker: Worker,
}

impl WorkerBuilder {
    /// The name in logs and in the record. Default: this host's name and the process id.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.worker.deliver.worker = name.into();
        self
    }

    /// How many messages are sent at once, at least 1. Default 32.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.worker.concurrency = concurrency.max(1);
        self
    }

    /// When to try again, and what to do about lost outcomes.
    #[must_use]
    pub fn policy(mut self, policy: DeliveryPolicy) -> Self {
        self.worker.deliver.policy = policy;
        self.worker.sweep.policy = policy;
        self
    }

    /// How long a lease holds; it is renewed every third of that. Default 60 seconds.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.worker.deliver.lease = lease;
        self
    }

    /// How often to sweep. Default every second.
    #[must_use]
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.worker.sweep.interval = interval;
        self
    }

    /// How long the store must have been answering before lost leases are reclaimed. Default 15 seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.worker.sweep.grace = grace;
        self
    }

    /// How long finished messages are kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.worker.sweep.retention = retention;
        self
    }

    /// The worker.
    #[must_use]
    pub fn build(self) -> Worker {
        self.worker
    }
}

/// Room for messages: each holds a permit to be sent until the relay has answered, and one to be written down until
/// the store has.
struct Room {
    sending: OwnedSemaphorePermit,
    unsettled: OwnedSemaphorePermit,
}

impl Room {
    fn count(&self) -> usize {
        self.sending.num_permits()
    }

    /// The room for one message.
    fn take_one(&mut self) -> Option<Self> {
        Some(Self { sending: self.sending.split(1)?, unsettled: self.unsettled.split(1)? })
    }
}

impl Worker {
    /// A worker on a store, a queue and a transport. Give it a store that gathers calls
    /// ([`Batched`](mailqueue_core::store::batched::Batched)), as `connect` does.
    #[must_use]
    pub fn builder(
        store: Arc<dyn MessageStore>,
        queue: Arc<dyn Queue>,
        transport: Arc<dyn Transport>,
    ) -> WorkerBuilder {
        let deliver = DeliverOptions { worker: default_name(), ..DeliverOptions::default() };
        let sweep = SweepOptions::default();
        WorkerBuilder { worker: Self { store, queue, transport, deliver, sweep, concurrency: 32 } }
    }

    /// Works until `shutdown` is cancelled. Then it drains: takes nothing more, lets messages past their final dot
    /// finish, gives the others back untouched, and returns when everything is written down.
    pub async fn run(self, shutdown: CancellationToken) {
        let (worker, concurrency) = (self.deliver.worker.clone(), self.concurrency);
        tracing::info!(worker, concurrency, "working");
        let sweeper = Sweeper::new(Arc::clone(&self.store), Arc::clone(&self.queue), self.sweep);
        let sweeping = tokio::spawn(sweeping::run(sweeper, self.sweep.interval, shutdown.clone()));
        let deliverer =
            Deliverer::new(Arc::clone(&self.store), Arc::clone(&self.transport), self.deliver.clone());
        let tasks = TaskTracker::new();
        self.take(&deliverer, &tasks, &shutdown).await;
        tracing::info!(worker, in_flight = tasks.len(), "draining");
        tasks.close();
        tasks.wait().await;
        self.transport.close().await;
        // It ends with the same signal; that it panicked is already in the log.
        let _ = sweeping.await;
        tracing::info!(worker, "drained");
    }

    /// Takes what there is room for, until it drains. A claim is never broken off: what it leased is handed over,
    /// and given back at once while draining.
    async fn take(&self, deliverer: &Deliverer, tasks: &TaskTracker, drain: &CancellationToken) {
        let sending = Arc::new(Semaphore::new(self.concurrency));
        let unsettled = Arc::new(Semaphore::new(self.concurrency * UNSETTLED_PER_SLOT));
        let queue_is_behind = AtomicBool::new(false);
        for turn in 1_u32.. {
            let found = async {
                self.transport.ready().await;
                let room = room(&sending, &unsettled).await?;
                let ids = self.next(turn, room.count(), &queue_is_behind).await;
                Some((room, ids))
            };
            let (mut room, ids) = tokio::select! {
                () = drain.cancelled() => return,
                found = found => match found {
                    Some(found) => found,
                    None => return,
                },
            };
            if ids.is_empty() {
                continue;
            }
            match deliverer.claim(&ids).await {
                // Others were faster; on a store that several workers read directly, give them a moment.
                Ok(jobs) if jobs.is_empty() => tokio::time::sleep(Duration::from_millis(5)).await,
                Ok(jobs) => {
                    for job in jobs {
                        let Some(room) = room.take_one() else { break };
                        tasks.spawn(deliver(deliverer.clone(), job, room, drain.clone()));
                    }
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Ids that are probably due: from the queue, or from the store itself while the queue is out of reach or holds
    /// nothing although something is due (a Redis that is full takes no entries). `is_behind` remembers the latter.
    async fn next(&self, turn: u32, most: usize, is_behind: &AtomicBool) -> Vec<MessageId> {
        let mut lanes = Lane::ALL;
        if turn.is_multiple_of(REVERSE_EVERY) {
            lanes.reverse();
        }
        let wait = if is_behind.load(Ordering::Relaxed) { Duration::ZERO } else { PULL_WAIT };
        let pulled = self.queue.pull(&lanes, most, wait).await;
        if let Ok(ids) = &pulled
            && !ids.is_empty()
        {
            is_behind.store(false, Ordering::Relaxed);
            return ids.clone();
        }
        let due = self.due(&lanes, most).await;
        is_behind.store(!due.is_empty(), Ordering::Relaxed);
        if let Err(error) = pulled
            && due.is_empty()
        {
            tracing::debug!(%error, "nothing to pull from, and nothing due");
            tokio::time::sleep(self.sweep.interval.min(PULL_WAIT)).await;
        }
        due
    }

    /// What the store says is due. Several workers read the same page, so each takes a random part of a larger one.
    async fn due(&self, lanes: &[Lane], most: usize) -> Vec<MessageId> {
        for lane in lanes {
            match self.store.due(*lane, None, most * 4).await {
                Ok(mut page) if !page.is_empty() => {
                    fastrand::shuffle(&mut page);
                    return page.into_iter().take(most).map(|entry| entry.id).collect();
                }
                Ok(_) => {}
                Err(error) => {
                    pause_after(&error).await;
                    return Vec::new();
                }
            }
        }
        Vec::new()
    }
}

async fn deliver(deliverer: Deliverer, job: Job, room: Room, drain: CancellationToken) {
    let Room { sending, unsettled } = room;
    let result = deliverer.attempt(job, &drain).await;
    drop(sending);
    deliverer.settle(result).await;
    drop(unsettled);
}

/// Room for at least one message, and for as many more as there is without waiting.
async fn room(sending: &Arc<Semaphore>, unsettled: &Arc<Semaphore>) -> Option<Room> {
    let mut sending_permit = Arc::clone(sending).acquire_owned().await.ok()?;
    let mut unsettled_permit = Arc::clone(unsettled).acquire_owned().await.ok()?;
    while sending_permit.num_permits() < CLAIM {
        let Ok(one) = Arc::clone(sending).try_acquire_owned() else { break };
        let Ok(other) = Arc::clone(unsettled).try_acquire_owned() else { break };
        sending_permit.merge(one);
        unsettled_permit.merge(other);
    }
    Some(Room { sending: sending_permit, unsettled: unsettled_permit })
}

async fn pause_after(error: &StoreError) {
    tracing::warn!(%error, "nothing can be taken");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
}

/// `host-pid`.
fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("worker").to_owned();
    format!("{host}-{}", std::process::id())
}

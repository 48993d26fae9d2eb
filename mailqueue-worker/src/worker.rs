//! The loop that pulls, claims and hands over.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::deliver::{Claim, DeliverOptions, Deliverer, Job};
use mailqueue_core::health::{Health, HealthOptions};
use mailqueue_core::sweep::{SweepOptions, Sweeper};
use mailqueue_core::{DeliveryPolicy, LaneWeights, MessageStore, Queue, Retention, StoreError, Transport};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::room::{Room, Rooms};
use crate::source::Source;
use crate::sweeping;

/// The default of [`WorkerBuilder::memory`].
pub const DEFAULT_MEMORY: u64 = 128 << 20;

/// The default of [`WorkerBuilder::concurrency`].
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Takes what is due and sends it, and sweeps. Any number of workers may share a store and a queue.
pub struct Worker {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    transport: Arc<dyn Transport>,
    deliver: DeliverOptions,
    sweep: SweepOptions,
    grace: Option<Duration>,
    health: Option<Arc<Health>>,
    concurrency: usize,
    memory: u64,
    lane_weights: LaneWeights,
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

    /// How many messages are sent at once, at least 1. Default [`DEFAULT_CONCURRENCY`].
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.worker.concurrency = concurrency.max(1);
        self
    }

    /// How much memory the messages that are being sent may take, in octets. Default [`DEFAULT_MEMORY`]. One that is larger is sent
    /// alone.
    #[must_use]
    pub fn memory(mut self, octets: u64) -> Self {
        self.worker.memory = octets;
        self
    }

    /// How the lanes share what is sent while all hold mail. Default 8 : 4 : 1.
    #[must_use]
    pub fn lane_weights(mut self, weights: LaneWeights) -> Self {
        self.worker.lane_weights = weights;
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

    /// How long the store must have been taking writes before lost leases are reclaimed. Default a quarter of the lease,
    /// and at least 2 seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.worker.grace = Some(grace);
        self
    }

    /// The health of the store, for a host that also wants to know; it overrules [`grace`](Self::grace). Default: one of
    /// its own.
    #[must_use]
    pub fn health(mut self, health: Arc<Health>) -> Self {
        self.worker.health = Some(health);
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
        let (grace, health, concurrency, memory) = (None, None, DEFAULT_CONCURRENCY, DEFAULT_MEMORY);
        let lane_weights = LaneWeights::default();
        WorkerBuilder {
            worker: Self {
                store,
                queue,
                transport,
                deliver,
                sweep,
                grace,
                health,
                concurrency,
                memory,
                lane_weights,
            },
        }
    }

    /// Works until `shutdown` is cancelled. Then it drains: takes nothing more, lets messages past their final dot
    /// finish, gives the others back untouched, and returns when everything is written down.
    pub async fn run(self, shutdown: CancellationToken) {
        let (worker, concurrency) = (self.deliver.worker.clone(), self.concurrency);
        tracing::info!(worker, concurrency, "working");
        let health = self.health.clone().unwrap_or_else(|| self.own_health());
        let watched = Arc::clone(&health);
        let _watching = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await }));
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let sweeper = Sweeper::new(store, queue, Arc::clone(&health), self.sweep);
        let sweeping = tokio::spawn(sweeping::run(sweeper, self.sweep.interval, shutdown.clone()));
        let (store, transport) = (Arc::clone(&self.store), Arc::clone(&self.transport));
        let deliverer = Deliverer::new(store, transport, health, self.deliver.clone());
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

    fn own_health(&self) -> Arc<Health> {
        let mut options = HealthOptions::for_lease(self.deliver.lease);
        options.grace = self.grace.unwrap_or(options.grace);
        Health::new(Arc::clone(&self.store), options)
    }

    /// Takes what there is room for, until it drains. A claim is never broken off: what it leased is handed over,
    /// and given back at once while draining.
    async fn take(&self, deliverer: &Deliverer, tasks: &TaskTracker, drain: &CancellationToken) {
        let rooms = Rooms::new(self.concurrency, self.memory);
        let taking = Taking { worker: self, deliverer, tasks, drain, rooms: &rooms };
        tokio::join!(taking.pulled(), taking.large());
    }
}

/// What it takes to take messages.
struct Taking<'a> {
    worker: &'a Worker,
    deliverer: &'a Deliverer,
    tasks: &'a TaskTracker,
    drain: &'a CancellationToken,
    rooms: &'a Rooms,
}

impl Taking<'_> {
    /// Takes what is pulled. What needs more memory than its share is put aside.
    async fn pulled(&self) {
        let Worker { store, queue, lane_weights, sweep, .. } = self.worker;
        let mut source = Source::new(Arc::clone(store), Arc::clone(queue), *lane_weights, sweep.interval);
        loop {
            let found = async {
                let room = self.rooms.some().await?;
                let most = self.worker.transport.ready().await.min(room.count());
                let ids = source.next(most).await;
                Some((room, ids))
            };
            let (room, ids) = tokio::select! {
                () = self.drain.cancelled() => return,
                found = found => match found {
                    Some(found) => found,
                    None => return,
                },
            };
            let ids = match ids {
                Ok(ids) if ids.is_empty() => continue,
                Ok(ids) => self.rooms.not_aside(ids),
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            if ids.is_empty() {
                // The store names them again as long as they wait.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            match self.deliverer.claim(&ids, self.rooms.share()).await {
                // Others were faster; on a store that several workers read directly, give them a moment.
                Ok(Claim { jobs, too_large }) if jobs.is_empty() && too_large.is_empty() => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(Claim { jobs, too_large }) => {
                    self.rooms.put_aside(too_large);
                    self.hand_over(jobs, room);
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Takes what was put aside, one by one, as there is memory for it. What cannot be claimed now is left to the sweep.
    async fn large(&self) {
        loop {
            let found = async {
                let message = self.rooms.next_large().await;
                self.worker.transport.ready().await;
                Some((message, self.rooms.large(message.octets).await?))
            };
            let (message, mut room) = tokio::select! {
                () = self.drain.cancelled() => return,
                found = found => match found {
                    Some(found) => found,
                    None => return,
                },
            };
            match self.deliverer.claim(&[message.id], message.octets).await {
                Ok(claim) => {
                    room.claimed();
                    self.hand_over(claim.jobs, room);
                }
                Err(error) => pause_after(&error).await,
            }
            self.rooms.forget(&message);
        }
    }

    fn hand_over(&self, jobs: Vec<Job>, mut room: Room) {
        for job in jobs {
            let Some(room) = room.take_one() else { break };
            self.tasks.spawn(deliver(self.deliverer.clone(), job, room, self.drain.clone()));
        }
    }
}

async fn deliver(deliverer: Deliverer, job: Job, room: Room, drain: CancellationToken) {
    let Room { sending, unsettled } = room;
    let result = deliverer.attempt(job, &drain).await;
    drop(sending);
    deliverer.settle(result).await;
    drop(unsettled);
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

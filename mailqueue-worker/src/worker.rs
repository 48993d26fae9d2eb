//! The worker and its builder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailqueue_core::controls::TrafficCounter;
use mailqueue_core::deliver::{DeliverOptions, Deliverer};
use mailqueue_core::health::{Health, HealthOptions};
use mailqueue_core::sweep::{SweepOptions, Sweeper};
use mailqueue_core::{Controls, DeliveryPolicy, LaneWeights, MessageStore, Queue, Retention, Transport};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::pausing::Pausing;
use crate::presence::{Presence, Present};
use crate::queue_check::QueueCheck;
use crate::run_loop::RunLoop;
use crate::slots::SlotPool;
use crate::source::Source;
use crate::sweeping;

/// The default of [`WorkerBuilder::memory`].
pub const DEFAULT_MEMORY: u64 = 128 << 20;

/// The default of [`WorkerBuilder::concurrency`].
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Sends mail that is due, and sweeps. Any number of workers may share a store and a queue.
pub struct Worker {
    store: Arc<dyn MessageStore>,
    queue: Arc<dyn Queue>,
    transport: Arc<dyn Transport>,
    controls: Option<Arc<dyn Controls>>,
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

    /// The controls beside the store: the worker obeys their pauses, reports itself, and adds its counts. Default: none.
    #[must_use]
    pub fn controls(mut self, controls: Arc<dyn Controls>) -> Self {
        self.worker.controls = Some(controls);
        self
    }

    /// The number of messages that are sent at once, at least 1. Default [`DEFAULT_CONCURRENCY`].
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.worker.concurrency = concurrency.max(1);
        self
    }

    /// The memory that the messages that are being sent may take, in octets. Default [`DEFAULT_MEMORY`]. One that is larger is sent
    /// alone.
    #[must_use]
    pub fn memory(mut self, octets: u64) -> Self {
        self.worker.memory = octets;
        self
    }

    /// The shares of the lanes in what is sent while all hold mail. Default 8 : 4 : 1.
    #[must_use]
    pub fn lane_weights(mut self, weights: LaneWeights) -> Self {
        self.worker.lane_weights = weights;
        self
    }

    /// The retries, and the treatment of lost outcomes.
    #[must_use]
    pub fn policy(mut self, policy: DeliveryPolicy) -> Self {
        self.worker.deliver.policy = policy;
        self.worker.sweep.policy = policy;
        self
    }

    /// The length of a lease; it is renewed every third of that. Default 60 seconds.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.worker.deliver.lease = lease;
        self
    }

    /// The pause between sweeps. Default every second.
    #[must_use]
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.worker.sweep.interval = interval;
        self
    }

    /// The time the store must have been taking writes before lost leases are reclaimed. Default a quarter of the lease,
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

    /// The retention of finished messages.
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
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}", folder.path().join("mail.db").display());
    /// use std::sync::Arc;
    ///
    /// use mailqueue_core::connect;
    /// use mailqueue_core::transport::memory::MemoryTransport;
    /// use mailqueue_worker::{CancellationToken, Worker};
    ///
    /// let (store, queue) = (connect::store(&url.into()).await?, connect::queue(None)?);
    /// let worker = Worker::builder(store, queue, Arc::new(MemoryTransport::new())).name("mail-1").build();
    /// let shutdown = CancellationToken::new();
    /// shutdown.cancel();
    /// worker.run(shutdown).await;
    /// # Ok(())
    /// # }
    /// ```
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
                controls: None,
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
        tracing::info!(event = "worker.started", worker, concurrency, "working");
        let health = self.health.clone().unwrap_or_else(|| self.own_health());
        let watched = Arc::clone(&health);
        // A name, since `_` alone would drop the handle and end the task at once.
        let _watching = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await }));
        let (queue_check, interval) = (Arc::<QueueCheck>::default(), self.sweep.interval);
        let sweeper = self.sweeper(Arc::clone(&health));
        let sweeping =
            tokio::spawn(sweeping::run(sweeper, interval, Arc::clone(&queue_check), shutdown.clone()));
        let (store, transport) = (Arc::clone(&self.store), Arc::clone(&self.transport));
        let (traffic, pausing) = (Arc::<TrafficCounter>::default(), Pausing::default());
        let deliverer =
            Deliverer::new(store, transport, health, self.deliver.clone()).counting(Arc::clone(&traffic));
        let tasks = TaskTracker::new();
        let present = self.appear(&pausing, traffic, &tasks, &shutdown).await;
        let run_loop = RunLoop {
            transport: Arc::clone(&self.transport),
            deliverer: &deliverer,
            tasks: &tasks,
            drain: &shutdown,
            slots: Arc::new(SlotPool::new(self.concurrency, self.memory)),
            pausing: pausing.clone(),
        };
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        run_loop.run(Source::new(store, queue, self.lane_weights, queue_check, interval, pausing)).await;
        tracing::info!(event = "worker.draining", worker, in_flight = tasks.len(), "draining");
        // A tracker that is open is waited for without end.
        tasks.close();
        tasks.wait().await;
        // After the last task, which may still use a connection.
        self.transport.close().await;
        // The sweeper ends with the same signal; a panic of it is already in the log.
        let _ = sweeping.await;
        if let Some(present) = present {
            present.leave().await;
        }
        tracing::info!(event = "worker.drained", worker, "drained");
    }

    fn sweeper(&self, health: Arc<Health>) -> Sweeper {
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let sweeper = Sweeper::new(store, queue, health, self.sweep);
        match &self.controls {
            Some(controls) => sweeper.with_controls(Arc::clone(controls)),
            None => sweeper,
        }
    }

    /// Begins to report, where there is somebody to report to, once it is known what is paused.
    async fn appear(
        &self,
        pausing: &Pausing,
        traffic: Arc<TrafficCounter>,
        tasks: &TaskTracker,
        drain: &CancellationToken,
    ) -> Option<Present> {
        let presence = Presence {
            store: Arc::clone(&self.store),
            controls: Arc::clone(self.controls.as_ref()?),
            transport: Arc::clone(&self.transport),
            pausing: pausing.clone(),
            traffic,
            tasks: tasks.clone(),
            name: self.deliver.worker.clone(),
            concurrency: self.concurrency,
            started: Instant::now(),
        };
        Some(presence.appear(drain).await)
    }

    fn own_health(&self) -> Arc<Health> {
        let mut options = HealthOptions::for_lease(self.deliver.lease);
        options.grace = self.grace.unwrap_or(options.grace);
        Health::new(Arc::clone(&self.store), options)
    }
}

/// `host-pid`.
fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("worker").to_owned();
    format!("{host}-{}", std::process::id())
}

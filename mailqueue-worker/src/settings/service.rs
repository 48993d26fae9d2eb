//! What the settings come to.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::connect::{self, ConnectError, StoreOptions};
use mailqueue_core::health::{Health, HealthOptions};
use mailqueue_core::{DeliveryPolicy, LaneWeights, MessageStore, Queue, Retention, Transport};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::faults::Faults;
use crate::logging::{self, LogFormat};
use crate::worker::{Worker, WorkerBuilder};
use crate::{metrics, signals};

/// What both binaries need to know, checked.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where messages are kept.
    pub database: SecretString,
    /// The queue; `None` is in this process.
    pub redis: Option<SecretString>,
    /// The relays, comma separated.
    pub relays: SecretString,
    /// Whether to bring tables up to date.
    pub migrate: bool,
    /// Whether the database server may lose accepted mail in a crash.
    pub allow_unsafe: bool,
    /// The queue's name.
    pub queue_name: String,
    /// How long a lease holds.
    pub lease: Duration,
    /// How often to sweep.
    pub sweep_interval: Duration,
    /// How long the store must have been taking writes before a lost lease is believed.
    pub grace: Duration,
    /// When to try again, and what about lost outcomes.
    pub policy: DeliveryPolicy,
    /// How long finished messages are kept.
    pub retention: Retention,
    /// How lanes share what is sent.
    pub lane_weights: LaneWeights,
    /// How much memory messages under way may take, in octets.
    pub memory: u64,
    /// How long to drain.
    pub shutdown_grace: Duration,
    /// What to log.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// A process that has begun.
pub struct Started {
    /// Renders what was measured.
    pub metrics: PrometheusHandle,
    /// Cancelled by the first signal.
    pub shutdown: CancellationToken,
    /// The opened parts.
    pub opened: Opened,
}

/// The opened parts.
pub struct Opened {
    /// Where messages are kept, calls gathered.
    pub store: Arc<dyn MessageStore>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The relays.
    pub transport: Arc<dyn Transport>,
    /// Whether the store takes writes.
    pub health: Arc<Health>,
}

impl Service {
    /// Whether mail is written to files: the mode that needs nothing.
    #[must_use]
    pub fn writes_files(&self) -> bool {
        connect::writes_files(&self.relays)
    }

    /// Begins as a process of its own: logs, measures, listens for signals and opens everything. `None` when a signal
    /// came before everything was open.
    ///
    /// # Errors
    ///
    /// A sentence that names the variable.
    pub async fn start(&self) -> Result<Option<Started>, String> {
        logging::start(self.log_format, &self.log).map_err(|error| format!("MAILQUEUE_LOG: {error}"))?;
        let metrics = metrics::start().map_err(|error| format!("metrics cannot be collected: {error}"))?;
        let shutdown = CancellationToken::new();
        signals::end_on_signal(shutdown.clone(), self.shutdown_grace)
            .map_err(|error| format!("signals cannot be listened for: {error}"))?;
        tokio::select! {
            opened = self.open() => {
                let opened = opened.map_err(|error| error.to_string())?;
                Ok(Some(Started { metrics, shutdown, opened }))
            }
            () = shutdown.cancelled() => Ok(None),
        }
    }

    /// Opens everything, waiting up to a minute for a database that is still starting.
    ///
    /// # Errors
    ///
    /// A sentence that names the variable.
    pub async fn open(&self) -> Result<Opened, ConnectError> {
        let transport = connect::transport(&self.relays)?;
        let queue = connect::queue(self.redis.as_ref(), &self.queue_name)?;
        let store = self.store().await?;
        let options = HealthOptions { grace: self.grace, ..HealthOptions::for_lease(self.lease) };
        let health = Health::new(Arc::clone(&store), options);
        Ok(Opened { store, queue, transport, health })
    }

    async fn store(&self) -> Result<Arc<dyn MessageStore>, ConnectError> {
        let mut tries = 0;
        loop {
            let options = StoreOptions { migrate: self.migrate, allow_unsafe: self.allow_unsafe };
            match connect::store_with(&self.database, options).await {
                Err(error) if error.may_pass() && tries < 30 => {
                    tries += 1;
                    tracing::warn!(%error, "waiting for the database");
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                result => return result,
            }
        }
    }

    /// Notes what is wrong with the URLs, without connecting anywhere.
    pub fn check(&self, faults: &mut Faults) {
        let queue = connect::queue(self.redis.as_ref(), &self.queue_name).map(|_| ());
        let transport = connect::transport(&self.relays).map(|_| ());
        for result in [connect::check_store(&self.database), queue, transport] {
            if let Err(ConnectError::Setting { name, detail }) = result {
                faults.add(name, detail);
            }
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.queue_name.is_empty() || self.queue_name.len() > 64 || !self.queue_name.chars().all(allowed) {
            faults.add("MAILQUEUE_QUEUE_NAME", "must have 1 to 64 ASCII letters, digits or -_.");
        }
    }

    /// A worker by these settings.
    #[must_use]
    pub fn worker(&self, opened: &Opened) -> WorkerBuilder {
        let (store, queue) = (Arc::clone(&opened.store), Arc::clone(&opened.queue));
        Worker::builder(store, queue, Arc::clone(&opened.transport))
            .policy(self.policy)
            .lane_weights(self.lane_weights)
            .lease(self.lease)
            .sweep_interval(self.sweep_interval)
            .health(Arc::clone(&opened.health))
            .retention(self.retention)
            .memory(self.memory)
    }
}

//! A process of a binary: its backends, metrics and signals.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::connect::{self, ConnectError, Database};
use mailqueue_core::health::{Health, HealthOptions};
use mailqueue_core::{Controls, Lane, MessageStore, Queue, Transport};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::command::Failure;
use super::settings::{ServiceSettings, SettingFault};
use super::{logging, metrics, signals};
use crate::worker::{Worker, WorkerBuilder};

/// The number of further tries to open a database that is still starting.
const STORE_RETRIES: u32 = 30;

/// The pause before each of them.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A process that has begun.
pub struct Process {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Cancelled by the first signal.
    pub shutdown: CancellationToken,
    /// The opened parts.
    pub backends: Backends,
}

/// The opened parts.
pub struct Backends {
    /// The message store; calls are gathered into batches.
    pub store: Arc<dyn MessageStore>,
    /// Pauses, workers and traffic.
    pub controls: Arc<dyn Controls>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The relays.
    pub transport: Arc<dyn Transport>,
    /// Knows if the store takes writes.
    pub health: Arc<Health>,
}

impl Process {
    /// Begins as a process of its own: logs, measures, listens for signals and opens everything. `None` when a signal
    /// came before everything was open.
    ///
    /// # Errors
    ///
    /// [`Failure`], which names the variable.
    pub async fn start(settings: &ServiceSettings) -> Result<Option<Self>, Failure> {
        logging::start(settings.log_format, &settings.log)
            .map_err(|error| format!("MAILQUEUE_LOG: {error}"))?;
        announce(settings)?;
        let metrics = metrics::start().map_err(|error| format!("metrics cannot be collected: {error}"))?;
        let shutdown = CancellationToken::new();
        // Before the backends: a process that waits for its database can be ended.
        signals::end_on_signal(shutdown.clone(), settings.shutdown_grace)
            .map_err(|error| format!("signals cannot be listened for: {error}"))?;
        tokio::select! {
            backends = Backends::open(settings) => {
                Ok(Some(Self { metrics, shutdown, backends: backends? }))
            }
            () = shutdown.cancelled() => Ok(None),
        }
    }
}

impl Backends {
    /// Opens everything, waiting up to a minute for a database that is still starting, and for no other fault.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]
    pub async fn open(settings: &ServiceSettings) -> Result<Self, ConnectError> {
        let transport = connect::transport(&settings.relays)?;
        let queue = connect::queue_with(settings.redis.as_ref(), settings.queue_options())?;
        // Last, since it may wait for a minute: a fault of the other two shows at once.
        let Database { store, controls } = open_database(settings).await?;
        let options = HealthOptions { grace: settings.grace, ..HealthOptions::for_lease(settings.lease) };
        let health = Health::new(Arc::clone(&store), options);
        tokio::spawn(warn_of_queue(Arc::clone(&queue)));
        Ok(Self { store, controls, queue, transport, health })
    }

    /// A worker by these settings. Warns of relays whose names do not resolve.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Url`] when it is to write files and the directory is not writable.
    pub fn worker(&self, settings: &ServiceSettings) -> Result<WorkerBuilder, ConnectError> {
        connect::check_directory(&settings.relays)?;
        tokio::spawn(warn_of_relays(settings.relays.clone()));
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let worker = Worker::builder(store, queue, Arc::clone(&self.transport))
            .controls(Arc::clone(&self.controls))
            .policy(settings.policy)
            .lane_weights(settings.lane_weights)
            .lease(settings.lease)
            .sweep_interval(settings.sweep_interval)
            .health(Arc::clone(&self.health))
            .retention(settings.retention)
            .memory(settings.memory);
        Ok(worker)
    }
}

/// Says what is started on what.
fn announce(settings: &ServiceSettings) -> Result<(), ConnectError> {
    let database = connect::store_name(&settings.database)?;
    let queue = connect::queue_name(settings.redis.as_ref())?;
    let relays = connect::transport_names(&settings.relays)?.join(",");
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(event = "process.started", version, database, queue, relays, "starting");
    Ok(())
}

/// Warns when the queue does not answer. Not an error: the database tells workers what is due.
async fn warn_of_queue(queue: Arc<dyn Queue>) {
    if let Err(error) = queue.depth(Lane::Normal).await {
        tracing::warn!(event = "queue.unreachable", %error, "the queue does not answer; the database is asked instead");
    }
}

/// Warns of relays that cannot be found. Not an error: names come and go, and mail waits.
async fn warn_of_relays(relays: SecretString) {
    for (relay, reason) in connect::unresolved_relays(&relays).await {
        tracing::warn!(
            event = "relay.unresolved",
            relay,
            reason,
            "the relay's name does not resolve; mail waits"
        );
    }
}

async fn open_database(settings: &ServiceSettings) -> Result<Database, ConnectError> {
    let mut tries = 0;
    loop {
        let options = settings.store_options();
        match connect::database(&settings.database, options).await {
            Err(error) if error.is_transient() && tries < STORE_RETRIES => {
                tries += 1;
                tracing::warn!(event = "store.awaited", error = %SettingFault::from(&error), "waiting for the database");
                tokio::time::sleep(STORE_RETRY_INTERVAL).await;
            }
            result => return result,
        }
    }
}

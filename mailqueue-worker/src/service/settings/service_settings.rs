//! The settings both binaries share, checked.

use std::time::Duration;

use mailqueue_core::connect::{self, QueueOptions, StoreOptions};
use mailqueue_core::{DeliveryPolicy, LaneWeights, Retention};
use secrecy::SecretString;

use super::faults::Faults;
use crate::service::logging::LogFormat;

/// The settings of a process that delivers mail, checked.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The URL of the message store.
    pub database: SecretString,
    /// The queue; `None` is in this process.
    pub redis: Option<SecretString>,
    /// The relays, comma separated.
    pub relays: SecretString,
    /// Brings tables up to date at start.
    pub migrate: bool,
    /// Accepts a database server that may lose mail in a crash.
    pub allow_unsafe: bool,
    /// The queue's name.
    pub queue_name: String,
    /// The length of a lease.
    pub lease: Duration,
    /// The pause between sweeps.
    pub sweep_interval: Duration,
    /// The time the store must have been taking writes before a lost lease is believed.
    pub grace: Duration,
    /// The retries, and the treatment of lost outcomes.
    pub policy: DeliveryPolicy,
    /// The retention of finished messages.
    pub retention: Retention,
    /// The shares of the lanes.
    pub lane_weights: LaneWeights,
    /// The memory for messages under way, in octets.
    pub memory: u64,
    /// The longest drain.
    pub shutdown_grace: Duration,
    /// The filter of log lines.
    pub log: String,
    /// The form of log lines.
    pub log_format: LogFormat,
}

impl ServiceSettings {
    /// True when mail is written to files: the mode that needs no server.
    #[must_use]
    pub fn writes_files(&self) -> bool {
        connect::writes_files(&self.relays)
    }

    /// The options of the store.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions { migrate: self.migrate, allow_unsafe: self.allow_unsafe, ..StoreOptions::default() }
    }

    /// The options of the queue.
    #[must_use]
    pub fn queue_options(&self) -> QueueOptions {
        QueueOptions { name: self.queue_name.clone() }
    }

    /// Adds the faults of the URLs, without connecting anywhere.
    pub(super) fn check(&self, faults: &mut Faults) {
        let queue = connect::queue_with(self.redis.as_ref(), self.queue_options()).map(|_| ());
        let transport = connect::transport(&self.relays).map(|_| ());
        for result in [connect::check_store(&self.database), queue, transport] {
            if let Err(error) = result {
                faults.push(error.into());
            }
        }
    }
}

//! The settings both binaries share, checked.

use std::time::Duration;

use mailqueue_core::connect::{self, ConnectError};
use mailqueue_core::{DeliveryPolicy, LaneWeights, Retention};
use secrecy::SecretString;

use super::faults::Faults;
use crate::service::logging::LogFormat;

/// The settings of a process that delivers mail, checked.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
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
    /// The retries, and the treatment of lost outcomes.
    pub policy: DeliveryPolicy,
    /// How long finished messages are kept.
    pub retention: Retention,
    /// How lanes share what is sent.
    pub lane_weights: LaneWeights,
    /// How much memory messages under way may take, in octets.
    pub memory: u64,
    /// How long to drain.
    pub shutdown_grace: Duration,
    /// The filter of log lines.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl ServiceSettings {
    /// Whether mail is written to files: the mode that needs nothing.
    #[must_use]
    pub fn writes_files(&self) -> bool {
        connect::writes_files(&self.relays)
    }

    /// Adds the faults of the URLs, without connecting anywhere.
    pub fn check(&self, faults: &mut Faults) {
        let queue = connect::queue(self.redis.as_ref(), &self.queue_name).map(|_| ());
        let transport = connect::transport(&self.relays).map(|_| ());
        for result in [connect::check_store(&self.database), queue, transport] {
            if let Err(ConnectError::Setting { name, detail }) = result {
                faults.add(name, detail);
            }
        }
    }
}

//! The settings of `mailqueue-worker` alone.

use std::net::SocketAddr;

use clap::Args;

use super::parse::{address, number, text};
use super::setting::{Setting, by};
use crate::worker::DEFAULT_CONCURRENCY;

/// The settings that only `mailqueue-worker` takes, as they are given.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// How many messages are sent at once
    #[arg(long, env = "MAILQUEUE_CONCURRENCY", default_value = DEFAULT_CONCURRENCY.to_string(), value_name = "N")]
    #[arg(value_parser = by(number(1, 10_000)))]
    pub concurrency: Setting<usize>,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "MAILQUEUE_ADMIN_LISTEN", default_value = "127.0.0.1:9091", value_name = "ADDRESS")]
    #[arg(value_parser = by(address))]
    pub admin_listen: Setting<SocketAddr>,
    /// The name in logs and in the record [default: host name and process id]
    #[arg(long, env = "MAILQUEUE_WORKER_NAME", value_name = "NAME", value_parser = by(text))]
    pub worker_name: Option<Setting<String>>,
}

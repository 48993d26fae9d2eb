//! The queue on Redis 7.0 or newer, or Valkey, shared by any number of processes.

mod breaker;
mod connections;
mod depth_cache;
mod fault;
mod keys;
mod lanes;
mod members;
mod options;
mod refusals;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::{ConnectionInfo, IntoConnectionInfo};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use self::breaker::{Breaker, Verdict};
use self::connections::Connections;
use self::fault::Fault;
use self::keys::Keys;
use self::lanes::Lanes;
pub use self::options::{RedisOpenError, RedisOptions};
use self::refusals::{Operation, Refusals};
use crate::contracts::queue::{Entry, Pulled, Queue, QueueError};
use crate::domain::lane::Lane;
use crate::uri::Uri;

/// The longest wait that Redis is asked for at a time.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A queue of one sorted set a lane; see `keys.rs` for the keys.
///
/// No call takes longer than [`RedisOptions::timeout`]; a pull adds its wait, a minute at most. After one that found
/// Redis out of reach all fail at once, until a probe (one a second, in a task of its own) is answered; so a puller
/// should pause after an error. A flush, an eviction, a restart and foreign contents cost entries, which the sweep
/// brings back, and no call: members that are no ids are removed, and so is a key of ours that is no sorted set.
///
/// A pull that is dropped while it waits closes its connection. Entries that Redis gave out in that very moment are
/// lost to the queue until the sweep finds them missing.
#[derive(Debug)]
pub struct RedisQueue {
    shared: Arc<Shared>,
}

/// The parts that a probe needs as well.
#[derive(Debug)]
struct Shared {
    lanes: Lanes,
    breaker: Breaker,
    refusals: Refusals,
    timeout: Duration,
}

impl RedisQueue {
    /// A queue on the Redis at `url` (`redis://`, `rediss://`). Connects when it is first used, so that a Redis which
    /// is down keeps nobody from starting. `rediss://` trusts the system's authorities, or those that
    /// `SSL_CERT_FILE` names.
    pub fn open(url: &SecretString, options: RedisOptions) -> Result<Self, RedisOpenError> {
        let RedisOptions { name, timeout, cap, connections } = options;
        let keys = Keys::new(&name).ok_or(RedisOpenError::Name)?;
        if timeout < Duration::from_millis(1) || connections == 0 {
            return Err(RedisOpenError::Bounds);
        }
        let to = connection_info(url)?;
        // CLIENT SETINFO is of no use to us, and a user without it would fill Redis's log of denied commands.
        let settings = to.redis_settings().clone().set_skip_set_lib_name();
        let to = to.set_redis_settings(settings);
        let connections = Connections::new(to, connections, timeout).map_err(|_| RedisOpenError::Url)?;
        let (lanes, breaker) = (Lanes::new(keys, connections, cap), Breaker::new(&name));
        let refusals = Refusals::new(&name);
        Ok(Self { shared: Arc::new(Shared { lanes, breaker, refusals, timeout }) })
    }

    /// The server and the database that a URL names, without user, password and parameters.
    ///
    /// # Errors
    ///
    /// [`RedisOpenError::Url`]
    pub fn name(url: &SecretString) -> Result<String, RedisOpenError> {
        let to = connection_info(url)?;
        Ok(format!("redis://{}/{}", to.addr(), to.redis_settings().db()))
    }

    /// Makes a call for at most `limit`, unless Redis is known to be out of reach, and counts it if it fails.
    async fn guarded<T>(
        &self,
        operation: Operation,
        limit: Duration,
        call: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, QueueError> {
        self.attempt(operation, limit, call).await.inspect_err(|_| operation.count_error())
    }

    /// Tells the breaker how it went, and the log if that has changed.
    async fn attempt<T>(
        &self,
        operation: Operation,
        limit: Duration,
        call: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, QueueError> {
        match self.shared.breaker.admit(Instant::now()) {
            Verdict::Pass => {}
            Verdict::Fail(why) => return Err(why),
            Verdict::FailAndProbe(why) => {
                let shared = self.shared.clone();
                // A task of its own, so that a caller that leaves does not take the probe with it.
                tokio::spawn(async move { shared.probe().await });
                return Err(why);
            }
        }
        // A call that is cut off here leaves its connection marked as in flight, and the pool closes it.
        let done = tokio::time::timeout(limit, call).await;
        let done = done.unwrap_or_else(|_| Err(Fault::silence(limit)));
        self.shared.judge(&done);
        self.shared.refusals.note(operation, &done);
        Ok(done?)
    }
}

/// Redis's own errors are dropped, for they may quote the URL.
fn connection_info(url: &SecretString) -> Result<ConnectionInfo, RedisOpenError> {
    let to = Uri::parse(url.expose_secret()).map_err(|_| RedisOpenError::Url)?.to_string();
    to.into_connection_info().map_err(|_| RedisOpenError::Url)
}

impl Shared {
    /// Closes the breaker if Redis answers.
    async fn probe(&self) {
        let answer = tokio::time::timeout(self.timeout, self.lanes.probe()).await;
        self.judge(&answer.unwrap_or_else(|_| Err(Fault::silence(self.timeout))));
    }

    /// Tells the breaker how an exchange went.
    fn judge<T>(&self, done: &Result<T, Fault>) {
        match done {
            Err(fault) if fault.opens_breaker() => {
                // Once an outage: connections that are made later are not distrusted for it.
                if self.breaker.failed(fault, Instant::now()) {
                    self.lanes.discard_connections();
                }
            }
            // A refusal is an answer too.
            Ok(_) | Err(_) => self.breaker.answered(),
        }
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, entries: &[Entry]) -> Result<u64, QueueError> {
        if entries.is_empty() {
            return Ok(0);
        }
        self.guarded(Operation::Push, self.shared.timeout, self.shared.lanes.push(entries)).await
    }

    async fn pull(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Pulled, QueueError> {
        if lanes.is_empty() {
            return Ok(Pulled::default());
        }
        let wait = wait.min(MAX_WAIT);
        self.guarded(Operation::Pull, wait + self.shared.timeout, self.shared.lanes.pull(lanes, most, wait))
            .await
    }

    async fn head(&self, lane: Lane) -> Result<Option<OffsetDateTime>, QueueError> {
        self.guarded(Operation::Head, self.shared.timeout, self.shared.lanes.head(lane)).await
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        self.guarded(Operation::Depth, self.shared.timeout, self.shared.lanes.depth(lane)).await
    }
}

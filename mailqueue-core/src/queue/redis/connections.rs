//! Connections to Redis: a pool for calls that return at once, and single ones for pulls that wait.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bb8_redis::bb8::{ManageConnection, Pool, PooledConnection, RunError};
use bb8_redis::{RedisConnectionManager, redis};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, Pipeline, RedisError,
};
use tokio::sync::watch;

use super::fault::Fault;

/// The number of idle connections that are kept for pulls.
const MAX_IDLE_READERS: usize = 32;

/// For how long an answer shows that a connection works.
const TRUSTED: Duration = Duration::from_secs(1);

/// All connections of a queue. One on which an exchange failed or was given up is closed, never used again.
pub(super) struct Connections {
    pool: Pool<Pooling>,
    client: Client,
    readers: Mutex<Vec<MultiplexedConnection>>,
    /// Grows when Redis is given up; what was connected before is not trusted afterwards.
    generation: Arc<AtomicU64>,
    /// The last reason why the pool could not connect, which the pool itself does not hand out.
    failures: watch::Receiver<Option<Fault>>,
    timeout: Duration,
}

impl fmt::Debug for Connections {
    // Written out: the parts hold the URL's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A connection on which one pull waits at a time.
pub(super) struct Reader {
    connection: MultiplexedConnection,
    generation: u64,
}

impl Connections {
    /// Connections to be made when they are needed; nothing is connected yet.
    pub(super) fn new(to: ConnectionInfo, most: u32, timeout: Duration) -> Result<Self, RedisError> {
        if matches!(to.addr(), ConnectionAddr::TcpTls { .. }) {
            install_tls_provider();
        }
        let client = Client::open(to.clone())?;
        let generation = Arc::new(AtomicU64::new(0));
        let (failed, failures) = watch::channel(None);
        let manager = Pooling {
            inner: RedisConnectionManager::new(to)?,
            generation: generation.clone(),
            failed,
            timeout,
        };
        let pool = Pool::builder()
            .max_size(most)
            .connection_timeout(timeout)
            // A failed attempt is reported to who waits; the breaker decides about the next.
            .retry_connection(false)
            // No reaper: a check at every checkout finds what has died.
            .max_lifetime(None)
            .idle_timeout(None)
            .build_unchecked(manager);
        Ok(Self { pool, client, readers: Mutex::default(), generation, failures, timeout })
    }

    /// Sends commands that return at once over the pool; again if the connection may have ended since its last answer, so
    /// they must be such as may be repeated. The caller bounds the time.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, Fault> {
        loop {
            let mut pooled = self.checkout().await?;
            match pooled.ask(question).await {
                // Comes to an end: this connection is closed, and one that has served nobody yet is not trusted.
                Err(Fault::OutOfReach(_)) if pooled.is_trusted => {}
                answer => return answer,
            }
        }
    }

    async fn checkout(&self) -> Result<PooledConnection<'_, Pooling>, Fault> {
        let mut failures = self.failures.clone();
        // An older failure says nothing of this attempt.
        failures.mark_unchanged();
        tokio::select! {
            // The pool comes first: a connection wins over the failure of another attempt.
            biased;
            pooled = self.pool.get() => match pooled {
                Ok(pooled) => Ok(pooled),
                Err(RunError::User(fault)) => Err(fault),
                Err(RunError::TimedOut) => Err(Fault::silence(self.timeout)),
            },
            Ok(()) = failures.changed() => {
                Err(failures.borrow().clone().unwrap_or_else(|| Fault::silence(self.timeout)))
            }
        }
    }

    /// A kept reader, if there is any.
    pub(super) fn kept_reader(&self) -> Option<Reader> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: those in there are of this generation, for giving up empties it.
        let generation = self.generation.load(Ordering::Acquire);
        readers.pop().map(|connection| Reader { connection, generation })
    }

    /// A new reader, or a fault within the timeout.
    pub(super) async fn new_reader(&self) -> Result<Reader, Fault> {
        // Read before connecting: a connection that was begun before an outage counts as old.
        let generation = self.generation.load(Ordering::Acquire);
        // The server decides how long a read takes; whoever reads has a deadline of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let connection = connected.map_err(|_| Fault::silence(self.timeout))??;
        Ok(Reader { connection, generation })
    }

    /// Reads with `command`, however long it takes, and keeps the reader if the answer is good. When this future
    /// is dropped the connection closes, and Redis forgets that somebody waited.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        mut reader: Reader,
        command: &Cmd,
    ) -> Result<T, Fault> {
        let answer = command.query_async(&mut reader.connection).await?;
        self.keep(reader);
        Ok(answer)
    }

    /// Keeps a reader, unless there are enough or Redis was given up since it connected.
    fn keep(&self, reader: Reader) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.generation == self.generation.load(Ordering::Acquire) && readers.len() < MAX_IDLE_READERS {
            readers.push(reader.connection);
        }
    }

    /// Closes all connections that are idle, and those in use when they come back.
    pub(super) fn discard_all(&self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that `keep` cannot add a reader of the old generation after the clearing.
        self.generation.fetch_add(1, Ordering::AcqRel);
        readers.clear();
    }
}

/// Makes the pool's connections: bb8-redis's connections, with a memory of exchanges that were not finished.
struct Pooling {
    inner: RedisConnectionManager,
    generation: Arc<AtomicU64>,
    failed: watch::Sender<Option<Fault>>,
    timeout: Duration,
}

struct Pooled {
    connection: MultiplexedConnection,
    generation: u64,
    in_flight: bool,
    /// The time of its last answer.
    answered: Instant,
    /// It has answered a command. The questions of its opening tell less: a server that is out of service for commands
    /// answers those too.
    has_served: bool,
    /// It was given out without a question, and has served before.
    is_trusted: bool,
}

impl Pooled {
    async fn ask<T: FromRedisValue>(&mut self, question: &Pipeline) -> Result<T, Fault> {
        // Left standing when the answer is bad or this future is dropped before it has come.
        self.in_flight = true;
        let answer = question.query_async(&mut self.connection).await?;
        (self.in_flight, self.answered, self.has_served) = (false, Instant::now(), true);
        Ok(answer)
    }
}

impl Pooling {
    /// Asks as well, for a server that accepts connections and then wants a password or is still loading would fail
    /// the pool's check, and the pool would connect anew without end.
    async fn connect_and_ask(&self) -> Result<MultiplexedConnection, Fault> {
        let mut connection = self.inner.connect().await?;
        self.inner.is_valid(&mut connection).await?;
        Ok(connection)
    }
}

impl ManageConnection for Pooling {
    type Connection = Pooled;
    type Error = Fault;

    async fn connect(&self) -> Result<Pooled, Fault> {
        let generation = self.generation.load(Ordering::Acquire);
        let connected = tokio::time::timeout(self.timeout, self.connect_and_ask()).await;
        let connected = connected.unwrap_or_else(|_| Err(Fault::silence(self.timeout)));
        let mut connection = connected.inspect_err(|fault| {
            self.failed.send_replace(Some(fault.clone()));
        })?;
        // bb8-redis leaves it at 500 ms, whatever the timeout.
        connection.set_response_timeout(self.timeout);
        let (in_flight, has_served, is_trusted) = (false, false, false);
        Ok(Pooled { connection, generation, in_flight, answered: Instant::now(), has_served, is_trusted })
    }

    async fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Fault> {
        // No question to a connection from before Redis was given up: in a black hole it would cost the timeout.
        if self.has_broken(pooled) {
            return Err(Fault::OutOfReach("the connection is from before".into()));
        }
        // One that has just answered is not asked: that would cost each call a round trip. New connections come here too.
        let has_just_answered = pooled.answered.elapsed() < TRUSTED;
        pooled.is_trusted = has_just_answered && pooled.has_served;
        if !has_just_answered {
            pooled.in_flight = true;
            self.inner.is_valid(&mut pooled.connection).await?;
            pooled.in_flight = false;
        }
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.in_flight || pooled.generation != self.generation.load(Ordering::Acquire)
    }
}

/// `rediss://` needs a process-wide choice of cryptography; it is ring's unless the host has chosen already.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error says that another thread was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

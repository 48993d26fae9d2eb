//! A pool of connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{PostgresOptions, Target};
use super::error;
use super::session::Session;
use crate::contracts::store::StoreError;

/// Connections, opened when they are asked for. It starts empty and mends itself after any outage; a connection whose
/// server is going or takes no writes is closed, and so are all that were opened before that was known.
#[derive(Clone)]
pub(super) struct Pool {
    connections: bb8::Pool<Opener>,
    last_fault: LastFault,
    /// The connections that new mail may still take.
    for_new_mail: Arc<Semaphore>,
    timeout: Duration,
}

impl Pool {
    pub(super) async fn new(target: Target, options: &PostgresOptions) -> Result<Self, StoreError> {
        let last_fault = LastFault::default();
        let connections = bb8::Pool::builder()
            .max_size(options.connections)
            // The one used last: it is the most likely to be alive, and its server process has its data at hand.
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .connection_timeout(options.connection_timeout)
            // bb8 tries again until its timeout and then gives no reason; the sink keeps it.
            .error_sink(Box::new(last_fault.clone()))
            .build(Opener { target })
            .await?;
        let half = (options.connections / 2).max(1);
        let for_new_mail = Arc::new(Semaphore::new(half as usize));
        Ok(Self { connections, last_fault, for_new_mail, timeout: options.connection_timeout })
    }

    /// A share in the half of the connections that new mail may hold, to be taken before the connection and kept as
    /// long. On a disk that stalls, a commit holds its connection long after its caller has gone; the other half is
    /// for the results of what is being sent.
    pub(super) async fn share_for_new_mail(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let share = tokio::time::timeout(self.timeout, Arc::clone(&self.for_new_mail).acquire_owned()).await;
        // The semaphore is never closed, so all that fails is to have a share in time.
        share.ok().and_then(Result::ok).ok_or_else(|| {
            StoreError::Overloaded("inserts under way hold all the connections for new mail".into())
        })
    }

    /// A connection, or why there is none.
    pub(super) async fn get(&self) -> Result<impl std::ops::DerefMut<Target = Session> + '_, StoreError> {
        self.connections.get().await.map_err(|error| match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => self
                .last_fault
                .recent()
                .unwrap_or_else(|| StoreError::Unavailable("no connection came up in time".into())),
        })
    }
}

/// For how long an answer shows that a connection works. An end that the server tells of is seen at once all the same.
/// Longer than the time between two sweeps, so that a process with nothing to do asks nothing besides.
const TRUSTED: Duration = Duration::from_secs(5);

/// Opens and judges connections.
struct Opener {
    target: Target,
}

impl bb8::ManageConnection for Opener {
    type Connection = Session;
    type Error = StoreError;

    async fn connect(&self) -> Result<Session, StoreError> {
        self.target.connect().await
    }

    async fn is_valid(&self, session: &mut Session) -> Result<(), StoreError> {
        // Checked first: a question over a dead connection could cost the whole timeout.
        if session.is_broken() {
            return Err(StoreError::Unavailable("the connection has ended".into()));
        }
        // One that has just answered is not asked: that would cost each statement a round trip.
        if session.was_idle_for(TRUSTED) {
            session.check().await.map_err(error::outcome)?;
        }
        Ok(())
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_broken()
    }
}

/// For how long a fault explains why there is no connection.
const FRESH: Duration = Duration::from_secs(10);

/// Why the last connection failed. It is logged at most once a second however many callers wait.
#[derive(Debug, Clone, Default)]
struct LastFault(Arc<Mutex<Fault>>);

#[derive(Debug, Default)]
struct Fault {
    error: Option<(Instant, StoreError)>,
    logged: Option<Instant>,
}

impl LastFault {
    fn lock(&self) -> MutexGuard<'_, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> Option<StoreError> {
        let fault = self.lock();
        fault.error.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, error)| error.clone())
    }
}

impl bb8::ErrorSink<StoreError> for LastFault {
    fn sink(&self, error: StoreError) {
        let mut fault = self.lock();
        let now = Instant::now();
        if fault.logged.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1)) {
            fault.logged = Some(now);
            tracing::warn!(event = "store.unreachable", %error, "cannot connect to Postgres");
        }
        fault.error = Some((now, error));
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<StoreError>> {
        Box::new(self.clone())
    }
}

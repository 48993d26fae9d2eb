//! Connections that wait for the next message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::session::Session;
use super::stream::Stream;
use super::wire::Readable;

/// The number of messages that a connection carries. Servers close connections that live for ever.
const MAX_MESSAGES: u32 = 100;

/// The number of refusals that a connection may see. Postfix begins to stall at 10 and hangs up at 20.
const MAX_REFUSALS: u32 = 10;

/// Idle connections of one relay, the last used on top. Each belongs either to the pool or to one message.
#[derive(Debug)]
pub(super) struct Pool {
    kept: Mutex<Kept>,
    idle: Duration,
    relay: String,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: Vec<Idle>,
    /// Set while a task closes connections that are idle for too long.
    expiring: bool,
}

#[derive(Debug)]
struct Idle {
    session: Session<Stream>,
    until: Instant,
}

impl Pool {
    pub(super) fn new(relay: String, idle: Duration) -> Self {
        Self { kept: Mutex::default(), idle, relay }
    }

    /// A connection on which nothing has happened since it was put in, if there is one.
    pub(super) async fn take(&self) -> Option<Session<Stream>> {
        loop {
            // Frees the lock in this line, so that nobody waits for it while a socket is looked at.
            let Idle { mut session, until } = self.kept().sessions.pop()?;
            if until <= Instant::now() {
                close(session);
                continue;
            }
            match session.wire.readable().await {
                Readable::Quiet => return Some(session),
                Readable::Octets => self.note_intrusion(session).await,
                Readable::Gone => {
                    tracing::debug!(event = "relay.connection_closed", relay = %self.relay, "an idle connection was closed by the relay")
                }
            }
        }
    }

    /// Octets on an idle connection answer nothing, so it must never be read by a message. Most servers say 421
    /// when they close; anything else is told.
    async fn note_intrusion(&self, mut session: Session<Stream>) {
        // A deadline of now reads what has arrived and waits for nothing.
        let code = session.wire.reply(Instant::now()).await.ok().map(|answer| answer.code);
        if code == Some(421) {
            tracing::debug!(event = "relay.connection_closed", relay = %self.relay, code, "an idle connection was closed by the relay");
        } else {
            tracing::warn!(event = "relay.connection_closed", relay = %self.relay, code, "the relay spoke out of turn on an idle connection, closed");
        }
    }

    /// Keeps a connection on which nothing is outstanding, or takes leave if it has done its work.
    pub(super) fn put(self: &Arc<Self>, mut session: Session<Stream>) {
        if session.messages >= MAX_MESSAGES || session.refusals >= MAX_REFUSALS {
            close(session);
            return;
        }
        session.kept = true;
        let mut kept = self.kept();
        kept.sessions.push(Idle { session, until: Instant::now() + self.idle });
        if !kept.expiring {
            kept.expiring = true;
            // Weak, so that the task keeps no dropped pool alive.
            tokio::spawn(expire_idle(Arc::downgrade(self)));
        }
    }

    /// Takes leave on every idle connection; returns when that is done, at most two seconds later.
    pub(super) async fn close(&self) {
        let sessions = std::mem::take(&mut self.kept().sessions);
        futures_util::future::join_all(sessions.into_iter().map(|idle| idle.session.quit())).await;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what has been idle for too long; also, when the next one will have been, or `None` when none is left.
    fn expire(&self) -> (Vec<Session<Stream>>, Option<Instant>) {
        let (mut kept, now) = (self.kept(), Instant::now());
        // They were put in one after the other, so the oldest come first.
        let expired = kept.sessions.iter().take_while(|idle| idle.until <= now).count();
        let expired = kept.sessions.drain(..expired).map(|idle| idle.session).collect();
        let next = kept.sessions.first().map(|idle| idle.until);
        // Set under the lock that `put` takes, so that no connection slips in as the task ends.
        kept.expiring = next.is_some();
        (expired, next)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.kept().sessions.drain(..).for_each(|idle| close(idle.session));
    }
}

/// Closes connections when their time has come, as long as there are any.
async fn expire_idle(pool: Weak<Pool>) {
    while let Some(found) = pool.upgrade() {
        let (expired, next) = found.expire();
        // Let go before the sleep, or a dropped pool would live on until its end.
        drop(found);
        expired.into_iter().for_each(close);
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}

/// Closes a connection without making anybody wait for it.
fn close(session: Session<Stream>) {
    // Without a runtime, as at the end of a program, the socket closes without a QUIT.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(session.quit());
    }
}

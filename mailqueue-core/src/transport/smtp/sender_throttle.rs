//! Senders with whom a relay asked for patience.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Permit};
use super::breaker_state::{Health, Unavailable};
use super::timeouts::Timeouts;
use crate::domain::report::Reply;

/// The number of senders that are kept in mind.
const MAX_KNOWN: usize = 10_000;

/// The time after which a sender that sends nothing is forgotten.
const KNOWN_TIMEOUT: Duration = Duration::from_mins(10);

/// Lets through fewer messages of senders with whom the relay asked for patience: a breaker for each of them, as the
/// relay has one for all. Nothing is kept of the others.
#[derive(Debug)]
pub(super) struct SenderThrottle {
    known: Mutex<HashMap<String, Known>>,
    cap: usize,
    slope: u32,
    timeouts: Timeouts,
}

#[derive(Debug)]
struct Known {
    breaker: Arc<Breaker>,
    /// The last reply of the relay.
    reply: Reply,
    used: Instant,
}

/// The reason why a message has to wait.
#[derive(Debug)]
pub(super) struct Limited {
    pub(super) reply: Reply,
    pub(super) rest: Duration,
}

impl SenderThrottle {
    pub(super) fn new(cap: usize, slope: u32, timeouts: Timeouts) -> Self {
        Self { known: Mutex::default(), cap, slope, timeouts }
    }

    /// Lets a message of `sender` through, or says why not. `None`: there is nothing known against it.
    pub(super) fn enter(&self, sender: &str) -> Result<Option<Permit>, Limited> {
        let mut known = self.known();
        let Some(found) = known.get_mut(sender) else { return Ok(None) };
        found.used = Instant::now();
        found.breaker.try_enter().map(Some).map_err(|unavailable| {
            let rest = match unavailable {
                Unavailable::Open(rest) => rest,
                Unavailable::Busy => self.timeouts.backoff_first,
            };
            Limited { reply: found.reply.clone(), rest }
        })
    }

    /// Notes that the relay answered an ordinary message of `sender` in the ordinary way.
    pub(super) fn record_success(&self, sender: &str, permit: Option<Permit>) {
        let Some(permit) = permit else { return };
        permit.finish(Health::Well);
        let mut known = self.known();
        // Forgets a sender whose limit is whole again, because it would let everything through anyway.
        if known.get(sender).is_some_and(|found| found.breaker.room() == usize::MAX) {
            known.remove(sender);
        }
    }

    /// Notes that the relay asked for patience with `sender`: by name (`Faulty`), or with a message of it (`Broken`), of
    /// which it takes a few in a row to mean the sender.
    pub(super) fn throttled(&self, sender: &str, permit: Option<Permit>, health: Health, reply: Reply) {
        // A message from before the sender was known enters late, so that its result counts too.
        let entered = permit.or_else(|| self.remember(sender, &reply)?.try_enter().ok());
        if let Some(permit) = entered {
            permit.finish(health);
        }
    }

    fn remember(&self, sender: &str, reply: &Reply) -> Option<Arc<Breaker>> {
        let (mut known, now) = (self.known(), Instant::now());
        // Cleans up only when full, because it looks at every entry.
        if known.len() >= MAX_KNOWN {
            known.retain(|_, found| now - found.used < KNOWN_TIMEOUT);
        }
        if known.len() >= MAX_KNOWN && !known.contains_key(sender) {
            // Leaves a new sender unlimited rather than forget a limit that is in force.
            return None;
        }
        let found = known.entry(sender.to_owned()).or_insert_with(|| {
            let (first, cap) = (self.timeouts.backoff_first, self.timeouts.backoff_cap);
            let breaker = Arc::new(Breaker::new(self.cap, self.slope, first, cap));
            Known { breaker, reply: reply.clone(), used: now }
        });
        found.reply = reply.clone();
        Some(Arc::clone(&found.breaker))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        Reply::new(Some(450), "4.7.1 too much mail from you")
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_waits_and_is_forgotten_once_all_is_well() {
        let senders = SenderThrottle::new(3, 1000, Timeouts::default());
        assert!(senders.enter("a@x").unwrap().is_none());
        senders.throttled("a@x", None, Health::Faulty, reply());
        assert_eq!(senders.enter("a@x").unwrap_err().reply, reply());
        assert!(senders.enter("b@x").unwrap().is_none(), "others are not concerned");
        tokio::time::advance(Duration::from_secs(2)).await;
        let probe = senders.enter("a@x").unwrap();
        assert!(probe.is_some() && senders.enter("a@x").is_err(), "one tries");
        senders.record_success("a@x", probe);
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(2)).await;
            let permit = senders.enter("a@x").unwrap();
            senders.record_success("a@x", permit);
        }
        assert!(senders.known().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_some_messages_in_a_row_to_mean_the_sender() {
        let senders = SenderThrottle::new(32, 2, Timeouts::default());
        for _ in 0..2 {
            let permit = senders.enter("a@x").unwrap();
            senders.throttled("a@x", permit, Health::Broken, reply());
        }
        let permit = senders.enter("a@x").unwrap();
        senders.throttled("a@x", permit, Health::Broken, reply());
        assert!(senders.enter("a@x").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_known_senders_is_bounded() {
        let senders = SenderThrottle::new(32, 2, Timeouts::default());
        for n in 0..MAX_KNOWN + 100 {
            senders.throttled(&format!("{n}@x"), None, Health::Faulty, reply());
        }
        assert_eq!(senders.known().len(), MAX_KNOWN);
        tokio::time::advance(KNOWN_TIMEOUT).await;
        senders.throttled("new@x", None, Health::Faulty, reply());
        assert_eq!(senders.known().len(), 1);
    }
}

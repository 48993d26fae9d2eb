//! Keeps callers from waiting, one after the other, for a Redis that does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::contracts::queue::QueueError;

/// The time for which a Redis that failed is left alone.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Closed while Redis answers. Open after a failure: calls then fail at once, and once a second one of them starts
/// a probe, which it does not wait for; the probe's success closes the breaker. Only changes are logged.
#[derive(Debug)]
pub(super) struct Breaker {
    queue: String,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    why: QueueError,
    probe_at: Instant,
}

/// The answer of the breaker to a call.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Go on.
    Pass,
    /// Fail with this.
    Fail(QueueError),
    /// Fail with this, and start a probe.
    FailAndProbe(QueueError),
}

impl Breaker {
    /// A closed breaker for the queue of this name.
    pub(super) fn new(queue: &str) -> Self {
        Self { queue: queue.to_owned(), open: Mutex::new(None) }
    }

    /// Decides if a call may go on. Asks for a probe when it is time for one, at most once a pause: were it lost, the
    /// next one would be due all the same.
    pub(super) fn admit(&self, now: Instant) -> Verdict {
        match self.open().as_mut() {
            None => Verdict::Pass,
            Some(open) if now < open.probe_at => Verdict::Fail(open.why.clone()),
            Some(open) => {
                // Moved on before the probe has ended, so that one caller in each interval starts one.
                open.probe_at = now + PROBE_INTERVAL;
                Verdict::FailAndProbe(open.why.clone())
            }
        }
    }

    /// Takes note that a call or a probe failed; true when this opened the breaker.
    pub(super) fn failed(&self, fault: &Fault, now: Instant) -> bool {
        let why = QueueError::from(fault.clone());
        let mut open = self.open();
        let opened = open.is_none();
        if opened {
            tracing::warn!(event = "queue.breaker", queue = %self.queue, error = %why, "Redis is left alone until it answers again");
        }
        // Overwrites an open one as well, so that callers get the newest reason.
        *open = Some(Open { why, probe_at: now + PROBE_INTERVAL });
        opened
    }

    /// Takes note that Redis answered.
    pub(super) fn answered(&self) {
        if self.open().take().is_some() {
            tracing::info!(event = "queue.recovered", queue = %self.queue, "Redis answers again");
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        Fault::OutOfReach("gone".into())
    }

    #[test]
    fn a_failure_opens_and_an_answer_closes() {
        let (breaker, now) = (Breaker::new("test"), Instant::now());
        assert!(matches!(breaker.admit(now), Verdict::Pass));
        assert!(breaker.failed(&fault(), now), "the first failure opens it");
        assert!(!breaker.failed(&fault(), now), "it is open already");
        assert!(matches!(breaker.admit(now), Verdict::Fail(_)));
        breaker.answered();
        assert!(matches!(breaker.admit(now), Verdict::Pass));
    }

    #[test]
    fn one_probe_a_pause_is_asked_for() {
        let (breaker, begun) = (Breaker::new("test"), Instant::now());
        breaker.failed(&fault(), begun);
        for round in 1..4 {
            let now = begun + round * PROBE_INTERVAL;
            assert!(matches!(breaker.admit(now), Verdict::FailAndProbe(_)));
            assert!(matches!(breaker.admit(now), Verdict::Fail(_)));
        }
    }
}

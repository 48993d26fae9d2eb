//! The cap on waiting messages, and the admission of new ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::contracts::store::{Backlog, Submission};

/// The number of messages that are counted where there is no cap to count up to.
const DEFAULT_COUNT: u64 = 100_000;

/// The amount of mail that may wait to be sent. An outbox takes new mail while less than four fifths of it are waiting; the rest is
/// for what other processes take in at the same moment and for what comes back to be tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Messages that are queued, due or not. `None`: any number.
    pub messages: Option<u64>,
    /// Their size as they will be sent, in octets. `None`: any.
    pub octets: Option<u64>,
}

impl Capacity {
    /// The number of waiting messages that have to be counted to decide on an admission.
    fn counted(self) -> u64 {
        match (self.messages, self.octets) {
            (Some(messages), _) => messages.max(DEFAULT_COUNT),
            (None, Some(_)) => u64::MAX,
            (None, None) => DEFAULT_COUNT,
        }
    }

    /// True if so much is within `twentieths` of it.
    fn holds(self, load: Load, twentieths: u64) -> bool {
        let fits = |cap: Option<u64>, load: u64| {
            // Divides first, because a cap near the largest number times sixteen would overflow.
            cap.is_none_or(|cap| load <= cap / 20 * twentieths + cap % 20 * twentieths / 20)
        };
        fits(self.messages, load.messages) && fits(self.octets, load.octets)
    }
}

/// The part of the capacity that new mail may fill, in twentieths.
const FOR_NEW_MAIL: u64 = 16;

/// The part that is taken in on the word of one count, in twentieths. Four processes that each know nothing of what the
/// others take in do not fill more than the rest.
const ON_ONE_COUNT: u64 = 1;

/// An amount of mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    messages: u64,
    octets: u64,
}

impl Load {
    pub(super) fn of(submission: &Submission) -> Self {
        Self { messages: submission.messages.len() as u64, octets: submission.size() as u64 }
    }

    fn and(self, other: Self) -> Self {
        let messages = self.messages.saturating_add(other.messages);
        Self { messages, octets: self.octets.saturating_add(other.octets) }
    }

    fn less(self, other: Self) -> Self {
        let messages = self.messages.saturating_sub(other.messages);
        Self { messages, octets: self.octets.saturating_sub(other.octets) }
    }
}

/// Knows an upper bound of the waiting mail without asking the store for every message: its last count, and the load
/// that was taken in here since.
pub(super) struct Admission {
    capacity: Capacity,
    level: Mutex<Level>,
    /// Wakes the monitor: a fresh count is wanted.
    wanted: Notify,
}

#[derive(Default)]
struct Level {
    /// The store's last count.
    counted: Load,
    /// The load that was taken in since that count was asked for.
    added: Load,
    /// The part of it that had been taken in when the question that is under way was put.
    added_before_count: Load,
    /// The load that is being taken in right now.
    in_flight: Load,
    /// True if the log has it since the last count that new mail is refused.
    is_logged: bool,
}

impl Level {
    fn sum(&self) -> Load {
        self.counted.and(self.added).and(self.in_flight)
    }
}

impl Admission {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, level: Mutex::default(), wanted: Notify::new() }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reservation for some messages; `None` while too much is waiting.
    pub(super) fn try_reserve(self: &Arc<Self>, load: Load) -> Option<Reservation> {
        let mut level = self.level();
        let is_admitted = self.capacity.holds(level.sum().and(load), FOR_NEW_MAIL);
        // Mail that was sent in the meantime still counts here, and what others took in does not yet.
        if !is_admitted || !self.capacity.holds(level.added, ON_ONE_COUNT) {
            self.wanted.notify_one();
        }
        if !is_admitted {
            if !std::mem::replace(&mut level.is_logged, true) {
                let Load { messages, octets } = level.sum();
                tracing::warn!(
                    event = "outbox.full",
                    messages,
                    octets,
                    "new mail is refused: too much is waiting to be sent"
                );
            }
            return None;
        }
        level.in_flight = level.in_flight.and(load);
        Some(Reservation { admission: Arc::clone(self), load, kept: true })
    }

    /// Ends when a fresh count is wanted.
    pub(super) async fn count_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Notes that the store is being asked, and says up to how many messages it has to count.
    pub(super) fn begin_count(&self) -> u64 {
        let mut level = self.level();
        // Leaves out what is in flight: nobody knows whether the count will contain it.
        level.added_before_count = level.added;
        self.capacity.counted()
    }

    /// Takes over a count of the store.
    pub(super) fn apply_count(&self, backlog: &Backlog) {
        let mut level = self.level();
        level.counted = Load { messages: backlog.queued, octets: backlog.octets };
        // Keeps what came in after the question, because the count may lack it.
        level.added = level.added.less(level.added_before_count);
        level.added_before_count = Load::default();
        level.is_logged = false;
    }
}

/// A share of the capacity for a submission that is being kept. It counts as waiting until the store has told otherwise,
/// unless it was released.
pub(super) struct Reservation {
    admission: Arc<Admission>,
    load: Load,
    kept: bool,
}

impl Reservation {
    /// Gives the share back: the submission was certainly not kept.
    pub(super) fn release(mut self) {
        self.kept = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut level = self.admission.level();
        level.in_flight = level.in_flight.less(self.load);
        if self.kept {
            level.added = level.added.and(self.load);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn admission(messages: u64) -> Arc<Admission> {
        Arc::new(Admission::new(Capacity { messages: Some(messages), octets: None }))
    }

    fn told(queued: u64) -> Backlog {
        let now = time::OffsetDateTime::UNIX_EPOCH;
        Backlog { now, queued, octets: 0, sending: 0, oldest_due: None }
    }

    fn submission(octets: u64) -> Load {
        Load { messages: 1, octets }
    }

    /// Takes in single messages until none is admitted.
    fn fill(admission: &Arc<Admission>) -> usize {
        std::iter::from_fn(|| admission.try_reserve(submission(10))).count()
    }

    #[test]
    fn mail_is_admitted_up_to_four_fifths() {
        for (capacity, reservations) in [
            (Capacity { messages: Some(10), octets: None }, 8),
            (Capacity { messages: Some(1), octets: None }, 0),
            (Capacity { messages: None, octets: Some(100) }, 8),
            (Capacity { messages: Some(10), octets: Some(50) }, 4),
        ] {
            assert_eq!(fill(&Arc::new(Admission::new(capacity))), reservations, "{capacity:?}");
        }
        let largest = Capacity { messages: Some(u64::MAX), octets: Some(u64::MAX) };
        assert!(largest.holds(Load { messages: u64::MAX / 2, octets: u64::MAX / 2 }, FOR_NEW_MAIL));
    }

    #[test]
    fn a_load_counts_until_the_store_has_counted_it() {
        let admission = admission(10);
        assert_eq!(fill(&admission), 8);
        admission.begin_count();
        admission.apply_count(&told(8));
        assert_eq!(fill(&admission), 0, "all of it is still waiting");
        admission.begin_count();
        admission.apply_count(&told(6));
        // Taken in before the next question, under way while it is put, and taken in while it is answered.
        let first = admission.try_reserve(submission(1));
        drop(first);
        let in_flight = admission.try_reserve(submission(1));
        assert_eq!(fill(&admission), 0);
        admission.begin_count();
        drop(in_flight);
        admission.apply_count(&told(6));
        assert_eq!(fill(&admission), 1, "the first is among the six, the second may be");
    }

    #[tokio::test]
    async fn a_count_is_wanted_once_much_came_in_and_when_mail_is_refused() {
        let is_wanted = async |admission: &Admission| admission.count_wanted().now_or_never().is_some();
        let admission = admission(100);
        for _ in 0..6 {
            assert!(!is_wanted(&admission).await);
            drop(admission.try_reserve(submission(1)));
        }
        assert!(!is_wanted(&admission).await, "six are known when the seventh comes");
        drop(admission.try_reserve(submission(1)));
        assert!(is_wanted(&admission).await);
        admission.begin_count();
        admission.apply_count(&told(80));
        assert!(!is_wanted(&admission).await);
        assert_eq!(fill(&admission), 0);
        assert!(is_wanted(&admission).await);
    }

    #[test]
    fn a_released_reservation_admits_other_mail() {
        let admission = admission(5);
        let reservations: Vec<Reservation> =
            std::iter::from_fn(|| admission.try_reserve(submission(1))).collect();
        assert_eq!(reservations.len(), 4);
        reservations.into_iter().for_each(Reservation::release);
        assert_eq!(fill(&admission), 4);
    }

    #[test]
    fn the_count_goes_as_far_as_it_decides() {
        let counted = |messages, octets| Capacity { messages, octets }.counted();
        assert_eq!(counted(None, None), DEFAULT_COUNT);
        assert_eq!(counted(Some(10), Some(10)), DEFAULT_COUNT);
        assert_eq!(counted(Some(10 * DEFAULT_COUNT), None), 10 * DEFAULT_COUNT);
        assert_eq!(counted(None, Some(10)), u64::MAX);
    }
}

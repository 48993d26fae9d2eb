//! How much may wait, and whether there is room for more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::contracts::store::{Backlog, Submission};

/// How many messages are counted where there is no cap to count up to.
const COUNTED: u64 = 100_000;

/// How much may wait to be sent. An outbox takes new mail while less than four fifths of it are waiting; the rest is
/// for what other processes take in at the same moment and for what comes back to be tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Messages that are queued, due or not. `None`: any number.
    pub messages: Option<u64>,
    /// Their size as they will be sent, in octets. `None`: any.
    pub octets: Option<u64>,
}

impl Capacity {
    /// How many waiting messages have to be counted to know whether there is room.
    fn counted(self) -> u64 {
        match (self.messages, self.octets) {
            (Some(messages), _) => messages.max(COUNTED),
            (None, Some(_)) => u64::MAX,
            (None, None) => COUNTED,
        }
    }

    /// Whether so much is within `fifths` of it.
    fn holds(self, weight: Weight, fifths: u64) -> bool {
        let fits = |cap: Option<u64>, weight: u64| {
            cap.is_none_or(|cap| weight <= cap / 5 * fifths + cap % 5 * fifths / 5)
        };
        fits(self.messages, weight.messages) && fits(self.octets, weight.octets)
    }
}

/// Some messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    messages: u64,
    octets: u64,
}

impl Weight {
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

/// Knows how much is waiting at most, without asking the store for every message: what it told last, and what was
/// taken in here since.
pub(super) struct Room {
    capacity: Capacity,
    level: Mutex<Level>,
    /// Somebody would like to know better.
    wanted: Notify,
}

#[derive(Default)]
struct Level {
    /// What the store told last.
    told: Weight,
    /// What was taken in since it was asked for that.
    added: Weight,
    /// How much of that had been taken in when the question that is under way was put.
    asked: Weight,
    /// What is being taken in right now.
    under_way: Weight,
    /// Whether it has been said since the last answer that there is no room.
    said: bool,
}

impl Level {
    fn sum(&self) -> Weight {
        self.told.and(self.added).and(self.under_way)
    }
}

impl Room {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, level: Mutex::default(), wanted: Notify::new() }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for some messages, if there is one.
    pub(super) fn enter(self: &Arc<Self>, weight: Weight) -> Option<Place> {
        let mut level = self.level();
        let sum = level.sum().and(weight);
        if !self.capacity.holds(sum, 3) {
            // What was sent in the meantime is not known here. Close to the line, that is asked for more often.
            self.wanted.notify_one();
        }
        if !self.capacity.holds(sum, 4) {
            if !std::mem::replace(&mut level.said, true) {
                let Weight { messages, octets } = level.sum();
                tracing::warn!(messages, octets, "new mail is refused: too much is waiting to be sent");
            }
            return None;
        }
        level.under_way = level.under_way.and(weight);
        Some(Place { room: Arc::clone(self), weight, kept: true })
    }

    /// Ends when somebody would like to know better how much is waiting.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Notes that the store is being asked, and says up to how many messages it has to count.
    pub(super) fn ask(&self) -> u64 {
        let mut level = self.level();
        level.asked = level.added;
        self.capacity.counted()
    }

    /// Takes over what the store has told.
    pub(super) fn hear(&self, told: &Backlog) {
        let mut level = self.level();
        level.told = Weight { messages: told.queued, octets: told.octets };
        level.added = level.added.less(level.asked);
        level.asked = Weight::default();
        level.said = false;
    }
}

/// A submission that is being kept. It counts as waiting until the store has told otherwise, unless it was given up.
pub(super) struct Place {
    room: Arc<Room>,
    weight: Weight,
    kept: bool,
}

impl Place {
    /// It was not kept, for sure.
    pub(super) fn give_up(mut self) {
        self.kept = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut level = self.room.level();
        level.under_way = level.under_way.less(self.weight);
        if self.kept {
            level.added = level.added.and(self.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(messages: u64) -> Arc<Room> {
        Arc::new(Room::new(Capacity { messages: Some(messages), octets: None }))
    }

    fn told(queued: u64) -> Backlog {
        let now = time::OffsetDateTime::UNIX_EPOCH;
        Backlog { now, queued, octets: 0, sending: 0, oldest_due: None }
    }

    fn submission(octets: u64) -> Weight {
        Weight { messages: 1, octets }
    }

    /// Takes in single messages until there is no room.
    fn fill(room: &Arc<Room>) -> usize {
        std::iter::from_fn(|| room.enter(submission(10))).count()
    }

    #[test]
    fn there_is_room_up_to_four_fifths() {
        for (capacity, places) in [
            (Capacity { messages: Some(10), octets: None }, 8),
            (Capacity { messages: Some(1), octets: None }, 0),
            (Capacity { messages: None, octets: Some(100) }, 8),
            (Capacity { messages: Some(10), octets: Some(50) }, 4),
        ] {
            assert_eq!(fill(&Arc::new(Room::new(capacity))), places, "{capacity:?}");
        }
        let largest = Capacity { messages: Some(u64::MAX), octets: Some(u64::MAX) };
        assert!(largest.holds(Weight { messages: u64::MAX / 2, octets: u64::MAX / 2 }, 4));
    }

    #[test]
    fn what_was_taken_in_counts_until_the_store_has_told_of_it() {
        let room = room(10);
        assert_eq!(fill(&room), 8);
        room.ask();
        room.hear(&told(8));
        assert_eq!(fill(&room), 0, "all of it is still waiting");
        room.ask();
        room.hear(&told(6));
        // Taken in before the next question, under way while it is put, and taken in while it is answered.
        let first = room.enter(submission(1));
        drop(first);
        let under_way = room.enter(submission(1));
        assert_eq!(fill(&room), 0);
        room.ask();
        drop(under_way);
        room.hear(&told(6));
        assert_eq!(fill(&room), 1, "the first is among the six, the second may be");
    }

    #[test]
    fn what_is_given_up_makes_room_again() {
        let room = room(5);
        let places: Vec<Place> = std::iter::from_fn(|| room.enter(submission(1))).collect();
        assert_eq!(places.len(), 4);
        places.into_iter().for_each(Place::give_up);
        assert_eq!(fill(&room), 4);
    }

    #[test]
    fn as_much_is_counted_as_decides() {
        let counted = |messages, octets| Capacity { messages, octets }.counted();
        assert_eq!(counted(None, None), COUNTED);
        assert_eq!(counted(Some(10), Some(10)), COUNTED);
        assert_eq!(counted(Some(10 * COUNTED), None), 10 * COUNTED);
        assert_eq!(counted(None, Some(10)), u64::MAX);
    }
}

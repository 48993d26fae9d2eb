//! Room for messages: how many may be under way, and how much memory they may take.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailqueue_core::MessageId;
use mailqueue_core::contracts::store::TooLarge;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many messages one claim takes at most.
const CLAIM: usize = 32;

/// How many results may wait for the store, for each message that can be sent at once.
const UNSETTLED_PER_SLOT: usize = 8;

/// How many large messages wait for memory at most. Further ones stay where they are: the next sweep finds them again.
pub(crate) const ASIDE: usize = 128;

/// The room of one worker.
///
/// An eighth of the memory is split evenly among all messages that can be sent at once. One that needs no more than such
/// a share finds it free, whatever else is under way. Larger ones share three quarters, in the order in which they were
/// found, and wait aside meanwhile. The last eighth is for the copies that a claim makes.
pub(crate) struct Rooms {
    sending: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
    share: u64,
    /// In KiB.
    large: Arc<Semaphore>,
    large_kib: u32,
    aside: Mutex<Aside>,
    arrived: Notify,
}

/// Large messages that wait for memory.
#[derive(Default)]
struct Aside {
    line: VecDeque<TooLarge>,
    /// Those in line, and the one that is being claimed.
    known: HashSet<MessageId>,
}

/// Room for messages: each holds a permit to be sent and its memory until the relay has answered, and a permit to be
/// written down until the store has.
pub(crate) struct Room {
    /// Given back once the relay has answered and the content is dropped.
    pub(crate) sending: Sending,
    /// Given back once the result is written down.
    pub(crate) unsettled: OwnedSemaphorePermit,
}

/// Permits to send, and the memory of a large message.
pub(crate) struct Sending {
    permits: OwnedSemaphorePermit,
    memory: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// For how many messages it is.
    pub(crate) fn count(&self) -> usize {
        self.sending.permits.num_permits()
    }

    /// The room for one message.
    pub(crate) fn take_one(&mut self) -> Option<Self> {
        let permits = self.sending.permits.split(1)?;
        let unsettled = self.unsettled.split(1)?;
        Some(Self { sending: Sending { permits, memory: self.sending.memory.take() }, unsettled })
    }

    /// Gives back the memory for the second copy of a large message, which there is only while it is claimed.
    pub(crate) fn claimed(&mut self) {
        if let Some(memory) = &mut self.sending.memory {
            drop(memory.split(memory.num_permits() / 2));
        }
    }
}

impl Rooms {
    /// Room for so many messages at once, in so many octets of memory.
    pub(crate) fn new(concurrency: usize, memory: u64) -> Self {
        let large_kib = u32::try_from(memory / 4 * 3 / 1024).unwrap_or(u32::MAX).max(1);
        let large_kib = large_kib.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            sending: Arc::new(Semaphore::new(concurrency)),
            unsettled: Arc::new(Semaphore::new(concurrency * UNSETTLED_PER_SLOT)),
            share: memory / 8 / concurrency as u64,
            large: Arc::new(Semaphore::new(large_kib as usize)),
            large_kib,
            aside: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// How many octets a message may have that needs no more than its share.
    pub(crate) fn share(&self) -> u64 {
        self.share
    }

    /// Room for at least one message, and for as many more as there is without waiting; while large ones wait, for half
    /// of that, so that they find some as soon as they have memory. `None` is never: nobody closes it.
    pub(crate) async fn some(&self) -> Option<Room> {
        let mut room = self.one().await?;
        let free = self.sending.available_permits() + 1;
        let most = CLAIM.min(free - self.aside().known.len().min(free / 2));
        while room.count() < most {
            let Ok(one) = Arc::clone(&self.sending).try_acquire_owned() else { break };
            let Ok(other) = Arc::clone(&self.unsettled).try_acquire_owned() else { break };
            room.sending.permits.merge(one);
            room.unsettled.merge(other);
        }
        Some(room)
    }

    async fn one(&self) -> Option<Room> {
        let permits = Arc::clone(&self.sending).acquire_owned().await.ok()?;
        let unsettled = Arc::clone(&self.unsettled).acquire_owned().await.ok()?;
        Some(Room { sending: Sending { permits, memory: None }, unsettled })
    }

    /// Room for a large message, and memory for the two copies of it that a claim makes; all the memory, if it is larger
    /// than that.
    pub(crate) async fn large(&self, octets: u64) -> Option<Room> {
        let kib = u32::try_from(octets.div_ceil(1024).saturating_mul(2)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.large).acquire_many_owned(kib.min(self.large_kib)).await.ok()?;
        let mut room = self.one().await?;
        room.sending.memory = Some(memory);
        Some(room)
    }

    /// Has large messages wait for memory, as many as may.
    pub(crate) fn put_aside(&self, messages: Vec<TooLarge>) {
        let mut aside = self.aside();
        for message in messages {
            if aside.line.len() < ASIDE && aside.known.insert(message.id) {
                aside.line.push_back(message);
                self.arrived.notify_one();
            }
        }
    }

    /// Those of `ids` that do not wait here already.
    pub(crate) fn not_aside(&self, mut ids: Vec<MessageId>) -> Vec<MessageId> {
        let aside = self.aside();
        ids.retain(|id| !aside.known.contains(id));
        ids
    }

    /// The large message whose turn it is.
    pub(crate) async fn next_large(&self) -> TooLarge {
        loop {
            let arrived = self.arrived.notified();
            if let Some(next) = self.aside().line.pop_front() {
                return next;
            }
            arrived.await;
        }
    }

    /// Notes that a large message waits no longer, whatever has become of it.
    pub(crate) fn forget(&self, message: &TooLarge) {
        self.aside().known.remove(&message.id);
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn message(n: u128, octets: u64) -> TooLarge {
        TooLarge { id: uuid::Uuid::from_u128(n).into(), octets }
    }

    #[tokio::test]
    async fn large_messages_never_take_more_than_three_quarters() {
        let rooms = Rooms::new(32, 128 * MIB);
        assert_eq!(rooms.share(), MIB / 2);
        let mut held = Vec::new();
        while let Some(room) = rooms.large(13 * MIB).now_or_never() {
            let mut room = room.unwrap();
            room.claimed();
            held.push(room);
        }
        assert_eq!(held.len(), 6, "the seventh has no room for the copy its claim makes");
        assert!(rooms.some().now_or_never().is_some(), "small ones have room all the same");
        held.pop();
        assert!(rooms.large(13 * MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_all_the_memory_goes_alone() {
        let rooms = Rooms::new(4, 8 * MIB);
        let other = rooms.large(MIB).await;
        let mut huge = Box::pin(rooms.large(100 * MIB));
        assert!(huge.as_mut().now_or_never().is_none());
        drop(other);
        let room = huge.await;
        assert!(rooms.large(1).now_or_never().is_none(), "nothing beside it");
        drop(room);
    }

    #[tokio::test]
    async fn messages_wait_aside_once_and_in_order() {
        let rooms = Rooms::new(32, 128 * MIB);
        rooms.put_aside(vec![message(1, MIB), message(2, MIB), message(1, MIB)]);
        let (one, three) = (message(1, MIB).id, message(3, MIB).id);
        assert_eq!(rooms.not_aside(vec![one, three]), [three]);
        let first = rooms.next_large().await;
        assert_eq!(first, message(1, MIB));
        assert_eq!(rooms.not_aside(vec![one]), [], "it is being claimed");
        rooms.forget(&first);
        assert_eq!(rooms.not_aside(vec![one]), [one]);
        assert_eq!(rooms.next_large().await, message(2, MIB));
        assert!(rooms.next_large().now_or_never().is_none());
        rooms.put_aside((10..1000).map(|n| message(n, MIB)).collect());
        assert_eq!(rooms.aside().line.len(), ASIDE);
    }

    #[tokio::test]
    async fn half_the_places_are_left_to_large_messages_that_wait() {
        let rooms = Rooms::new(32, 128 * MIB);
        assert_eq!(rooms.some().await.unwrap().count(), 32);
        rooms.put_aside(vec![message(1, MIB)]);
        assert_eq!(rooms.some().await.unwrap().count(), 31);
        rooms.put_aside((2..100).map(|n| message(n, MIB)).collect());
        let room = rooms.some().await.unwrap();
        assert_eq!(room.count(), 16);
        assert!(rooms.large(MIB).now_or_never().is_some());
    }
}

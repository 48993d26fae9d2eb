//! Slots for messages: a bound on their number and on their memory.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailqueue_core::MessageId;
use mailqueue_core::contracts::store::TooLarge;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::lookahead::{Lookahead, MAX_AHEAD_PER_SLOT};
use crate::share::Share;

/// The most messages of one claim.
const MAX_CLAIM: usize = 64;

/// Results that may wait for the store, for each message that can be sent at once.
const UNSETTLED_PER_SLOT: usize = 8;

/// The most large messages that wait for memory. Further ones stay in the store: the next sweep finds them again.
pub(crate) const MAX_ASIDE: usize = 128;

/// The slots of one worker.
///
/// An eighth of the memory is for small messages: what fits in an even share, if it were split among all that can be sent
/// at once. A claim takes a [`Share`] for each message, and gives back what the message does not need: small ones leave
/// memory for others that are claimed ahead. Larger ones share three quarters, in the order in which they were found, and wait aside meanwhile. The last eighth is for
/// the copies that a claim makes.
pub(crate) struct SlotPool {
    /// One for each message that can be sent at once, and for each that can be ahead.
    claimed: Arc<Semaphore>,
    sending: Arc<Semaphore>,
    unsettled: Arc<Semaphore>,
    ahead: Lookahead,
    share: Share,
    /// In KiB, as what follows.
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_kib: u32,
    aside: Mutex<Aside>,
    arrived: Notify,
}

/// Large messages that wait for memory.
#[derive(Default)]
struct Aside {
    line: VecDeque<TooLarge>,
    /// The messages in line, and the one that is being claimed.
    known: HashSet<MessageId>,
}

/// Slots for messages: each holds the memory of a message until the relay has answered, and a permit to be written down
/// until the store has. To send it needs a turn besides.
pub(crate) struct Slots {
    /// Given back once the relay has answered and the content is dropped.
    pub(crate) claimed: Memory,
    /// The most octets that a message may have.
    pub(crate) share: u64,
    /// Given back once the result is written down.
    pub(crate) unsettled: OwnedSemaphorePermit,
}

/// The places of messages, and their memory.
pub(crate) struct Memory {
    places: OwnedSemaphorePermit,
    content: OwnedSemaphorePermit,
}

impl Slots {
    /// The number of messages.
    pub(crate) fn count(&self) -> usize {
        self.claimed.places.num_permits()
    }

    /// The slot of one message of this size.
    pub(crate) fn take_one(&mut self, octets: usize) -> Option<Self> {
        let places = self.claimed.places.split(1)?;
        let unsettled = self.unsettled.split(1)?;
        // All of it for a message that is larger than the memory.
        let kib = octets.div_ceil(1024).min(self.claimed.content.num_permits());
        let content = self.claimed.content.split(kib)?;
        Some(Self { claimed: Memory { places, content }, share: self.share, unsettled })
    }

    /// Gives back the memory for the second copy of a large message, which exists only during the claim.
    pub(crate) fn claimed(&mut self) {
        let content = &mut self.claimed.content;
        drop(content.split(content.num_permits() / 2));
    }
}

impl SlotPool {
    /// Slots for `concurrency` messages at once, in `memory` octets.
    pub(crate) fn new(concurrency: usize, memory: u64) -> Self {
        let large_kib = u32::try_from(memory / 4 * 3 / 1024).unwrap_or(u32::MAX).max(1);
        // A semaphore panics above its maximum.
        let large_kib = large_kib.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let claimed = concurrency * (1 + MAX_AHEAD_PER_SLOT);
        let share = memory / 8 / concurrency as u64;
        Self {
            claimed: Arc::new(Semaphore::new(claimed)),
            sending: Arc::new(Semaphore::new(concurrency)),
            unsettled: Arc::new(Semaphore::new(concurrency * UNSETTLED_PER_SLOT)),
            ahead: Lookahead::new(concurrency),
            share: Share::new(share),
            small: Arc::new(Semaphore::new(concurrency * kib(share) as usize)),
            large: Arc::new(Semaphore::new(large_kib as usize)),
            large_kib,
            aside: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// The share of memory that a claim takes for each message.
    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// How many messages are claimed ahead of their turn.
    pub(crate) fn ahead(&self) -> &Lookahead {
        &self.ahead
    }

    /// The number of messages that could be sent at once now.
    pub(crate) fn idle(&self) -> usize {
        self.sending.available_permits()
    }

    /// Slots for the messages that can be sent at once and for `ahead` more, as far as they are free; at least one, and
    /// as many as half of those ahead, so that claims are large where nobody waits for them. While large messages wait,
    /// half of the free slots are left to them, so that they find one as soon as they have memory. `None` cannot happen:
    /// nothing closes the semaphores.
    pub(crate) async fn acquire(&self, ahead: usize) -> Option<Slots> {
        let ahead = ahead.min(self.ahead.most());
        // These stay free: they are for messages further ahead.
        let (reserve, least) = (self.ahead.most() - ahead, (ahead / 2).clamp(1, MAX_CLAIM));
        let both = u32::try_from(reserve + least).ok()?;
        let mut places = Arc::clone(&self.claimed).acquire_many_owned(both).await.ok()?;
        let octets = self.share.octets();
        let share = kib(octets);
        let mut content = Arc::clone(&self.small).acquire_many_owned(share).await.ok()?;
        let mut unsettled = Arc::clone(&self.unsettled).acquire_owned().await.ok()?;
        let free = self.claimed.available_permits() + least;
        let most = MAX_CLAIM.min(free - self.aside().known.len().min(free / 2));
        while places.num_permits() < reserve + most {
            // Never waits for more than these: a fuller claim is not worth a delay.
            let Ok(one) = Arc::clone(&self.claimed).try_acquire_owned() else { break };
            places.merge(one);
        }
        while unsettled.num_permits() < places.num_permits() - reserve {
            let Ok(memory) = Arc::clone(&self.small).try_acquire_many_owned(share) else { break };
            let Ok(one) = Arc::clone(&self.unsettled).try_acquire_owned() else { break };
            content.merge(memory);
            unsettled.merge(one);
        }
        let places = places.split(unsettled.num_permits())?;
        Some(Slots { claimed: Memory { places, content }, share: octets, unsettled })
    }

    /// The turn to send one message, in the order of the calls.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sending).acquire_owned().await.ok()
    }

    /// A slot for a large message, and memory for the two copies of it that a claim makes; all memory for one that is
    /// larger.
    pub(crate) async fn acquire_large(&self, octets: u64) -> Option<Slots> {
        let both = kib(octets).saturating_mul(2).min(self.large_kib);
        // Memory before the place: a message that waits for memory keeps no place from small ones.
        let content = Arc::clone(&self.large).acquire_many_owned(both).await.ok()?;
        // None is claimed ahead: what lies here takes memory, and places from small ones.
        let both = u32::try_from(self.ahead.most() + 1).ok()?;
        let mut places = Arc::clone(&self.claimed).acquire_many_owned(both).await.ok()?;
        let places = places.split(1)?;
        let unsettled = Arc::clone(&self.unsettled).acquire_owned().await.ok()?;
        Some(Slots { claimed: Memory { places, content }, share: octets, unsettled })
    }

    /// Puts large messages into the line for memory, up to [`MAX_ASIDE`].
    pub(crate) fn put_aside(&self, messages: Vec<TooLarge>) {
        let mut aside = self.aside();
        for message in messages {
            if aside.line.len() < MAX_ASIDE && aside.known.insert(message.id) {
                aside.line.push_back(message);
                self.arrived.notify_one();
            }
        }
    }

    /// The `ids` that are not in line.
    pub(crate) fn not_aside(&self, mut ids: Vec<MessageId>) -> Vec<MessageId> {
        let aside = self.aside();
        ids.retain(|id| !aside.known.contains(id));
        ids
    }

    /// The next large message in line.
    pub(crate) async fn next_large(&self) -> TooLarge {
        loop {
            // Has one reader: `notify_one` keeps a permit for it, so that no arrival before the await is missed.
            let arrived = self.arrived.notified();
            if let Some(next) = self.aside().line.pop_front() {
                return next;
            }
            arrived.await;
        }
    }

    /// Takes a large message out of the line, claimed or not.
    pub(crate) fn forget(&self, message: &TooLarge) {
        self.aside().known.remove(&message.id);
    }

    /// Takes all out of the line; the one that is being claimed stays known.
    pub(crate) fn forget_all(&self) {
        let Aside { line, known } = &mut *self.aside();
        line.drain(..).for_each(|message| {
            known.remove(&message.id);
        });
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        // No code that holds the lock can leave the line half changed, so a poisoned one is as good as any.
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kib(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(1024)).unwrap_or(u32::MAX)
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
        let pool = SlotPool::new(32, 128 * MIB);
        assert_eq!(pool.share().octets(), MIB / 2);
        let mut held = Vec::new();
        while let Some(slots) = pool.acquire_large(13 * MIB).now_or_never() {
            let mut slots = slots.unwrap();
            slots.claimed();
            held.push(slots);
        }
        assert_eq!(held.len(), 6, "the seventh has no memory for the copy its claim makes");
        assert!(pool.acquire(0).now_or_never().is_some(), "small ones have slots all the same");
        held.pop();
        assert!(pool.acquire_large(13 * MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn no_large_message_is_claimed_ahead() {
        let pool = SlotPool::new(2, 1024 * MIB);
        let held = [pool.acquire_large(MIB).await, pool.acquire_large(MIB).await];
        assert!(pool.acquire_large(MIB).now_or_never().is_none(), "two are sent at once");
        drop(held);
        assert!(pool.acquire_large(MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_message_larger_than_the_memory_goes_alone() {
        let pool = SlotPool::new(4, 8 * MIB);
        let other = pool.acquire_large(MIB).await;
        let mut huge = Box::pin(pool.acquire_large(100 * MIB));
        assert!(huge.as_mut().now_or_never().is_none());
        drop(other);
        let slots = huge.await;
        assert!(pool.acquire_large(1).now_or_never().is_none(), "nothing beside it");
        drop(slots);
    }

    #[tokio::test]
    async fn messages_wait_aside_once_and_in_order() {
        let pool = SlotPool::new(32, 128 * MIB);
        pool.put_aside(vec![message(1, MIB), message(2, MIB), message(1, MIB)]);
        let (one, three) = (message(1, MIB).id, message(3, MIB).id);
        assert_eq!(pool.not_aside(vec![one, three]), [three]);
        let first = pool.next_large().await;
        assert_eq!(first, message(1, MIB));
        assert_eq!(pool.not_aside(vec![one]), [], "it is being claimed");
        pool.forget(&first);
        assert_eq!(pool.not_aside(vec![one]), [one]);
        assert_eq!(pool.next_large().await, message(2, MIB));
        assert!(pool.next_large().now_or_never().is_none());
        pool.put_aside((10..1000).map(|n| message(n, MIB)).collect());
        assert_eq!(pool.aside().line.len(), MAX_ASIDE);
    }

    #[tokio::test]
    async fn half_the_slots_are_left_to_large_messages_that_wait() {
        let pool = SlotPool::new(32, 128 * MIB);
        assert_eq!(pool.acquire(0).await.unwrap().count(), 32);
        pool.put_aside(vec![message(1, MIB)]);
        assert_eq!(pool.acquire(0).await.unwrap().count(), 31);
        pool.put_aside((2..100).map(|n| message(n, MIB)).collect());
        let slots = pool.acquire(0).await.unwrap();
        assert_eq!(slots.count(), 16);
        assert!(pool.acquire_large(MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn small_messages_leave_memory_for_others_ahead_and_large_shares_do_not() {
        let pool = SlotPool::new(4, 8 * MIB);
        let mut slots = pool.acquire(0).await.unwrap();
        assert_eq!(slots.count(), 4);
        let small: Vec<_> = (0..4).filter_map(|_| slots.take_one(1024)).collect();
        drop(slots);
        assert_eq!(pool.acquire(20).await.unwrap().count(), 3, "four times 1 KiB is taken from a share");
        let mut slots = pool.acquire(20).await.unwrap();
        let share = usize::try_from(pool.share().octets()).unwrap();
        let whole: Vec<_> = (0..3).filter_map(|_| slots.take_one(share)).collect();
        drop(slots);
        assert!(pool.acquire(20).now_or_never().is_none(), "there are places, but no memory");
        drop((small, whole));
        assert_eq!(pool.acquire(0).await.unwrap().count(), 4);
    }
}

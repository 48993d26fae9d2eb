//! The queue of one process.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::select_all;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::micros;
use crate::contracts::queue::{Entry, Pulled, Queue, QueueError};
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;

/// A queue in this process's memory: no call fails and none but [`pull`](Queue::pull) waits.
///
/// A full lane keeps the entries that are due first and lets go of the last one; the sweep brings it back when
/// its turn comes. A pull that is dropped has taken nothing, and each entry wakes one puller, the one that has waited
/// longest, so many can wait side by side.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), mailqueue_core::QueueError> {
/// use mailqueue_core::queue::local::LocalQueue;
/// use mailqueue_core::{Entry, Lane, MessageId, Queue};
/// use time::{Duration, OffsetDateTime};
///
/// let (queue, now) = (LocalQueue::new(), OffsetDateTime::UNIX_EPOCH);
/// let (first, second) = (MessageId::new(now), MessageId::new(now));
/// let entry = |id, due_at| Entry { id, lane: Lane::Normal, due_at };
/// queue.push(&[entry(second, now + Duration::SECOND), entry(first, now)]).await?;
/// let pulled = queue.pull(&Lane::ALL, 10, std::time::Duration::ZERO).await?;
/// assert_eq!(pulled.ids, [first, second]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalQueue {
    lines: Mutex<[Line; Lane::ALL.len()]>,
    arrivals: [Notify; Lane::ALL.len()],
    cap: usize,
}

/// One lane: `order` to serve from, `due` to find an id in it.
#[derive(Debug, Default)]
struct Line {
    order: BTreeSet<(i64, MessageId)>,
    due: HashMap<MessageId, i64>,
}

impl LocalQueue {
    /// How many entries a lane holds at most by default: some 15 MB.
    pub const CAP: usize = 100_000;

    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::with_cap(Self::CAP)
    }

    /// An empty queue whose lanes hold at most `cap` entries each (at least one).
    #[must_use]
    pub fn with_cap(cap: usize) -> Self {
        Self { lines: Mutex::default(), arrivals: [const { Notify::const_new() }; 3], cap: cap.max(1) }
    }

    fn lines(&self) -> MutexGuard<'_, [Line; Lane::ALL.len()]> {
        // No code that holds the lock can leave a line half changed, so a poisoned one is as good as any.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is there, and wakes the next puller of each lane that still holds something: one wake-up is given
    /// per push, and it must not end with a puller that took less than all, or from another lane.
    fn take(&self, lanes: &[Lane], most: usize) -> Pulled {
        let (mut taken, mut left) = (Pulled::default(), Vec::new());
        let mut lines = self.lines();
        for lane in lanes {
            if taken.ids.is_empty() {
                taken = Pulled::new(Some(*lane), lines[*lane as usize].pop(most));
            }
            if !lines[*lane as usize].order.is_empty() {
                left.push(*lane);
            }
        }
        drop(lines);
        for lane in left {
            self.arrivals[lane as usize].notify_one();
        }
        taken
    }

    /// Places in the waiting lines of `lanes`; what arrives from now on is not missed.
    fn subscribe(&self, lanes: &[Lane]) -> Vec<Pin<Box<Notified<'_>>>> {
        let mut places: Vec<_> =
            lanes.iter().map(|lane| Box::pin(self.arrivals[*lane as usize].notified())).collect();
        for place in &mut places {
            place.as_mut().enable();
        }
        places
    }
}

impl Default for LocalQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    fn put(&mut self, due: i64, id: MessageId, cap: usize) {
        if let Some(old) = self.due.insert(id, due) {
            self.order.remove(&(old, id));
        }
        self.order.insert((due, id));
        if self.order.len() > cap
            && let Some((_, last)) = self.order.pop_last()
        {
            self.due.remove(&last);
        }
    }

    fn pop(&mut self, most: usize) -> Vec<MessageId> {
        // Bounded by what is there: a caller may ask for `usize::MAX`.
        let mut taken = Vec::with_capacity(most.min(self.order.len()));
        while taken.len() < most
            && let Some((_, id)) = self.order.pop_first()
        {
            self.due.remove(&id);
            taken.push(id);
        }
        taken
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn push(&self, entries: &[Entry]) -> Result<u64, QueueError> {
        let mut touched = [false; Lane::ALL.len()];
        let mut lines = self.lines();
        for entry in entries {
            lines[entry.lane as usize].put(micros::from_time(entry.due_at), entry.id, self.cap);
            touched[entry.lane as usize] = true;
        }
        let depths =
            lines.iter().zip(touched).filter(|(_, touched)| *touched).map(|(line, _)| line.order.len());
        let fullest = depths.max().unwrap_or(0);
        // Before waking anybody, who would only wait for the lock.
        drop(lines);
        for (arrivals, _) in self.arrivals.iter().zip(touched).filter(|(_, touched)| *touched) {
            arrivals.notify_one();
        }
        Ok(fullest as u64)
    }

    async fn pull(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Pulled, QueueError> {
        if lanes.is_empty() {
            return Ok(Pulled::default());
        }
        let begun = Instant::now();
        loop {
            // Before looking: a push between the two would otherwise wake nobody.
            let places = self.subscribe(lanes);
            let taken = self.take(lanes, most.max(1));
            let left = wait.saturating_sub(begun.elapsed());
            if !taken.ids.is_empty() || left.is_zero() {
                // A wake-up that came meanwhile for one of these places goes to the next in line as they drop.
                return Ok(taken);
            }
            // Whether it was woken or the time is up, the next round looks once more.
            let _ = tokio::time::timeout(left, select_all(places)).await;
        }
    }

    async fn head(&self, lane: Lane) -> Result<Option<OffsetDateTime>, QueueError> {
        let first = self.lines()[lane as usize].order.first().map(|(due, _)| *due);
        Ok(first.and_then(micros::to_time))
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        Ok(self.lines()[lane as usize].order.len() as u64)
    }
}

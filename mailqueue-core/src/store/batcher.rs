//! Micro-batching: items of many callers, gathered into few calls.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::pace::{MAX_BATCH, Next, Pace};
use crate::contracts::store::StoreError;

/// How many octets of messages one insert carries at most, unless a single one is larger. The way to the database makes
/// several copies of a batch.
const MAX_BATCH_OCTETS: usize = 4 << 20;

/// How many items wait at most. More would only make everybody wait longer, so further callers get an error at once.
const QUEUE_CAPACITY: usize = 4096;

/// How much all that waits may weigh, in KiB; a single item that is heavier still fits when nothing else waits.
const QUEUE_CAPACITY_KIB: u32 = 128 << 10;

/// The fate of an item that was not begun when its caller stopped waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenCallerLeaves {
    Run,
    Skip,
}

impl WhenCallerLeaves {
    fn is_wanted<I, O>(self, pending: &Pending<I, O>) -> bool {
        self == Self::Run || !pending.caller.answer.is_closed()
    }
}

/// Answers a batch, in its order.
type Work<I, O> = Box<dyn Fn(Vec<I>) -> BoxFuture<'static, Vec<Result<O, StoreError>>> + Send>;

/// Collects items that are waiting into batches. Several of them may be under way at once, as [`Pace`] decides.
pub(super) struct Batcher<I, O> {
    pending: mpsc::Sender<Pending<I, O>>,
    octets: fn(&I) -> usize,
    capacity: Arc<Semaphore>,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// `octets` gives an item's size, `work` answers a batch in its order.
    pub(super) fn start(
        when_caller_leaves: WhenCallerLeaves,
        pace: Pace,
        octets: fn(&I) -> usize,
        work: impl Fn(Vec<I>) -> BoxFuture<'static, Vec<Result<O, StoreError>>> + Send + 'static,
    ) -> Self {
        let (pending, waiting) = mpsc::channel::<Pending<I, O>>(QUEUE_CAPACITY);
        let running = FuturesUnordered::new();
        let work: Work<I, O> = Box::new(work);
        let dispatcher =
            Dispatcher { waiting, received: VecDeque::new(), running, pace, when_caller_leaves, work };
        tokio::spawn(dispatcher.run());
        Self { pending, octets, capacity: Arc::new(Semaphore::new(QUEUE_CAPACITY_KIB as usize)) }
    }

    /// The answers to all items, in their order.
    pub(super) async fn submit_all(&self, items: Vec<I>) -> Vec<Result<O, StoreError>> {
        // All are submitted before the first is awaited, so that they can share a batch.
        let answers: Vec<_> = items.into_iter().map(|item| self.submit(item)).collect();
        join_all(answers.into_iter().map(async |answer| match answer {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err(ended())),
            Err(error) => Err(error),
        }))
        .await
    }

    fn submit(&self, item: I) -> Result<oneshot::Receiver<Result<O, StoreError>>, StoreError> {
        let too_much = || StoreError::Overloaded("too much is waiting".into());
        let octets = (self.octets)(&item);
        let weight = u32::try_from(octets / 1024).unwrap_or(QUEUE_CAPACITY_KIB).min(QUEUE_CAPACITY_KIB);
        let capacity = Arc::clone(&self.capacity).try_acquire_many_owned(weight).map_err(|_| too_much())?;
        let (caller, answer) = oneshot::channel();
        let caller = Caller { answer: caller, _capacity: capacity };
        // Never waits: a full queue is the caller's back-pressure.
        self.pending.try_send(Pending { item, caller, octets }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => too_much(),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        Ok(answer)
    }
}

/// How far the store had come is not known.
fn panicked() -> StoreError {
    StoreError::Unavailable("it panicked".into())
}

fn ended() -> StoreError {
    StoreError::Unavailable("the task that asks it has ended".into())
}

/// An item, the caller that waits for its answer, and its weight.
struct Pending<I, O> {
    item: I,
    caller: Caller<O>,
    octets: usize,
}

/// The caller that waits for an answer. Its share of the capacity is given back when it has been answered.
struct Caller<O> {
    answer: oneshot::Sender<Result<O, StoreError>>,
    _capacity: OwnedSemaphorePermit,
}

/// Begins calls and passes their answers on.
struct Dispatcher<I, O> {
    waiting: mpsc::Receiver<Pending<I, O>>,
    /// The items that have waited longest, in their order: no more than a batch.
    received: VecDeque<Pending<I, O>>,
    /// The calls under way. Each tells how long it took.
    running: FuturesUnordered<BoxFuture<'static, Duration>>,
    pace: Pace,
    when_caller_leaves: WhenCallerLeaves,
    work: Work<I, O>,
}

impl<I: Send + 'static, O: Send + 'static> Dispatcher<I, O> {
    /// Ends when nobody can ask any more and everybody has been answered.
    async fn run(mut self) {
        while self.receive().await {
            match self.pace.next(self.running.len(), self.received.len() + self.waiting.len(), Instant::now())
            {
                Next::Now => self.begin(),
                Next::At(time) => self.wait_until(time).await,
            }
        }
        while self.running.next().await.is_some() {}
    }

    /// Waits for an item while there is none and for room for a call; `false` when there will be no further item.
    async fn receive(&mut self) -> bool {
        loop {
            let has_room = self.pace.has_room(self.running.len());
            if has_room && !self.received.is_empty() {
                return true;
            }
            tokio::select! {
                biased;
                Some(took) = self.running.next() => self.pace.ended(took),
                // Left in the channel while there is no room, so that its capacity tells how much waits.
                first = self.waiting.recv(), if has_room => match first {
                    Some(first) => self.received.push_back(first),
                    None => return false,
                },
            }
        }
    }

    /// Waits for a time, or until before it a call ends or, where that matters, a further item comes.
    async fn wait_until(&mut self, time: Instant) {
        tokio::select! {
            Some(took) = self.running.next() => self.pace.ended(took),
            () = tokio::time::sleep_until(time) => {}
            Some(pending) = self.waiting.recv(), if self.pace.counts_waiting() => self.received.push_back(pending),
        }
    }

    /// Begins a call with all that is waiting, within the bounds of a batch.
    fn begin(&mut self) {
        let batch = self.gather();
        if batch.is_empty() {
            return;
        }
        let (items, callers): (Vec<I>, Vec<Caller<O>>) =
            batch.into_iter().map(|pending| (pending.item, pending.caller)).unzip();
        let started = Instant::now();
        self.pace.begun(started, items.len());
        // Unwind safe, as the items are gone with the panic.
        let answers = AssertUnwindSafe((self.work)(items)).catch_unwind();
        self.running.push(Box::pin(async move {
            answer(callers, answers.await.ok());
            started.elapsed()
        }));
    }

    fn gather(&mut self) -> Vec<Pending<I, O>> {
        let mut total = 0_usize;
        let mut batch = Vec::with_capacity(MAX_BATCH.min(self.received.len() + self.waiting.len()));
        while batch.len() < MAX_BATCH {
            let Some(pending) = self.received.pop_front().or_else(|| self.waiting.try_recv().ok()) else {
                break;
            };
            if !self.when_caller_leaves.is_wanted(&pending) {
                continue;
            }
            total = total.saturating_add(pending.octets);
            if total > MAX_BATCH_OCTETS && !batch.is_empty() {
                self.received.push_front(pending);
                break;
            }
            batch.push(pending);
        }
        batch
    }
}

/// Gives callers their answers; none are there after a panic.
fn answer<O>(callers: Vec<Caller<O>>, answers: Option<Vec<Result<O, StoreError>>>) {
    let Some(answers) = answers else {
        tracing::error!(event = "store.panicked", "the message store panicked; who was asking it is told so");
        // A caller that went away does not need its answer.
        callers.into_iter().for_each(|caller| drop(caller.answer.send(Err(panicked()))));
        return;
    };
    for (caller, answer) in callers.into_iter().zip(answers) {
        drop(caller.answer.send(answer));
    }
}

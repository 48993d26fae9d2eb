//! The loop that pulls, claims and sends.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use mailqueue_core::deliver::{Claim, Deliverer, Job};
use mailqueue_core::{StoreError, Transport};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pausing::Pausing;
use crate::slots::{SlotPool, Slots};
use crate::source::Source;

/// The pause after a pull of nothing but messages that wait aside: the store names them again as long as they wait.
const ASIDE_INTERVAL: Duration = Duration::from_millis(20);

/// The pause after a claim that won nothing, so that workers which read the store directly get out of step.
const LOST_CLAIM_INTERVAL: Duration = Duration::from_millis(5);

/// The longest wait of a claimed message for its turn. What takes longer is given back: another worker may be idle.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// Claims what there are slots for, until it drains. A claim is never broken off: its messages are handed over, and given
/// back at once while draining.
pub(crate) struct RunLoop<'a> {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) deliverer: &'a Deliverer,
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) drain: &'a CancellationToken,
    pub(crate) slots: Arc<SlotPool>,
    pub(crate) pausing: Pausing,
}

impl RunLoop<'_> {
    /// Runs until `drain` is cancelled.
    pub(crate) async fn run(&self, source: Source) {
        tokio::select! {
            _ = async { tokio::join!(self.pulled(source), self.large()) } => {}
            // They may be of a lane that is paused now. The sweep finds the others again.
            never = self.pausing.at_each_change(|| self.slots.forget_all()) => match never {},
        }
    }

    /// Claims the messages that are pulled. One that needs more memory than its share is put aside.
    async fn pulled(&self, mut source: Source) {
        loop {
            let found = async {
                self.pausing.open().await;
                let (slots, max) = self.room().await?;
                let version = self.pausing.version();
                let ids = source.next(max).await;
                self.slots.ahead().pulled(source.has_more());
                Some((slots, ids, version))
            };
            let (slots, ids, version) = tokio::select! {
                // Loses no mail with a pull that is dropped: its ids are hints, and the sweep finds them again.
                () = self.drain.cancelled() => return,
                found = found => match found {
                    Some(found) => found,
                    None => return,
                },
            };
            let ids = match ids {
                Ok(ids) if ids.is_empty() => continue,
                Ok(ids) => self.slots.not_aside(ids),
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            if ids.is_empty() {
                tokio::time::sleep(ASIDE_INTERVAL).await;
                continue;
            }
            match self.deliverer.claim(&ids, self.slots.share()).await {
                Ok(Claim { jobs, too_large }) if jobs.is_empty() && too_large.is_empty() => {
                    tokio::time::sleep(LOST_CLAIM_INTERVAL).await;
                }
                Ok(Claim { jobs, too_large }) => {
                    // Found before a pause, they may be of a lane that is paused now.
                    if version == self.pausing.version() {
                        self.slots.put_aside(too_large);
                    }
                    self.hand_over(jobs, slots);
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Slots, and how many messages to claim for them.
    async fn room(&self) -> Option<(Slots, usize)> {
        let ahead = match self.transport.is_untroubled() {
            true => self.slots.ahead().count(),
            false => 0,
        };
        let slots = self.slots.acquire(ahead).await?;
        if ahead > 0 && self.transport.is_untroubled() {
            let count = slots.count();
            return Some((slots, count));
        }
        // Claims no more than the relays take now, so that none lie here while another process could send them.
        let max = self.transport.ready().await.min(slots.count());
        Some((slots, max.min(self.slots.idle().max(1))))
    }

    /// Claims the messages that were put aside, one by one, as there is memory. One that cannot be claimed now is left to
    /// the sweep.
    async fn large(&self) {
        loop {
            let found = async {
                let message = self.slots.next_large().await;
                let version = self.pausing.version();
                // Before the memory, so that none is held while no relay takes mail.
                self.transport.ready().await;
                Some((message, self.slots.acquire_large(message.octets).await?, version))
            };
            let (message, mut slots, version) = tokio::select! {
                () = self.drain.cancelled() => return,
                found = found => match found {
                    Some(found) => found,
                    None => return,
                },
            };
            if version != self.pausing.version() {
                self.slots.forget(&message);
                continue;
            }
            match self.deliverer.claim(&[message.id], message.octets).await {
                Ok(claim) => {
                    slots.claimed();
                    self.hand_over(claim.jobs, slots);
                }
                Err(error) => pause_after(&error).await,
            }
            // After a failed claim too: a message that stays known is passed over by every later pull.
            self.slots.forget(&message);
        }
    }

    fn hand_over(&self, jobs: Vec<Job>, mut slots: Slots) {
        for job in jobs {
            // Never ends early: a claim names no more messages than it has slots.
            let Some(slot) = slots.take_one(job.octets()) else { break };
            let deliverer = self.deliverer.clone();
            self.tasks.spawn(deliver(deliverer, job, slot, Arc::clone(&self.slots), self.drain.clone()));
        }
    }
}

async fn deliver(
    deliverer: Deliverer,
    job: Job,
    slot: Slots,
    slots: Arc<SlotPool>,
    drain: CancellationToken,
) {
    let Slots { claimed, unsettled } = slot;
    let result = match in_time(slots.turn(), &drain).await {
        Some(turn) => {
            let started = Instant::now();
            let result = deliverer.attempt(job, &drain).await;
            slots.ahead().attempted(started.elapsed());
            drop(turn);
            result
        }
        None => {
            if !drain.is_cancelled() {
                // The attempts before this one are slow.
                slots.ahead().attempted(TURN_TIMEOUT);
            }
            deliverer.give_back(job)
        }
    };
    drop(claimed);
    deliverer.settle(result).await;
    drop(unsettled);
}

/// A permit; `None` when it takes too long.
async fn in_time<T>(permit: impl Future<Output = Option<T>>, drain: &CancellationToken) -> Option<T> {
    let mut permit = pin!(permit);
    // Mostly there is one, and no timer is needed.
    if let Some(permit) = permit.as_mut().now_or_never() {
        return permit;
    }
    tokio::select! {
        permit = permit => permit,
        () = drain.cancelled() => None,
        () = tokio::time::sleep(TURN_TIMEOUT) => None,
    }
}

/// Pauses about a second. Jitter keeps workers from coming back together.
async fn pause_after(error: &StoreError) {
    tracing::warn!(%error, "nothing can be taken");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
}

//! The loop that pulls, claims and sends.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use mailqueue_core::deliver::{Claim, Deliverer, Job};
use mailqueue_core::{MessageId, StoreError, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Claims of pulled messages at once: while the store works at one, the ids for the next are pulled.
const CLAIMS_AT_ONCE: usize = 2;

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

/// Messages to be claimed, and room for them.
struct Found {
    ids: Vec<MessageId>,
    slots: Slots,
    /// That of the pauses when they were found.
    version: u64,
    _claiming: OwnedSemaphorePermit,
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
    async fn pulled(&self, source: Source) {
        let claiming = Arc::new(Semaphore::new(CLAIMS_AT_ONCE));
        let found = stream::unfold(source, |mut source| async {
            let found = self.find(&mut source, &claiming).await?;
            Some((found, source))
        });
        // Loses no mail with a pull that is dropped: its ids are hints, and the sweep finds them again.
        let found = pin!(found.take_until(self.drain.cancelled()));
        found.for_each_concurrent(None, |found| self.claim(found)).await;
    }

    /// Ids that are probably due, and slots for them. `None` cannot happen: nothing closes the semaphores.
    async fn find(&self, source: &mut Source, claiming: &Arc<Semaphore>) -> Option<Found> {
        loop {
            self.pausing.open().await;
            let (claiming, slots, max) = self.room(claiming).await?;
            let version = self.pausing.version();
            let ids = source.next(max).await;
            self.slots.ahead().pulled(source.has_more());
            match ids {
                Ok(ids) if ids.is_empty() => {}
                Ok(ids) => {
                    let ids = self.slots.not_aside(ids);
                    if !ids.is_empty() {
                        // Again, as an operator may have paused all relays while the pull waited.
                        self.transport.ready().await;
                        if self.is_current(version) {
                            return Some(Found { ids, slots, version, _claiming: claiming });
                        }
                        continue;
                    }
                    tokio::time::sleep(ASIDE_INTERVAL).await;
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    async fn claim(&self, found: Found) {
        let Found { ids, slots, version, _claiming } = found;
        if !self.is_current(version) {
            return;
        }
        match self.deliverer.claim(&ids, slots.share).await {
            Ok(Claim { jobs, too_large }) if jobs.is_empty() && too_large.is_empty() => {
                tokio::time::sleep(LOST_CLAIM_INTERVAL).await;
            }
            Ok(Claim { jobs, too_large }) => {
                let sizes = jobs.iter().map(|job| job.octets() as u64);
                let sizes = sizes.chain(too_large.iter().map(|message| message.octets));
                self.slots.share().seen(sizes.max().unwrap_or(0));
                if self.is_current(version) {
                    self.slots.put_aside(too_large);
                }
                self.hand_over(jobs, slots);
            }
            Err(error) => pause_after(&error).await,
        }
    }

    /// False if what was found at `version` may be of a lane that is paused now. It is left to the sweep, which finds it
    /// again.
    fn is_current(&self, version: u64) -> bool {
        version == self.pausing.version()
    }

    /// The right to claim, slots, and how many messages to claim for them.
    async fn room(&self, claiming: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Slots, usize)> {
        let ahead = match self.transport.is_untroubled() {
            true => self.slots.ahead().count(),
            false => 0,
        };
        // One claim after another where each takes what the relays take: only then they tell what they take.
        let claims = if ahead > 0 { 1 } else { CLAIMS_AT_ONCE as u32 };
        let claiming = Arc::clone(claiming).acquire_many_owned(claims).await.ok()?;
        let slots = self.slots.acquire(ahead).await?;
        if ahead > 0 && self.transport.is_untroubled() {
            let count = slots.count();
            return Some((claiming, slots, count));
        }
        // Claims no more than the relays take now, so that none lie here while another process could send them.
        let max = self.transport.ready().await.min(slots.count());
        Some((claiming, slots, max.min(self.slots.idle().max(1))))
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
            if !self.is_current(version) {
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
    let Slots { claimed, unsettled, .. } = slot;
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
    tracing::warn!(event = "worker.take_failed", %error, "nothing can be taken");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
}

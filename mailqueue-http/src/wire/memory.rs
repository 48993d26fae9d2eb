//! Memory for the requests that are under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::problem::Problem;

/// The default for all requests together, in octets.
pub(crate) const DEFAULT_CAPACITY: u64 = mailqueue_worker::DEFAULT_MEMORY;

/// The largest body that shares room with other small ones alone.
pub(crate) const MAX_SMALL: usize = 256 << 10;

/// The time that a request waits for memory before it gets a 503.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);

/// The memory for content that comes in and goes out. Cheap to clone.
///
/// It has three parts: small requests do not wait for large ones, and a body that is complete does not wait for a slow
/// sender. A request that holds room in a later part never waits for an earlier one.
#[derive(Clone)]
pub(crate) struct Memory {
    small: Part,
    transfer: Part,
    processing: Part,
}

/// Room that was taken; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    permit: OwnedSemaphorePermit,
}

impl Taken {
    /// Adds what was taken from the same part.
    pub(crate) fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }
}

impl Memory {
    /// Room for these octets.
    pub(crate) fn new(octets: u64) -> Self {
        let part = |eighths: u64| Part::new(octets / 8 * eighths);
        Self { small: part(1), transfer: part(3), processing: part(4) }
    }

    /// Room for a small request as long as it lasts: its body, and what is made of it.
    pub(crate) async fn small(&self, octets: usize) -> Result<Taken, Problem> {
        self.small.take(octets.saturating_mul(2)).await
    }

    /// Room for what a client sends or takes at its own pace.
    pub(crate) async fn transfer(&self, octets: usize) -> Result<Taken, Problem> {
        self.transfer.take(octets).await
    }

    /// Room for what is made of a large body: its files, and the message as it will be sent.
    pub(crate) async fn processing(&self, octets: usize) -> Result<Taken, Problem> {
        self.processing.take(octets.saturating_mul(2)).await
    }
}

/// The octets of one permit.
const OCTETS_PER_PERMIT: usize = 1024;

#[derive(Clone)]
struct Part {
    permits: Arc<Semaphore>,
    capacity: usize,
}

impl Part {
    fn new(octets: u64) -> Self {
        let capacity = usize::try_from(octets).unwrap_or(usize::MAX).div_ceil(OCTETS_PER_PERMIT);
        // A semaphore panics above its maximum, and `acquire_many` takes a u32.
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { permits: Arc::new(Semaphore::new(capacity)), capacity }
    }

    /// Waits its turn, a while. What is larger than all of it takes all of it.
    async fn take(&self, octets: usize) -> Result<Taken, Problem> {
        // At most as many as there are, and of those there are no more than a u32 can count.
        let permits =
            u32::try_from(octets.div_ceil(OCTETS_PER_PERMIT).min(self.capacity)).unwrap_or(u32::MAX);
        let taking = Arc::clone(&self.permits).acquire_many_owned(permits);
        match tokio::time::timeout(MEMORY_TIMEOUT, taking).await {
            Ok(Ok(permit)) => Ok(Taken { permit }),
            Ok(Err(_)) | Err(_) => {
                let detail = "Too many large requests are under way. Please try again shortly.";
                Err(Problem::unavailable(detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn a_large_request_waits_a_while_and_holds_up_no_small_one() {
        let memory = Memory::new(128 << 20);
        let mut held: Vec<Taken> =
            std::iter::from_fn(|| memory.transfer(13 * MIB).now_or_never()).map(Result::unwrap).collect();
        assert_eq!(held.len(), 3);
        assert!(memory.small(MAX_SMALL).now_or_never().unwrap().is_ok());
        assert!(memory.processing(13 * MIB).now_or_never().unwrap().is_ok());
        let refused = memory.transfer(13 * MIB).await.unwrap_err();
        assert_eq!(refused.status.as_u16(), 503);
        let (waited, ()) = tokio::join!(memory.transfer(13 * MIB), async {
            tokio::task::yield_now().await;
            held.clear();
        });
        assert!(waited.is_ok());
    }

    #[tokio::test]
    async fn a_request_larger_than_all_memory_goes_alone() {
        let memory = Memory::new(16 << 20);
        let one = memory.processing(15 * MIB).await.unwrap();
        assert!(memory.processing(1).now_or_never().is_none());
        drop(one);
        assert!(memory.processing(1).now_or_never().unwrap().is_ok());
    }
}

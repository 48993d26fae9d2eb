//! Work that takes long, done where it holds up nobody.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Does work that keeps a processor busy off the async runtime, so that everything else goes on meanwhile, and only so
/// much of it at once. Cheap to clone; all clones share the same permits.
#[derive(Debug, Clone)]
pub struct Offload {
    permits: Arc<Semaphore>,
}

/// The runtime is shutting_down, and the work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this process is shutting_down")]
pub struct ShuttingDown;

impl Default for Offload {
    /// One permit for each processor: more would not be done any sooner.
    fn default() -> Self {
        Self::with_permits(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

impl Offload {
    /// So many pieces of work at once.
    #[must_use]
    pub fn with_permits(permits: NonZeroUsize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits.get())) }
    }

    /// Does `work` on a thread for it and waits for the result; first come, first served where all permits are taken.
    /// Work whose caller has stopped waiting before it was begun is not done; what was begun is finished, and
    /// keeps its permit until then. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ShuttingDown`] when the runtime shuts down before the work is begun.
    ///
    /// # Panics
    ///
    /// As the work does.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ShuttingDown> {
        // The semaphore is never closed, so the error does not occur.
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| ShuttingDown)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            // Held by the thread, not by the caller, who may go while the work still takes a processor.
            drop(permit);
            done
        });
        // A thread may come free only after a while, and the caller may have gone by then.
        match AbortOnDropHandle::new(working).await {
            Ok(done) => Ok(done),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(ShuttingDown),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    use futures_util::poll;
    use tokio::sync::oneshot;

    fn one_seat() -> Offload {
        Offload::with_permits(NonZeroUsize::MIN)
    }

    /// Work that reports its beginning to the receiver and ends when the sender says so.
    fn held() -> (impl FnOnce() + Send, oneshot::Receiver<()>, mpsc::Sender<()>) {
        let ((begun, is_begun), (end, is_ended)) = (oneshot::channel(), mpsc::channel());
        let work = move || {
            begun.send(()).expect("somebody is watching");
            is_ended.recv().expect("somebody ends it");
        };
        (work, is_begun, end)
    }

    #[tokio::test]
    async fn the_runtime_goes_on_while_work_is_done() {
        let (work, begun, end) = held();
        let offload = one_seat();
        let working = tokio::spawn(async move { offload.run(work).await });
        // This runtime has one thread, so nothing here would happen if the work were done on it.
        begun.await.expect("it is begun");
        end.send(()).expect("it is under way");
        assert_eq!(working.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn no_more_is_under_way_than_there_are_seats() {
        let offload = one_seat();
        let (first, begun, end) = held();
        let first = tokio::spawn({
            let offload = offload.clone();
            async move { offload.run(first).await }
        });
        begun.await.expect("the first is begun");
        let (second, mut second_begun, end_second) = held();
        let mut second = std::pin::pin!(offload.run(second));
        assert!(poll!(second.as_mut()).is_pending());
        assert_eq!(
            second_begun.try_recv(),
            Err(oneshot::error::TryRecvError::Empty),
            "it waits for a permit"
        );
        end.send(()).expect("the first is under way");
        end_second.send(()).expect("the second will look");
        assert_eq!(second.await, Ok(()));
        assert_eq!(first.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn work_nobody_waits_for_any_more_is_not_begun() {
        let offload = one_seat();
        let (first, begun, end) = held();
        let first = tokio::spawn({
            let offload = offload.clone();
            async move { offload.run(first).await }
        });
        begun.await.expect("the first is begun");
        let (second, second_begun, _end) = held();
        {
            let mut second = std::pin::pin!(offload.run(second));
            assert!(poll!(second.as_mut()).is_pending());
        }
        end.send(()).expect("the first is under way");
        assert!(second_begun.await.is_err(), "the second was given up");
        assert_eq!(first.await.expect("no panic"), Ok(()));
        assert_eq!(offload.run(|| 3).await, Ok(3), "the permit is free");
    }

    #[test]
    fn work_waiting_for_a_thread_is_given_up_too() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().expect("a runtime");
        runtime.block_on(async {
            let (other, other_begun, end_other) = held();
            let other = tokio::task::spawn_blocking(other);
            other_begun.await.expect("the only thread is taken");
            let (work, begun, _end) = held();
            let offload = one_seat();
            {
                let mut work = std::pin::pin!(offload.run(work));
                assert!(poll!(work.as_mut()).is_pending());
            }
            end_other.send(()).expect("it is under way");
            other.await.expect("no panic");
            assert!(begun.await.is_err(), "it was given up");
        });
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_and_frees_the_seat() {
        let offload = one_seat();
        let panicking = tokio::spawn({
            let offload = offload.clone();
            async move { offload.run(|| panic!("as the work does")).await }
        });
        assert!(panicking.await.expect_err("a panic").is_panic());
        assert_eq!(offload.run(|| 3).await, Ok(3));
    }
}

//! The runtime on which sinks, proxies and administrative queries run.

use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// One runtime a process, never shut down: peers are shared between tests, each of which has a runtime of
/// its own that ends with it.
pub(crate) fn handle() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("test-peer")
                .enable_all()
                .build()
                .expect("the runtime of the test peers could not be built")
        })
        .handle()
}

/// Runs `future` to its end while this thread waits, inside or outside of any runtime.
pub(crate) fn block<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // A channel and not `block_on`, which panics within a runtime.
    let (sender, receiver) = mpsc::sync_channel(1);
    handle().spawn(async move {
        // The receiver waits below until this is sent.
        let _ = sender.send(future.await);
    });
    receiver.recv().expect("a task of the test peers panicked; its message stands above")
}

/// Waits for cancelled tasks to be gone, so that their ports are closed when a drop returns. A rule that
/// waits for the test would never end, so the wait is short then.
pub(crate) fn finish(tasks: TaskTracker) {
    tasks.close();
    let _ = block(async move { timeout(Duration::from_secs(1), tasks.wait()).await.is_ok() });
}

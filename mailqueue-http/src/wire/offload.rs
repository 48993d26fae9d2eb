//! Work on large requests and answers, off the threads that serve the other requests.

use std::sync::LazyLock;
use std::time::Duration;

use mailqueue_core::offload::Offload;

use crate::wire::problem::Problem;

/// The largest work that is done at once, in octets.
const INLINE_LIMIT: usize = 256 << 10;

/// The time for the wait and the work.
const OFFLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// One seat for each processor, whatever the work is.
static WORKERS: LazyLock<Offload> = LazyLock::new(Offload::default);

/// Does work that goes through so many octets: on the spot, or aside, where it waits its turn.
///
/// # Errors
///
/// 503 when its turn does not come in time.
pub(crate) async fn offload<T: Send + 'static>(
    octets: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if octets <= INLINE_LIMIT {
        return Ok(work());
    }
    match tokio::time::timeout(OFFLOAD_TIMEOUT, WORKERS.run(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => {
            Err(Problem::unavailable("Too many large requests are under way. Please try again shortly."))
        }
    }
}

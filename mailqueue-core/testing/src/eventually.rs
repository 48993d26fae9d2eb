//! Waiting for a condition.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long a condition may take to become true. Far more than any test needs, for machines under load.
const CONDITION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before a condition is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Returns as soon as `condition` holds.
///
/// # Panics
///
/// When it does not hold within 30 seconds. `what` names it.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(CHECK_INTERVAL).await;
        }
    };
    assert!(timeout(CONDITION_TIMEOUT, holds).await.is_ok(), "not within {CONDITION_TIMEOUT:?}: {what}");
}

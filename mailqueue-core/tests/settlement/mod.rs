//! Results of attempts that nobody has made.

use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::DeliveryPolicy;
use mailqueue_core::contracts::store::{Claimed, Settlement};
use mailqueue_core::domain::report::Report;
use mailqueue_core::domain::transition::AttemptContext;

/// A result under a claim.
pub(crate) fn settlement(claimed: &Claimed, report: Report, policy: DeliveryPolicy) -> Arc<Settlement> {
    let context = AttemptContext {
        attempt: claimed.delivery.attempt,
        started_at: claimed.claimed_at,
        duration: Duration::from_millis(12),
        age: claimed.age,
        worker: "worker".into(),
        jitter: 0.5,
    };
    Arc::new(Settlement { lease: claimed.lease, claimed: claimed.delivery.clone(), report, context, policy })
}

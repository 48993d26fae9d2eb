//! Logs and metrics of deliveries: never a subject, an address or a reply's text.

use std::time::Duration;

use crate::contracts::store::{Claimed, Settled, Settlement};
use crate::domain::attempt::{self, AttemptOutcome};
use crate::domain::id::MessageId;
use crate::domain::report::{Report, Verdict};

pub(super) fn claimed(claimed: &Claimed) {
    metrics::histogram!("mailqueue_queue_wait_seconds").record(claimed.waited.as_secs_f64());
}

pub(super) fn attempted(claimed: &Claimed, report: &Report, took: Duration) {
    metrics::histogram!("mailqueue_attempt_duration_seconds").record(took.as_secs_f64());
    let message_id = claimed.lease.id;
    let attempt = claimed.delivery.attempt;
    let relay = report.relay.as_deref().unwrap_or("-");
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Some((outcome, reply)) = attempt::summarize(report) else {
        tracing::info!(%message_id, attempt, duration_ms, "given back");
        return;
    };
    let reason = match &report.verdict {
        Verdict::Fault { fault, .. } => fault.as_str(),
        _ => "",
    };
    let code = reply.and_then(|reply| reply.code).unwrap_or(0);
    metrics::counter!("mailqueue_delivery_attempts_total", "outcome" => outcome.as_str(), "reason" => reason)
        .increment(1);
    match outcome {
        AttemptOutcome::Sent => tracing::info!(%message_id, attempt, relay, code, duration_ms, "sent"),
        AttemptOutcome::Ambiguous => {
            metrics::counter!("mailqueue_ambiguous_total", "cause" => "reply_lost").increment(1);
            tracing::warn!(%message_id, attempt, relay, code, duration_ms, "the answer to the final dot was lost");
        }
        AttemptOutcome::RelayFault if is_known_already(report) => {
            tracing::debug!(%message_id, attempt, relay, duration_ms, fault = reason, "not tried");
        }
        AttemptOutcome::RelayFault => {
            tracing::warn!(%message_id, attempt, relay, code, duration_ms, fault = reason, "relay fault");
        }
        other => tracing::warn!(%message_id, attempt, relay, code, duration_ms, "{}", other.as_str()),
    }
}

/// True if nothing was tried, because of what is in the log already.
fn is_known_already(report: &Report) -> bool {
    matches!(&report.verdict, Verdict::Fault { fault, .. } if !fault.was_tried())
}

pub(super) fn settled(settlement: &Settlement, settled: Settled) {
    let message_id = settlement.lease.id;
    match settled {
        Settled::Recorded(status) => {
            if status.is_final() {
                metrics::counter!("mailqueue_finished_total", "outcome" => status.as_str()).increment(1);
            }
            tracing::debug!(%message_id, status = status.as_str(), "recorded");
        }
        Settled::Superseded => tracing::info!(%message_id, "the result came after the lease was lost"),
    }
}

pub(super) fn not_settled(message_id: MessageId, reason: &str) {
    tracing::error!(%message_id, reason, "the store refuses the result; the lease is left to run out");
}

//! Events as metrics and log lines: never a subject, an address or a reply's text.

mod metric;

use std::time::Duration;

use time::OffsetDateTime;

pub use self::metric::describe;
use self::metric::*;
use crate::contracts::store::{Backlog, Claimed, Reclaimed, Settled, Settlement, StoreError};
use crate::domain::address::Address;
use crate::domain::attempt::{self, AttemptOutcome};
use crate::domain::clock;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::reason::Reason;
use crate::domain::report::{Reply, Report, Verdict};
use crate::domain::status::Status;

/// A binary of this version was started.
pub fn started(version: &'static str) {
    BUILD_INFO.gauge([version]).set(1.0);
}

/// A request over HTTP was answered.
pub fn http_answered(route: &'static str, method: &'static str, status: u16, took: Duration) {
    let labels = [route.into(), method.into(), status.to_string().into()];
    HTTP_DURATION.histogram(labels).record(took.as_secs_f64());
}

/// Messages were taken in.
pub(crate) fn accepted(count: usize) {
    ACCEPTED.counter([]).increment(count as u64);
}

/// A submission over HTTP was refused.
pub fn rejected(reason: &'static str) {
    REJECTED.counter([reason]).increment(1);
}

/// A request to the message store has failed.
pub(crate) fn store_failed(error: &StoreError) {
    STORE_ERRORS.counter([error.kind()]).increment(1);
}

/// A message has got this status; counts if it is a final one.
pub(crate) fn changed(status: Status) {
    if status.is_final() {
        FINISHED.counter([status.as_str()]).increment(1);
    }
}

/// The store has counted its backlog.
pub(crate) fn backlog_counted(backlog: &Backlog) {
    oldest_due(backlog.oldest_due, backlog.now);
}

/// The oldest message that waits was due at this time, if any is due.
pub(crate) fn oldest_due(due_at: Option<OffsetDateTime>, now: OffsetDateTime) {
    let age = due_at.map_or(Duration::ZERO, |due_at| clock::age(due_at, now));
    OLDEST_QUEUED.gauge([]).set(age.as_secs_f64());
}

/// The store has answered a probe.
pub(crate) fn probed(is_writable: bool) {
    STORE_WRITABLE.gauge([]).set(if is_writable { 1.0 } else { 0.0 });
}

/// A submission's entries did not get to the queue.
pub(crate) fn pushes_lost(count: usize) {
    PUSHES_LOST.counter([]).increment(count as u64);
}

/// The sweep has put entries back.
pub(crate) fn refilled(count: usize) {
    REFILLED.counter([]).increment(count as u64);
}

/// The depth of a lane was read.
pub(crate) fn depth_seen(lane: Lane, depth: u64) {
    // Exact up to 2^53 entries, far more than a queue holds.
    QUEUE_DEPTH.gauge([lane.as_str()]).set(depth as f64);
}

/// Calls of the queue have failed; zero shows that none has yet.
#[cfg(feature = "redis")]
pub(crate) fn queue_failed(operation: &'static str, count: u64) {
    QUEUE_ERRORS.counter([operation]).increment(count);
}

/// A message was claimed.
pub(crate) fn claimed(claimed: &Claimed) {
    QUEUE_WAIT.histogram([]).record(claimed.waited.as_secs_f64());
}

/// A message was put to the transport.
pub(crate) fn attempted(claimed: &Claimed, report: &Report, took: Duration) {
    ATTEMPT_DURATION.histogram([]).record(took.as_secs_f64());
    let message_id = claimed.lease.id;
    let attempt = claimed.delivery.attempt;
    let relay = report.relay.as_deref().unwrap_or("-");
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Some((outcome, reply)) = attempt::summarize(report) else {
        tracing::info!(event = "attempt.given_back", %message_id, attempt, duration_ms, "given back");
        return;
    };
    let (reason, domain) = (reason(report, outcome, reply.as_ref()), domain(claimed, report, reply.as_ref()));
    // 0 where no answer was read, so that the field is a number in every line.
    let code = reply.and_then(|reply| reply.code).unwrap_or(0);
    ATTEMPTS.counter([outcome.as_str(), reason]).increment(1);
    if outcome == AttemptOutcome::Ambiguous {
        AMBIGUOUS.counter(["reply_lost"]).increment(1);
    }
    macro_rules! finished {
        ($level:ident, $text:expr) => {
            tracing::$level!(
                event = "attempt.finished", %message_id, attempt, relay, domain, code, duration_ms, reason, "{}", $text
            )
        };
    }
    match outcome {
        AttemptOutcome::Sent => finished!(info, "sent"),
        AttemptOutcome::Ambiguous => finished!(warn, "the answer to the final dot was lost"),
        // The relay's own line is the one that warns.
        AttemptOutcome::RelayFault if is_known_already(report) => finished!(debug, "not tried"),
        AttemptOutcome::RelayFault => finished!(info, "relay fault"),
        other => finished!(warn, other.as_str()),
    }
}

/// The word for why an attempt did not end well. Empty rather than absent for one that did, because all series of a
/// metric have the same labels.
fn reason(report: &Report, outcome: AttemptOutcome, reply: Option<&Reply>) -> &'static str {
    let fault = match &report.verdict {
        Verdict::Fault { fault, .. } => Some(*fault),
        _ => None,
    };
    Reason::of_outcome(outcome, fault, reply).map_or("", Reason::as_str)
}

/// The domain of the recipient that a reply is about, else of the first one.
fn domain<'c>(claimed: &'c Claimed, report: &'c Report, reply: Option<&Reply>) -> &'c str {
    let told = match &report.verdict {
        Verdict::Answered(outcomes) => outcomes.iter().find(|(_, outcome)| Some(outcome.reply()) == reply),
        _ => None,
    };
    let first =
        || Some(&claimed.delivery.recipients.iter().find(|recipient| recipient.is_pending())?.address);
    told.map(|(address, _)| address).or_else(first).map_or("-", Address::domain)
}

/// True when nothing was tried, because of a fault that is in the log already.
fn is_known_already(report: &Report) -> bool {
    matches!(&report.verdict, Verdict::Fault { fault, .. } if !fault.was_tried())
}

/// The store has answered a settlement.
pub(crate) fn settled(settlement: &Settlement, settled: Settled) {
    let message_id = settlement.lease.id;
    match settled {
        Settled::Recorded(status) => {
            changed(status);
            if let (Status::Sent, Some(accepted_at)) = (status, message_id.made_at()) {
                let sent_at = settlement.context.started_at + settlement.context.duration;
                DELIVERY_DURATION.histogram([]).record(clock::age(accepted_at, sent_at).as_secs_f64());
            }
            tracing::debug!(event = "result.recorded", %message_id, status = status.as_str(), "recorded");
        }
        Settled::Superseded => {
            tracing::info!(event = "result.superseded", %message_id, "the result came after the lease was lost")
        }
    }
}

/// The store has refused a settlement.
pub(crate) fn not_settled(message_id: MessageId, reason: &str) {
    tracing::error!(event = "result.refused", %message_id, reason, "the store refuses the result; the lease is left to run out");
}

/// A lease ran out.
pub(crate) fn reclaimed(reclaimed: &Reclaimed) {
    let (message_id, status) = (reclaimed.id, reclaimed.status.as_str());
    let ambiguous = reclaimed.ambiguous;
    tracing::warn!(event = "lease.expired", %message_id, status, ambiguous, "lease ran out");
    LEASES_EXPIRED.counter([]).increment(1);
    let (outcome, reason) = (AttemptOutcome::LeaseLost, Reason::LeaseLost);
    ATTEMPTS.counter([outcome.as_str(), reason.as_str()]).increment(1);
    if ambiguous {
        AMBIGUOUS.counter(["lease_lost"]).increment(1);
    }
    changed(reclaimed.status);
}

/// The settings of a database server were read.
#[cfg(feature = "postgres")]
pub(crate) fn database_checked(is_safe: bool) {
    DATABASE_UNSAFE.gauge([]).set(if is_safe { 0.0 } else { 1.0 });
}

/// The database lets nobody change a row; its neighbours were done without it.
#[cfg(feature = "postgres")]
pub(crate) fn row_refused(operation: &'static str, reason: &str) {
    REFUSED_ROWS.counter([operation]).increment(1);
    tracing::error!(
        event = "row.refused",
        operation,
        reason,
        "the database refuses to change a message; its neighbours go on"
    );
}

/// The relay's words could not be written down with a result, which counts all the same.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn result_reduced(message_id: MessageId, refusal: &StoreError) {
    RESULTS_REDUCED.counter([]).increment(1);
    tracing::error!(event = "result.reduced", %message_id, error = %refusal, "a result was written down without the relay's words");
}

/// A row cannot be read and was left out; its neighbours were done without it.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn row_unreadable(operation: &'static str, message_id: MessageId, error: &StoreError) {
    UNREADABLE.counter([operation]).increment(1);
    tracing::error!(event = "row.unreadable", %message_id, operation, %error, "a message is left alone for a minute");
}

/// A row beside the messages cannot be read; the others of its table are used without it.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn row_left_out(table: &'static str, error: &StoreError) {
    tracing::warn!(event = "row.unreadable", table, %error, "a row cannot be read and is left out");
}

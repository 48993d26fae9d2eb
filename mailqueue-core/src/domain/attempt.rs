//! The log of what was tried.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::address::Address;
use super::report::{Outcome, RelayFault, Reply, Report, Verdict};

/// The outcome of an attempt on record, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Every recipient asked for was taken.
    Sent,
    /// Some recipients were taken, others not.
    Partial,
    /// None was taken, at least one may be later.
    Deferred,
    /// As deferred, by servers that ask for patience; the attempt does not count.
    Throttled,
    /// All were refused for good.
    Refused,
    /// The answer to the final dot was lost.
    Ambiguous,
    /// The relay could take no message; the attempt does not count.
    RelayFault,
    /// The worker's lease ran out without a result.
    LeaseLost,
}

impl AttemptOutcome {
    /// The word used in logs, metrics and the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Partial => "partial",
            Self::Deferred => "deferred",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::Ambiguous => "ambiguous",
            Self::RelayFault => "relay_fault",
            Self::LeaseLost => "lease_lost",
        }
    }
}

/// One line of a message's attempt log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The number of the attempt, from 1. A relay fault carries the number of the attempt that it kept from happening.
    pub attempt: u32,
    /// The time at which the message was claimed for it, by the store's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Its duration in milliseconds.
    pub duration_ms: u64,
    /// The worker that made it.
    pub worker: String,
    /// The relay spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// Its outcome.
    pub outcome: AttemptOutcome,
    /// The fault, when the outcome is a relay fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<RelayFault>,
    /// The answer that decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// The number of times that the same relay fault, or a server that asks for patience, was met in a row; further ones do not make the
    /// log longer.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub times: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_one(times: &u32) -> bool {
    *times == 1
}

/// The longest log kept, but for late entries. Only a retry schedule of minutes over days comes near; then the entries after the first go.
const LOG_LIMIT: usize = 200;

/// Adds an entry; one that does not count and repeats the last one only raises its count.
pub(crate) fn append(log: &mut Vec<Attempt>, entry: Attempt) {
    let repeats = |last: &Attempt| match entry.outcome {
        AttemptOutcome::RelayFault => last.fault.is_some() && last.fault == entry.fault,
        AttemptOutcome::Throttled => last.outcome == AttemptOutcome::Throttled,
        _ => false,
    };
    if let Some(last) = log.last_mut().filter(|last| repeats(last)) {
        let times = last.times.saturating_add(1);
        *last = Attempt { times, started_at: last.started_at, ..entry };
        return;
    }
    while log.len() >= LOG_LIMIT {
        log.remove(1);
    }
    log.push(entry);
}

/// Adds an entry while somebody else may hold the lease: the log gets longer even when it is full, because that is
/// how a store sees that the delivery is not as it was claimed any more. There is at most one for each recipient.
pub(crate) fn append_late(log: &mut Vec<Attempt>, entry: Attempt) {
    log.push(entry);
}

/// The word for outcomes of which none is better than deferred.
fn put_off(outcomes: &[(Address, Outcome)]) -> AttemptOutcome {
    let counts = |outcome: &Outcome| matches!(outcome, Outcome::Deferred(reply) if !reply.is_throttling());
    match outcomes.iter().any(|(_, outcome)| counts(outcome)) {
        true => AttemptOutcome::Deferred,
        false => AttemptOutcome::Throttled,
    }
}

/// The word and the telling answer of a report; `None` when nothing was tried.
pub(crate) fn summarize(report: &Report) -> Option<(AttemptOutcome, Option<Reply>)> {
    let outcomes = match &report.verdict {
        Verdict::Withheld => return None,
        Verdict::Fault { reply, .. } => return Some((AttemptOutcome::RelayFault, Some(reply.clone()))),
        Verdict::Answered(outcomes) => outcomes,
    };
    let (mut accepted, mut deferred, mut refused, mut ambiguous) = (None, None, None, None);
    for (_, outcome) in outcomes {
        match outcome {
            Outcome::Accepted(reply) => accepted = accepted.or(Some(reply)),
            Outcome::Deferred(reply) => deferred = deferred.or(Some(reply)),
            Outcome::Refused(reply) => refused = refused.or(Some(reply)),
            Outcome::Ambiguous(reply) => ambiguous = ambiguous.or(Some(reply)),
        }
    }
    let negative = deferred.or(refused);
    let (word, reply) = match (ambiguous, accepted, negative) {
        (Some(reply), _, _) => (AttemptOutcome::Ambiguous, Some(reply)),
        (None, Some(_), Some(reply)) => (AttemptOutcome::Partial, Some(reply)),
        (None, Some(reply), None) => (AttemptOutcome::Sent, Some(reply)),
        (None, None, reply) if deferred.is_some() => (put_off(outcomes), reply),
        (None, None, reply) => (AttemptOutcome::Refused, reply),
    };
    Some((word, reply.cloned()))
}

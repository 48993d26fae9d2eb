//! The one function by which a delivery changes.

use std::time::Duration;

use time::OffsetDateTime;

use super::address::Address;
use super::attempt::{self, Attempt, AttemptOutcome};
use super::delivery::Delivery;
use super::recipient::{Recipient, RecipientStatus};
use super::report::{Outcome, RelayFault, Reply, Report, Verdict};
use super::retry::RetryPolicy;
use super::status::Status;

/// The rule for a message whose outcome was lost after the final dot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Try again: it arrives at least once.
    #[default]
    Retry,
    /// Park it as `unknown`: it arrives at most once.
    Hold,
}

/// The rules a deployment sets.
///
/// ```
/// use mailqueue_core::{DeliveryPolicy, OnUnknown};
///
/// let at_most_once = DeliveryPolicy { on_unknown: OnUnknown::Hold, ..DeliveryPolicy::default() };
/// assert_eq!(at_most_once.poison_after, 3);
/// assert_eq!(DeliveryPolicy::default().on_unknown, OnUnknown::Retry);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// The retry schedule.
    pub retry: RetryPolicy,
    /// The rule for a lost outcome.
    pub on_unknown: OnUnknown,
    /// The number of leases in a row that may run out without a result before the message is taken for poison.
    pub poison_after: u32,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self { retry: RetryPolicy::default(), on_unknown: OnUnknown::default(), poison_after: 3 }
    }
}

/// An attempt as the worker saw it: times, worker and the jitter for the wait that may follow.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptContext {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The time at which the message was claimed, by the store's clock.
    pub started_at: OffsetDateTime,
    /// The time since then.
    pub duration: Duration,
    /// The time for which the message has been due.
    pub age: Duration,
    /// The worker that holds or held the lease.
    pub worker: String,
    /// A number in 0..1 that chooses within the back-off window; 0 is at once.
    pub jitter: f64,
}

/// Something that happened to a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker takes the message.
    Claimed,
    /// The worker that holds the lease asks to send the final dot.
    DotAllowed,
    /// The worker that holds the lease reports.
    Reported(Report, AttemptContext),
    /// A worker reports that holds the lease no more.
    ReportedLate(Report, AttemptContext),
    /// The lease ran out.
    LeaseExpired(AttemptContext),
    /// A person withdraws the message.
    Cancelled,
    /// A person wants it tried again now.
    RetriedNow,
    /// A person moves it to another time.
    Rescheduled(OffsetDateTime),
}

/// The time at which the message is due after a transition, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As before.
    Unchanged,
    /// After this long.
    In(Duration),
    /// At this time, or now if it has passed.
    At(OffsetDateTime),
}

/// The consequences of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The state from now on.
    pub delivery: Delivery,
    /// The time at which it is due.
    pub due: Due,
    /// True if the time until giving up starts anew with the due time.
    pub resets_age: bool,
}

/// An event that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message that is {status} does not allow this")]
pub struct NotAllowed {
    /// The status of the message.
    pub status: Status,
}

/// The transition of a delivery by an event. Every change of a delivery, in every store and in the checked model, is this
/// function; statements that do it in SQL are held to it by the conformance suite.
///
/// # Errors
///
/// [`NotAllowed`] when the state does not allow the event; then nothing may change.
pub fn decide(delivery: &Delivery, event: &Event, policy: &DeliveryPolicy) -> Result<Transition, NotAllowed> {
    let mut next = delivery.clone();
    match (event, delivery.status) {
        (Event::Claimed, Status::Queued) => {
            next.status = Status::Sending;
            next.attempt += 1;
            next.dot_allowed = false;
            Ok(stay(next))
        }
        (Event::DotAllowed, Status::Sending) => {
            next.dot_allowed = true;
            Ok(stay(next))
        }
        (Event::Reported(report, context), Status::Sending) => Ok(reported(next, report, context, policy)),
        (Event::ReportedLate(report, context), _) => reported_late(next, report, context),
        (Event::LeaseExpired(context), Status::Sending) => Ok(lease_expired(next, context, policy)),
        (Event::Cancelled, Status::Queued) => {
            for recipient in next.recipients.iter_mut().filter(|recipient| recipient.is_pending()) {
                recipient.status = doubtful_or(recipient, RecipientStatus::Cancelled);
            }
            Ok(close(next))
        }
        (Event::RetriedNow, Status::Queued) => {
            Ok(Transition { resets_age: true, ..wait(next, Duration::ZERO) })
        }
        (Event::RetriedNow, Status::Failed | Status::Unknown) => {
            // Leaves `maybe_sent` as it is, so that a later refusal still ends as unknown, not as failed.
            for recipient in &mut next.recipients {
                if matches!(recipient.status, RecipientStatus::Failed | RecipientStatus::Unknown) {
                    recipient.status = RecipientStatus::Queued;
                }
            }
            next.lost_leases = 0;
            Ok(Transition { resets_age: true, ..wait(next, Duration::ZERO) })
        }
        (Event::Rescheduled(at), Status::Queued) => {
            Ok(Transition { delivery: next, due: Due::At(*at), resets_age: true })
        }
        (_, status) => Err(NotAllowed { status }),
    }
}

fn stay(delivery: Delivery) -> Transition {
    Transition { delivery, due: Due::Unchanged, resets_age: false }
}

/// Ends a lease with the status that the recipients give.
fn close(mut delivery: Delivery) -> Transition {
    delivery.status = delivery.settled_status();
    delivery.dot_allowed = false;
    stay(delivery)
}

/// Puts the message back in line.
fn wait(delivery: Delivery, after: Duration) -> Transition {
    Transition { due: Due::In(after), ..close(delivery) }
}

/// `status`, unless a copy may be out: then nothing better than "unknown" can be said.
fn doubtful_or(recipient: &Recipient, status: RecipientStatus) -> RecipientStatus {
    if recipient.maybe_sent { RecipientStatus::Unknown } else { status }
}

fn reported(
    next: Delivery,
    report: &Report,
    context: &AttemptContext,
    policy: &DeliveryPolicy,
) -> Transition {
    match &report.verdict {
        Verdict::Withheld => {
            let mut next = next;
            next.attempt = next.attempt.saturating_sub(1);
            wait(next, policy.retry.wait(1, context.jitter))
        }
        Verdict::Fault { fault, reply, retry_after } => {
            relay_fault(next, report, (*fault, reply, *retry_after), context, policy)
        }
        Verdict::Answered(outcomes) => answered(next, report, outcomes, context, policy),
    }
}

/// Not the message's fault: the attempt is given back, unless there is no time left for another.
fn relay_fault(
    mut next: Delivery,
    report: &Report,
    (fault, reply, retry_after): (RelayFault, &Reply, Duration),
    context: &AttemptContext,
    policy: &DeliveryPolicy,
) -> Transition {
    if fault.was_tried() {
        let entry = entry(context, report.relay.clone(), AttemptOutcome::RelayFault, Some(reply.clone()));
        attempt::append(&mut next.attempts, Attempt { fault: Some(fault), ..entry });
    }
    // A worker that lives to report shows that the message is no poison.
    next.lost_leases = 0;
    // An open breaker and a pause say nothing about this message. A limit of its sender does.
    if !matches!(fault, RelayFault::BreakerOpen | RelayFault::Paused)
        && context.age >= policy.retry.give_up_after
    {
        return give_up(next, reply);
    }
    next.attempt = next.attempt.saturating_sub(1);
    wait(next, retry_after)
}

fn answered(
    mut next: Delivery,
    report: &Report,
    outcomes: &[(Address, Outcome)],
    context: &AttemptContext,
    policy: &DeliveryPolicy,
) -> Transition {
    if let Some(entry) = answer(report, context) {
        attempt::append(&mut next.attempts, entry);
    }
    next.lost_leases = 0;
    for (address, outcome) in outcomes {
        if let Some(recipient) = next.recipients.iter_mut().find(|r| r.is_pending() && r.address == *address)
        {
            apply(recipient, outcome, policy.on_unknown);
        }
    }
    if is_only_left_over(&next, outcomes) {
        next.attempt = next.attempt.saturating_sub(1);
        return retry_in(next, Duration::ZERO, context, policy);
    }
    if next.settled_status().is_final() || !is_only_throttled(&next, outcomes) {
        return retry_or_close(next, context, policy);
    }
    next.attempt = next.attempt.saturating_sub(1);
    // The attempt does not count, so the log tells how patient to be; and at least half of that, for it was asked for.
    let in_a_row = next.attempts.last().filter(|last| last.outcome == AttemptOutcome::Throttled);
    let pause =
        policy.retry.wait(in_a_row.map_or(1, |last| last.times), 0.5 + context.jitter.clamp(0.0, 1.0) / 2.0);
    retry_in(next, pause, context, policy)
}

/// True if the server took some recipients, and only their number keeps it from taking those that still wait.
fn is_only_left_over(next: &Delivery, outcomes: &[(Address, Outcome)]) -> bool {
    let is_left_over =
        |outcome: &Outcome| matches!(outcome, Outcome::Deferred(reply) if reply.is_one_too_many());
    let waits = |address: &Address| next.pending().any(|recipient| recipient.address == *address);
    outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)))
        && outcomes.iter().any(|(address, outcome)| is_left_over(outcome) && waits(address))
        && outcomes.iter().all(|(address, outcome)| is_left_over(outcome) || !waits(address))
}

/// True if servers ask for patience with every recipient that still waits.
fn is_only_throttled(next: &Delivery, outcomes: &[(Address, Outcome)]) -> bool {
    let is_throttled = |recipient: &Recipient| {
        outcomes.iter().any(|(address, outcome)| {
            *address == recipient.address
                && matches!(outcome, Outcome::Deferred(reply) if reply.is_throttling())
        })
    };
    next.pending().all(is_throttled)
}

fn apply(recipient: &mut Recipient, outcome: &Outcome, on_unknown: OnUnknown) {
    let (status, reply) = match outcome {
        Outcome::Accepted(reply) => (RecipientStatus::Sent, reply),
        Outcome::Deferred(reply) => (RecipientStatus::Queued, reply),
        Outcome::Refused(reply) => (doubtful_or(recipient, RecipientStatus::Failed), reply),
        Outcome::Ambiguous(reply) => {
            recipient.maybe_sent = true;
            (doubted(on_unknown), reply)
        }
    };
    recipient.status = status;
    recipient.reply = Some(reply.clone());
    if status == RecipientStatus::Sent {
        recipient.maybe_sent = false;
    }
}

fn doubted(on_unknown: OnUnknown) -> RecipientStatus {
    match on_unknown {
        OnUnknown::Retry => RecipientStatus::Queued,
        OnUnknown::Hold => RecipientStatus::Unknown,
    }
}

/// Closes the delivery, or lines it up for the next attempt while there is time for one.
fn retry_or_close(next: Delivery, context: &AttemptContext, policy: &DeliveryPolicy) -> Transition {
    if next.settled_status().is_final() {
        return close(next);
    }
    let pause = policy.retry.wait(next.attempt, context.jitter);
    retry_in(next, pause, context, policy)
}

fn retry_in(
    next: Delivery,
    pause: Duration,
    context: &AttemptContext,
    policy: &DeliveryPolicy,
) -> Transition {
    if context.age + pause >= policy.retry.give_up_after {
        let last = next.pending().find_map(|recipient| recipient.reply.clone());
        let reply = last.unwrap_or_else(|| Reply::new(None, "given up"));
        return give_up(next, &reply);
    }
    wait(next, pause)
}

/// Ends it for every recipient that still waits.
fn give_up(mut next: Delivery, last: &Reply) -> Transition {
    for recipient in next.recipients.iter_mut().filter(|recipient| recipient.is_pending()) {
        recipient.status = doubtful_or(recipient, RecipientStatus::Failed);
        let text = format!("given up, the last answer was: {}", last.text);
        recipient.reply = Some(Reply::new(last.code, text));
    }
    close(next)
}

/// The lease is gone, so nothing negative counts; but what a server took, it took.
fn reported_late(
    mut next: Delivery,
    report: &Report,
    context: &AttemptContext,
) -> Result<Transition, NotAllowed> {
    let refused = NotAllowed { status: next.status };
    let Verdict::Answered(outcomes) = &report.verdict else { return Err(refused) };
    let mut changed = false;
    for (address, outcome) in outcomes {
        let unsettled = |r: &&mut Recipient| r.address == *address && r.status != RecipientStatus::Sent;
        if matches!(outcome, Outcome::Accepted(_))
            && let Some(recipient) = next.recipients.iter_mut().find(unsettled)
        {
            // The rule does not matter, because only accepted outcomes get here.
            apply(recipient, outcome, OnUnknown::Retry);
            changed = true;
        }
    }
    if !changed {
        return Err(refused);
    }
    if let Some(entry) = answer(report, context) {
        attempt::append_late(&mut next.attempts, entry);
    }
    // Another worker may hold it for the recipients that still wait, so its lease goes on.
    let still_held = next.status == Status::Sending && !next.settled_status().is_final();
    if still_held { Ok(stay(next)) } else { Ok(close(next)) }
}

fn lease_expired(mut next: Delivery, context: &AttemptContext, policy: &DeliveryPolicy) -> Transition {
    let text = if next.dot_allowed {
        "the worker's lease ran out after the message may have been sent"
    } else {
        "the worker's lease ran out before the message was sent"
    };
    let reply = Reply::new(None, text);
    for recipient in next.recipients.iter_mut().filter(|recipient| recipient.is_pending()) {
        if next.dot_allowed {
            apply(recipient, &Outcome::Ambiguous(reply.clone()), policy.on_unknown);
        }
    }
    next.lost_leases += 1;
    let entry = entry(context, None, AttemptOutcome::LeaseLost, Some(reply));
    attempt::append(&mut next.attempts, entry);
    if next.lost_leases >= policy.poison_after && !next.settled_status().is_final() {
        let text = format!("poison: {} workers in a row vanished while they held it", next.lost_leases);
        return give_up(next, &Reply::new(None, text));
    }
    retry_or_close(next, context, policy)
}

/// The line of the log that an answer makes.
fn answer(report: &Report, context: &AttemptContext) -> Option<Attempt> {
    let (outcome, reply) = attempt::summarize(report)?;
    Some(entry(context, report.relay.clone(), outcome, reply))
}

fn entry(
    context: &AttemptContext,
    relay: Option<String>,
    outcome: AttemptOutcome,
    reply: Option<Reply>,
) -> Attempt {
    Attempt {
        attempt: context.attempt,
        started_at: context.started_at,
        duration_ms: context.duration.as_millis().try_into().unwrap_or(u64::MAX),
        worker: context.worker.clone(),
        relay,
        outcome,
        fault: None,
        reply,
        times: 1,
    }
}

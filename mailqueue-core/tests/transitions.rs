//! The one function by which a delivery changes: what every event makes of every status, and what no sequence of
//! events, however odd, can do.

use std::time::Duration;

use mailqueue_core::domain::address::Address;
use mailqueue_core::domain::attempt::AttemptOutcome;
use mailqueue_core::domain::delivery::Delivery;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::domain::report::{Outcome, RelayFault, Reply, Report, Verdict};
use mailqueue_core::domain::transition::{AttemptContext, Due, Event, NotAllowed, Transition, decide};
use mailqueue_core::{DeliveryPolicy, OnUnknown, RetryPolicy, Status};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

const SECOND: Duration = Duration::from_secs(1);
const LATER: OffsetDateTime = datetime!(2026-03-02 00:00 UTC);

fn address(n: usize) -> Address {
    format!("r{n}@example.org").parse().expect("an address")
}

/// Waits half of 30 s, 60 s … of at most 100 s, for 1,000 s.
fn policy(on_unknown: OnUnknown) -> DeliveryPolicy {
    let seconds = Duration::from_secs;
    let retry = RetryPolicy { first: seconds(30), cap: seconds(100), give_up_after: seconds(1000) };
    DeliveryPolicy { retry, on_unknown, poison_after: 3 }
}

fn context() -> AttemptContext {
    AttemptContext {
        attempt: 1,
        started_at: datetime!(2026-03-01 12:00 UTC),
        duration: SECOND,
        age: SECOND,
        worker: "w1".into(),
        jitter: 0.5,
    }
}

fn late() -> AttemptContext {
    AttemptContext { age: Duration::from_secs(1000), ..context() }
}

fn reply(code: u16) -> Reply {
    Reply::new(Some(code), "as scripted")
}

fn accepted() -> Outcome {
    Outcome::Accepted(reply(250))
}

fn deferred() -> Outcome {
    Outcome::Deferred(reply(451))
}

fn throttled() -> Outcome {
    Outcome::Deferred(Reply::new(Some(450), "4.7.1 as scripted"))
}

fn refused() -> Outcome {
    Outcome::Refused(reply(550))
}

fn ambiguous() -> Outcome {
    Outcome::Ambiguous(Reply::new(None, "nothing heard"))
}

fn verdict(verdict: Verdict) -> Report {
    Report { relay: Some("smtp://relay.example.com:25".into()), dot_sent: false, verdict }
}

/// Outcomes for the first recipients, in order.
fn answered<const N: usize>(outcomes: [Outcome; N]) -> Report {
    verdict(Verdict::Answered((0..).map(address).zip(outcomes).collect()))
}

fn fault(fault: RelayFault) -> Report {
    verdict(Verdict::Fault { fault, reply: reply(421), retry_after: Duration::from_secs(7) })
}

fn queued(recipients: usize) -> Delivery {
    Delivery::new((0..recipients).map(address))
}

fn after(delivery: &Delivery, event: &Event) -> Transition {
    decide(delivery, event, &policy(OnUnknown::Retry)).expect("the event is allowed")
}

fn sending(recipients: usize) -> Delivery {
    after(&queued(recipients), &Event::Claimed).delivery
}

fn past_dot(recipients: usize) -> Delivery {
    after(&sending(recipients), &Event::DotAllowed).delivery
}

fn reported(delivery: &Delivery, report: Report) -> Transition {
    after(delivery, &Event::Reported(report, context()))
}

/// A delivery of one recipient in each status, as the library itself leads there.
fn standing(status: Status) -> Delivery {
    let held = |event| decide(&sending(1), &event, &policy(OnUnknown::Hold)).expect("allowed").delivery;
    let delivery = match status {
        Status::Queued => queued(1),
        Status::Sending => sending(1),
        Status::Sent => held(Event::Reported(answered([accepted()]), context())),
        Status::Failed => held(Event::Reported(answered([refused()]), context())),
        Status::Cancelled => after(&queued(1), &Event::Cancelled).delivery,
        Status::Unknown => held(Event::Reported(answered([ambiguous()]), context())),
    };
    assert_eq!(delivery.status, status);
    delivery
}

#[test]
fn every_status_allows_what_it_should() {
    use Status::{Cancelled, Failed, Queued, Sending, Sent, Unknown};
    let late_success = Event::ReportedLate(answered([accepted()]), context());
    let table: [(Event, &[(Status, Status)]); 9] = [
        (Event::Claimed, &[(Queued, Sending)]),
        (Event::DotAllowed, &[(Sending, Sending)]),
        (Event::Reported(answered([deferred()]), context()), &[(Sending, Queued)]),
        (
            late_success,
            &[(Queued, Sent), (Sending, Sent), (Failed, Sent), (Cancelled, Sent), (Unknown, Sent)],
        ),
        (Event::ReportedLate(answered([refused()]), context()), &[]),
        (Event::LeaseExpired(context()), &[(Sending, Queued)]),
        (Event::Cancelled, &[(Queued, Cancelled)]),
        (Event::RetriedNow, &[(Queued, Queued), (Failed, Queued), (Unknown, Queued)]),
        (Event::Rescheduled(LATER), &[(Queued, Queued)]),
    ];
    for (event, allowed) in table {
        for status in Status::ALL {
            let expected = allowed.iter().find(|(from, _)| *from == status).map(|(_, to)| *to);
            let found = decide(&standing(status), &event, &policy(OnUnknown::Retry));
            let found = found.map(|transition| transition.delivery.status);
            assert_eq!(found, expected.ok_or(NotAllowed { status }), "{event:?} when {status}");
        }
    }
}

#[test]
fn a_late_report_that_is_no_success_is_never_allowed() {
    for status in Status::ALL {
        for report in [
            verdict(Verdict::Withheld),
            fault(RelayFault::Connect),
            answered([deferred()]),
            answered([refused()]),
            answered([ambiguous()]),
            answered([]),
        ] {
            let event = Event::ReportedLate(report, context());
            let found = decide(&standing(status), &event, &policy(OnUnknown::Retry));
            assert_eq!(found, Err(NotAllowed { status }));
        }
    }
}

#[test]
fn a_claim_counts_and_forgets_the_dot() {
    let claimed = after(&queued(2), &Event::Claimed);
    assert_eq!((claimed.delivery.attempt, claimed.delivery.dot_allowed), (1, false));
    assert_eq!((claimed.due, claimed.resets_age), (Due::Unchanged, false));
    assert!(past_dot(1).dot_allowed);
}

/// Statuses of the recipients after one report, and of the message.
fn becomes<const N: usize>(
    delivery: &Delivery,
    outcomes: [Outcome; N],
    on_unknown: OnUnknown,
) -> (Vec<RecipientStatus>, Status) {
    let event = Event::Reported(answered(outcomes), context());
    let next = decide(delivery, &event, &policy(on_unknown)).expect("allowed").delivery;
    (next.recipients.iter().map(|recipient| recipient.status).collect(), next.status)
}

#[test]
fn outcomes_make_the_status() {
    use RecipientStatus::{Failed, Queued, Sent, Unknown};
    let retry = |outcomes| becomes(&past_dot(2), outcomes, OnUnknown::Retry);
    let hold = |outcomes| becomes(&past_dot(2), outcomes, OnUnknown::Hold);
    assert_eq!(retry([accepted(), accepted()]), (vec![Sent, Sent], Status::Sent));
    assert_eq!(retry([accepted(), refused()]), (vec![Sent, Failed], Status::Sent));
    assert_eq!(retry([refused(), refused()]), (vec![Failed, Failed], Status::Failed));
    assert_eq!(retry([accepted(), deferred()]), (vec![Sent, Queued], Status::Queued));
    assert_eq!(retry([refused(), deferred()]), (vec![Failed, Queued], Status::Queued));
    assert_eq!(retry([ambiguous(), refused()]), (vec![Queued, Failed], Status::Queued));
    assert_eq!(hold([ambiguous(), ambiguous()]), (vec![Unknown, Unknown], Status::Unknown));
    assert_eq!(hold([ambiguous(), refused()]), (vec![Unknown, Failed], Status::Unknown));
    assert_eq!(hold([ambiguous(), accepted()]), (vec![Unknown, Sent], Status::Sent));
    assert_eq!(hold([ambiguous(), deferred()]), (vec![Unknown, Queued], Status::Queued));
}

#[test]
fn an_answer_for_nobody_changes_nobody() {
    let stranger = ("eve@example.org".parse().expect("an address"), accepted());
    let next = reported(&sending(1), verdict(Verdict::Answered(vec![stranger]))).delivery;
    assert_eq!((next.status, next.recipients), (Status::Queued, queued(1).recipients));
}

#[test]
fn doubt_is_never_forgotten() {
    let doubted = reported(&past_dot(1), answered([ambiguous()])).delivery;
    assert!(doubted.maybe_sent());
    let again = after(&doubted, &Event::Claimed).delivery;
    assert!(again.maybe_sent());
    assert_eq!(becomes(&again, [refused()], OnUnknown::Retry).1, Status::Unknown);
    assert_eq!(after(&doubted, &Event::Cancelled).delivery.status, Status::Unknown);
    let over = after(&again, &Event::Reported(answered([deferred()]), late())).delivery;
    assert_eq!(over.status, Status::Unknown);
    let faulty = after(&again, &Event::Reported(fault(RelayFault::Dns), late())).delivery;
    assert_eq!(faulty.status, Status::Unknown);
    let sent = reported(&again, answered([accepted()])).delivery;
    assert_eq!((sent.status, sent.maybe_sent()), (Status::Sent, false));
}

#[test]
fn waits_are_exponential_and_capped() {
    let mut delivery = queued(1);
    let mut waits = Vec::new();
    for _ in 0..4 {
        delivery = after(&delivery, &Event::Claimed).delivery;
        let transition = reported(&delivery, answered([deferred()]));
        waits.push(transition.due);
        delivery = transition.delivery;
    }
    assert_eq!(waits, [15, 30, 50, 50].map(|seconds| Due::In(Duration::from_secs(seconds))));
    assert_eq!(delivery.attempt, 4);
}

#[test]
fn gives_up_when_there_is_no_time_for_another_attempt() {
    let at = |age| AttemptContext { age: Duration::from_secs(age), ..context() };
    let status = |report: Report, age| after(&sending(1), &Event::Reported(report, at(age))).delivery.status;
    assert_eq!(status(answered([deferred()]), 984), Status::Queued);
    assert_eq!(status(answered([deferred()]), 985), Status::Failed);
    assert_eq!(status(answered([throttled()]), 977), Status::Queued);
    assert_eq!(status(answered([throttled()]), 978), Status::Failed);
    assert_eq!(status(fault(RelayFault::Tls), 999), Status::Queued);
    assert_eq!(status(fault(RelayFault::Tls), 1000), Status::Failed);
    assert_eq!(status(fault(RelayFault::Paused), 1000), Status::Queued, "a pause fails no message");
    assert_eq!(after(&sending(1), &Event::LeaseExpired(at(985))).delivery.status, Status::Failed);
}

#[test]
fn a_relay_fault_gives_the_attempt_back_and_waits_as_told() {
    let next = reported(&sending(1), fault(RelayFault::Auth));
    assert_eq!((next.delivery.attempt, next.delivery.status), (0, Status::Queued));
    assert_eq!((next.due, next.resets_age), (Due::In(Duration::from_secs(7)), false));
    assert_eq!(next.delivery.attempts[0].fault, Some(RelayFault::Auth));
    let again = after(&next.delivery, &Event::Claimed).delivery;
    let again = reported(&again, fault(RelayFault::Auth)).delivery;
    assert_eq!((again.attempts.len(), again.attempts[0].times), (1, 2));
    let other = after(&again, &Event::Claimed).delivery;
    assert_eq!(reported(&other, fault(RelayFault::Dns)).delivery.attempts.len(), 2);
    let open = reported(&other, fault(RelayFault::BreakerOpen)).delivery;
    assert_eq!(open.attempts, again.attempts, "an open breaker is not an attempt");
}

#[test]
fn a_throttle_gives_the_attempt_back_and_waits_longer_each_time() {
    let (mut delivery, mut waits) = (queued(1), Vec::new());
    for times in 1..=4 {
        let next = reported(&after(&delivery, &Event::Claimed).delivery, answered([throttled()]));
        delivery = next.delivery;
        assert_eq!((delivery.attempt, delivery.status), (0, Status::Queued));
        let last = &delivery.attempts[0];
        assert_eq!(
            (last.outcome, last.times, delivery.attempts.len()),
            (AttemptOutcome::Throttled, times, 1)
        );
        waits.push(next.due);
    }
    // Three quarters of each window, with half of the jitter.
    assert_eq!(waits, [22_500, 45_000, 75_000, 75_000].map(|millis| Due::In(Duration::from_millis(millis))));
    let other = reported(&after(&delivery, &Event::Claimed).delivery, answered([deferred()])).delivery;
    assert_eq!((other.attempt, other.attempts.len()), (1, 2), "anything else counts");
}

#[test]
fn a_throttle_is_what_asks_for_patience_and_nothing_else() {
    let attempts = |code, text: &str| {
        let outcome = Outcome::Deferred(Reply::new(Some(code), text));
        reported(&sending(1), answered([outcome])).delivery.attempt
    };
    for (code, text) in [
        (421, ""),
        (432, "4.3.2 concurrent connections limit exceeded"),
        (454, "Throttling failure: maximum sending rate exceeded"),
        (450, "4.7.1 greylisted"),
        (451, "4.7.650 the mail server has been temporarily rate limited"),
        (452, "4.3.2 later"),
        (451, "4.4.5 busy"),
    ] {
        assert_eq!(attempts(code, text), 0, "{code} {text}");
    }
    for (code, text) in
        [(450, "4.2.1 mailbox"), (451, ""), (451, "4.3.20"), (452, "4.3.1 full"), (550, "4.7.1")]
    {
        assert_eq!(attempts(code, text), 1, "{code} {text}");
    }
}

#[test]
fn a_throttle_beside_something_that_counts_counts() {
    assert_eq!(reported(&sending(2), answered([throttled(), deferred()])).delivery.attempt, 1);
    assert_eq!(reported(&sending(2), answered([throttled(), ambiguous()])).delivery.attempt, 1);
    let partial = reported(&sending(2), answered([throttled(), accepted()])).delivery;
    assert_eq!((partial.attempt, partial.attempts[0].outcome), (0, AttemptOutcome::Partial));
    let refused = reported(&sending(2), answered([throttled(), refused()])).delivery;
    assert_eq!((refused.attempt, refused.attempts[0].outcome), (0, AttemptOutcome::Throttled));
}

#[test]
fn recipients_left_over_for_their_number_go_at_once_while_others_are_taken() {
    let left_over = || Outcome::Deferred(Reply::new(Some(452), "4.5.3 too many recipients"));
    let next = reported(&sending(2), answered([accepted(), left_over()]));
    assert_eq!((next.due, next.delivery.attempt), (Due::In(Duration::ZERO), 0));
    let beside = reported(&sending(3), answered([accepted(), left_over(), deferred()]));
    assert_eq!((beside.due, beside.delivery.attempt), (Due::In(Duration::from_secs(15)), 1));
    let none = reported(&sending(1), answered([left_over()]));
    assert_eq!((none.due, none.delivery.attempt), (Due::In(Duration::from_secs(15)), 1));
}

#[test]
fn a_limit_of_the_sender_is_no_attempt_but_time_runs() {
    let limited = fault(RelayFault::SenderLimited);
    let next = reported(&sending(1), limited.clone()).delivery;
    assert_eq!((next.attempt, next.attempts.len(), next.status), (0, 0, Status::Queued));
    let late = AttemptContext { age: Duration::from_secs(1000), ..context() };
    assert_eq!(after(&sending(1), &Event::Reported(limited, late)).delivery.status, Status::Failed);
}

#[test]
fn a_withheld_message_leaves_no_trace_and_waits_unless_it_is_given_back() {
    let withheld = verdict(Verdict::Withheld);
    let first = policy(OnUnknown::Retry).retry.first;
    let next = reported(&past_dot(1), withheld.clone());
    assert_eq!((next.delivery, next.due), (queued(1), Due::In(first.mul_f64(context().jitter))));
    let given_back =
        after(&past_dot(1), &Event::Reported(withheld, AttemptContext { jitter: 0.0, ..context() }));
    assert_eq!((given_back.delivery, given_back.due), (queued(1), Due::In(Duration::ZERO)));
}

#[test]
fn a_lost_lease_is_ambiguous_only_past_the_dot() {
    let before = after(&sending(1), &Event::LeaseExpired(context())).delivery;
    assert_eq!((before.status, before.maybe_sent(), before.lost_leases), (Status::Queued, false, 1));
    assert_eq!(before.attempts[0].outcome, AttemptOutcome::LeaseLost);
    let past = after(&past_dot(1), &Event::LeaseExpired(context())).delivery;
    assert_eq!((past.status, past.maybe_sent(), past.dot_allowed), (Status::Queued, true, false));
    let held = decide(&past_dot(1), &Event::LeaseExpired(context()), &policy(OnUnknown::Hold));
    assert_eq!(held.expect("allowed").delivery.status, Status::Unknown);
}

/// The message after some leases were lost in a row, the dot allowed under those of which `dots` says so.
fn lost(dots: &[bool]) -> Delivery {
    dots.iter().fold(queued(1), |delivery, dot| {
        let mut delivery = after(&delivery, &Event::Claimed).delivery;
        if *dot {
            delivery = after(&delivery, &Event::DotAllowed).delivery;
        }
        after(&delivery, &Event::LeaseExpired(context())).delivery
    })
}

#[test]
fn poison_ends() {
    assert_eq!(lost(&[false, false]).status, Status::Queued);
    assert_eq!(lost(&[false, false, false]).status, Status::Failed);
    assert_eq!(lost(&[true, false, false]).status, Status::Unknown);
    for report in [answered([deferred()]), fault(RelayFault::Connect)] {
        let heard = after(&lost(&[false, false]), &Event::Claimed).delivery;
        assert_eq!(reported(&heard, report).delivery.lost_leases, 0, "a result ends the row");
    }
    assert_eq!(after(&lost(&[false, false, false]), &Event::RetriedNow).delivery.lost_leases, 0);
}

#[test]
fn a_person_can_start_the_time_anew() {
    let failed = standing(Status::Failed);
    let retried = after(&failed, &Event::RetriedNow);
    assert_eq!((retried.due, retried.resets_age), (Due::In(Duration::ZERO), true));
    assert_eq!(retried.delivery.pending().count(), 1);
    let moved = after(&queued(1), &Event::Rescheduled(LATER));
    assert_eq!((moved.due, moved.resets_age, moved.delivery), (Due::At(LATER), true, queued(1)));
}

#[test]
fn cancelling_touches_only_who_waits() {
    let partly = reported(&sending(2), answered([accepted(), deferred()])).delivery;
    let cancelled = after(&partly, &Event::Cancelled).delivery;
    assert_eq!(cancelled.status, Status::Sent);
    assert_eq!(cancelled.recipients[1].status, RecipientStatus::Cancelled);
}

#[test]
fn a_late_success_leaves_the_holder_its_lease_for_the_others() {
    let late = Event::ReportedLate(answered([accepted(), deferred()]), context());
    let next = after(&past_dot(2), &late);
    assert_eq!((next.delivery.status, next.delivery.dot_allowed), (Status::Sending, true));
    assert_eq!((next.delivery.pending().count(), next.due), (1, Due::Unchanged));
    let both = after(&past_dot(2), &Event::ReportedLate(answered([accepted(), accepted()]), context()));
    assert_eq!(both.delivery.status, Status::Sent);
}

/// A delivery whose attempt log is as long as it gets.
fn with_full_log() -> Delivery {
    let mut delivery = queued(2);
    for _ in 0..200 {
        delivery = after(&delivery, &Event::Claimed).delivery;
        delivery = reported(&delivery, answered([deferred(), deferred()])).delivery;
    }
    delivery
}

#[test]
fn the_log_keeps_its_first_line_and_its_last_ones() {
    let numbered = |n: u32| AttemptContext { attempt: n, ..context() };
    let mut delivery = queued(1);
    for n in 1..=300 {
        delivery = after(&delivery, &Event::Claimed).delivery;
        delivery = after(&delivery, &Event::Reported(answered([deferred()]), numbered(n))).delivery;
    }
    let kept: Vec<u32> = delivery.attempts.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!((kept.len(), kept[0], kept[1], kept[199]), (200, 1, 102, 300));
}

/// Postgres sees by the log's length that the delivery has changed under a lease; a late success that did not show
/// there would be overwritten by what the holder of the lease reports.
#[test]
fn a_late_success_shows_in_the_length_of_a_full_log() {
    let claimed = after(&with_full_log(), &Event::Claimed).delivery;
    let next = after(&claimed, &Event::ReportedLate(answered([accepted()]), context())).delivery;
    assert_eq!(next.status, Status::Sending);
    assert_eq!(next.attempts.len(), claimed.attempts.len() + 1);
}

// Whatever happens.

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(accepted()), Just(deferred()), Just(throttled()), Just(refused()), Just(ambiguous())]
}

fn report() -> impl Strategy<Value = Report> {
    let word = (0..5_usize, outcome()).prop_map(|(n, outcome)| (address(n), outcome));
    let faults = [RelayFault::Connect, RelayFault::BreakerOpen, RelayFault::Tls];
    prop_oneof![
        1 => Just(verdict(Verdict::Withheld)),
        2 => proptest::sample::select(faults.to_vec()).prop_map(fault),
        5 => prop::collection::vec(word, 0..6).prop_map(|all| verdict(Verdict::Answered(all))),
    ]
}

fn circumstances() -> impl Strategy<Value = AttemptContext> {
    let age = prop_oneof![8 => 0..900_u64, 1 => 900..2000_u64, 1 => Just(u64::from(u32::MAX))];
    (age, prop_oneof![Just(0.0), Just(1.0), Just(-3.0), Just(7.0), 0.0..1.0], any::<u32>()).prop_map(
        |(age, jitter, attempt)| AttemptContext {
            age: Duration::from_secs(age),
            jitter,
            attempt,
            ..context()
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Claimed),
        3 => Just(Event::DotAllowed),
        4 => (report(), circumstances()).prop_map(|(report, context)| Event::Reported(report, context)),
        2 => (report(), circumstances()).prop_map(|(report, context)| Event::ReportedLate(report, context)),
        2 => circumstances().prop_map(Event::LeaseExpired),
        1 => Just(Event::Cancelled),
        2 => Just(Event::RetriedNow),
        1 => Just(Event::Rescheduled(LATER)),
    ]
}

/// What must be so in every state.
fn assert_sound(delivery: &Delivery) {
    let any = |status| delivery.recipients.iter().any(|recipient| recipient.status == status);
    let has_pending = delivery.pending().next().is_some();
    match delivery.status {
        Status::Queued | Status::Sending => assert!(has_pending),
        Status::Sent => assert!(!has_pending && any(RecipientStatus::Sent)),
        Status::Failed => assert!(!delivery.maybe_sent() && !any(RecipientStatus::Sent)),
        Status::Unknown => assert!(!has_pending && any(RecipientStatus::Unknown)),
        Status::Cancelled => assert!(!delivery.maybe_sent() && any(RecipientStatus::Cancelled)),
    }
    assert!(delivery.status == Status::Sending || !delivery.dot_allowed);
    assert!(delivery.attempts.len() <= 200 + delivery.recipients.len());
    for recipient in &delivery.recipients {
        let is_certain = [RecipientStatus::Sent, RecipientStatus::Failed, RecipientStatus::Cancelled];
        assert!(!(recipient.maybe_sent && is_certain.contains(&recipient.status)));
    }
}

/// What must be so of every step.
fn assert_step(before: &Delivery, event: &Event, next: &Transition) {
    let delivery = &next.delivery;
    assert_eq!(before.recipients.len(), delivery.recipients.len());
    for (old, new) in before.recipients.iter().zip(&delivery.recipients) {
        assert_eq!(old.address, new.address);
        assert!(
            old.status != RecipientStatus::Sent || new.status == RecipientStatus::Sent,
            "a success stays"
        );
        assert!(!old.maybe_sent || new.maybe_sent || new.status == RecipientStatus::Sent, "doubt stays");
    }
    if before.status.is_final() {
        let is_late = matches!(event, Event::ReportedLate(..)) && delivery.status == Status::Sent;
        assert!(is_late || *event == Event::RetriedNow && delivery.status == Status::Queued);
    }
    let is_given_back = |verdict: &Verdict| {
        matches!(verdict, Verdict::Withheld)
            || matches!(verdict, Verdict::Fault { .. }) && !delivery.status.is_final()
    };
    // Which of them are is shown above; here, that it takes one.
    let is_throttled = |verdict: &Verdict| match verdict {
        Verdict::Answered(all) => all.iter().any(|(_, outcome)| *outcome == throttled()),
        _ => false,
    };
    let attempts = match event {
        Event::Claimed => before.attempt + 1,
        Event::Reported(report, _) if is_throttled(&report.verdict) => {
            delivery.attempt.clamp(before.attempt - 1, before.attempt)
        }
        Event::Reported(report, _) if is_given_back(&report.verdict) => before.attempt - 1,
        _ => before.attempt,
    };
    assert_eq!(delivery.attempt, attempts);
    assert!(delivery.attempts.len() <= before.attempts.len() + 1);
    assert!(delivery.status != Status::Sending || next.due == Due::Unchanged);
    assert!(next.resets_age == matches!(event, Event::RetriedNow | Event::Rescheduled(_)));
    if let Due::In(wait) = next.due {
        assert!(wait <= Duration::from_secs(100), "no wait is longer than the cap");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_does_harm(
        recipients in 1..5_usize,
        hold in any::<bool>(),
        events in prop::collection::vec(event(), 0..120),
        is_old in prop::bool::weighted(0.1),
    ) {
        let policy = policy(if hold { OnUnknown::Hold } else { OnUnknown::Retry });
        let mut delivery = if is_old { with_full_log() } else { queued(recipients) };
        for event in events {
            let status = delivery.status;
            match decide(&delivery, &event, &policy) {
                Ok(next) => {
                    assert_step(&delivery, &event, &next);
                    assert_sound(&next.delivery);
                    delivery = next.delivery;
                }
                Err(refused) => prop_assert_eq!(refused, NotAllowed { status }),
            }
        }
    }

    #[test]
    fn no_wait_overflows(attempt in any::<u32>(), jitter in any::<f64>(), first in any::<u32>(), cap in any::<u32>()) {
        let (first, cap) = (Duration::from_secs(first.into()), Duration::from_secs(cap.into()));
        let retry = RetryPolicy { first, cap, give_up_after: Duration::MAX };
        prop_assert!(retry.wait(attempt, jitter) <= cap);
    }
}

//! The delivery protocol, explored exhaustively: every order in which two workers, a server, the sweep and a person
//! can act on one message, with crashes, leases that run out on a worker that is merely slow, and answers that are lost.
//!
//! Every change of the message's state is `transition::decide`, the function the stores call. Around it the model does
//! what a store does (leases, the gate, the fence) and what a server does (it takes copies). The queue needs no part:
//! that it may lose and repeat entries only means that anybody may claim at any time, and so anybody may.
//!
//! Removing any one mechanism from the model must break a property; otherwise the properties would prove nothing.

mod parts;
mod properties;
mod rules;
mod steps;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use mailqueue_core::domain::address::Address;
use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::{DeliveryPolicy, OnUnknown, Status};
use stateright::{Checker, HasDiscoveries, Model};

use properties::{COPIES, FAILED, HELD, REFUSED, SUCCESS};

/// After this many attempts the message's time is up: it bounds what there is to explore.
const ATTEMPTS: u32 = 3;

/// What is taken away from the protocol to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Missing {
    Nothing,
    /// Results count whoever holds the lease.
    Fence,
    /// The dot is allowed to whoever asks.
    GateAsksForLease,
    /// The dot is allowed to whoever holds the lease, but that is not written down.
    GateWritesDown,
    /// A new attempt begins as if nothing had been ambiguous.
    MemoryOfDoubt,
    /// A refusal is taken for a deferral.
    Refusals,
    /// A worker that died is never noticed.
    Reclaim,
    /// A success counts only while the lease is held.
    LateSuccess,
    /// A result is written over whatever was written since the claim.
    LookAtTheLog,
}

/// How a result is written down.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Settling {
    /// On the row as it is, locked: SQLite, and Postgres when the other way finds nothing to write.
    Locked,
    /// On the state as it was claimed, if the lease is held and the attempt log has not grown: Postgres.
    Fenced,
}

#[derive(Debug, Clone)]
struct Protocol<const R: usize> {
    policy: DeliveryPolicy,
    settling: Settling,
    missing: Missing,
    addresses: [Address; R],
}

/// The row of the message, without what decides nothing: replies and the text of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row<const R: usize> {
    status: Status,
    attempt: u32,
    lost_leases: u32,
    dot_allowed: bool,
    recipients: [(RecipientStatus, bool); R],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Nobody,
    /// The current claim of this worker.
    Worker(usize),
    /// A claim that nobody remembers.
    Dead,
}

/// What one recipient's server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Accepted,
    Deferred,
    Throttled,
    Refused,
    Lost,
}

/// What a worker reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Said<const R: usize> {
    Withheld,
    Fault,
    Answered([Option<Word>; R]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker<const R: usize> {
    Idle,
    /// It talks to a server; the dot has not been allowed.
    Talking(Row<R>),
    /// The dot is allowed, with the claim or by the gate; it leaves when the worker gets round to it, if the server takes the
    /// envelope. A permission that has grown too old is asked for anew.
    PastGate(Row<R>),
    /// It knows the result and has it not written down, as far as it knows.
    Reporting(Row<R>, Said<R>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World<const R: usize> {
    row: Row<R>,
    holder: Holder,
    /// Whether the attempt log has grown since the claim.
    logged: bool,
    workers: [Worker<R>; 2],
    // What no part of the system knows, kept to judge it by.
    copies: [u8; R],
    /// Ambiguous events on record.
    ambiguous: u8,
    /// Recipients whose refusal was written down by who held the lease.
    refused: [bool; R],
    /// Recipients that were once said to have got it.
    said_sent: [bool; R],
    /// Recipients of whom a worker that reported, and went on reporting until it was heard, knows that they got it.
    heard_accepted: [bool; R],
    has_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step<const R: usize> {
    /// A worker claims the message, and the dot is allowed with that or not.
    Claim(usize, bool),
    /// The gate answers, or its answer is lost on the way.
    Gate(usize, bool),
    /// The conversation ends before the dot.
    EndEarly(usize, Said<R>),
    /// The dot is sent; these are the answers, and whether the server took it for those whose answer is lost.
    Dot(usize, [Option<Word>; R], bool),
    /// The result is written down, and the worker hears of it or not.
    Report(usize, bool),
    Crash(usize),
    LeaseEnds,
    Cancel,
}
// What is asked of it.

fn assert_holds<const R: usize>(model: Protocol<R>) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
}

/// The states from which the message cannot end any more, however things go.
fn dead_ends<M: Model>(model: &M, is_end: impl Fn(&M::State) -> bool) -> usize
where
    M::State: Clone + Eq + Hash + Debug,
{
    let mut found: HashMap<M::State, usize> = HashMap::new();
    let (mut queue, mut before) = (Vec::new(), Vec::<Vec<usize>>::new());
    let mut visit = |state: M::State, from: Option<usize>, queue: &mut Vec<(usize, M::State)>| {
        let n = *found.entry(state.clone()).or_insert_with(|| {
            before.push(Vec::new());
            queue.push((before.len() - 1, state));
            before.len() - 1
        });
        before[n].extend(from);
    };
    model.init_states().into_iter().for_each(|state| visit(state, None, &mut queue));
    let mut ends = Vec::new();
    while let Some((n, state)) = queue.pop() {
        if is_end(&state) {
            ends.push(n);
        }
        model.next_states(&state).into_iter().for_each(|next| visit(next, Some(n), &mut queue));
    }
    let mut reaches = vec![false; before.len()];
    while let Some(n) = ends.pop() {
        if !std::mem::replace(&mut reaches[n], true) {
            ends.extend(&before[n]);
        }
    }
    reaches.iter().filter(|reaches| !**reaches).count()
}

/// Whether a property breaks when something is missing.
fn breaks<const R: usize>(model: Protocol<R>, property: &'static str) -> bool {
    let enough = HasDiscoveries::AllOf([property].into());
    let checker = model.checker().threads(2).finish_when(enough).spawn_bfs().join();
    checker.discovery(property).is_some()
}

#[test]
fn holds_for_one_recipient() {
    for settling in [Settling::Locked, Settling::Fenced] {
        assert_holds(Protocol::<1>::new(OnUnknown::Retry, settling, Missing::Nothing));
        assert_holds(Protocol::<1>::new(OnUnknown::Hold, settling, Missing::Nothing));
    }
}

#[test]
fn holds_for_two_recipients() {
    assert_holds(Protocol::<2>::new(OnUnknown::Retry, Settling::Fenced, Missing::Nothing));
}

#[test]
fn holds_for_two_recipients_when_doubt_is_held() {
    for settling in [Settling::Locked, Settling::Fenced] {
        assert_holds(Protocol::<2>::new(OnUnknown::Hold, settling, Missing::Nothing));
    }
}

#[test]
fn a_message_can_end_from_wherever_it_stands() {
    for on_unknown in [OnUnknown::Retry, OnUnknown::Hold] {
        let model = Protocol::<1>::new(on_unknown, Settling::Fenced, Missing::Nothing);
        assert_eq!(dead_ends(&model, |world| world.row.status.is_final()), 0);
        let model = Protocol { missing: Missing::Reclaim, ..model };
        assert!(dead_ends(&model, |world| world.row.status.is_final()) > 0, "a lost lease is never ended");
    }
}

#[test]
fn no_mechanism_can_be_spared() {
    for (missing, property) in [
        (Missing::Fence, COPIES),
        (Missing::Fence, FAILED),
        (Missing::Fence, SUCCESS),
        (Missing::GateAsksForLease, COPIES),
        (Missing::GateAsksForLease, FAILED),
        (Missing::GateWritesDown, COPIES),
        (Missing::GateWritesDown, FAILED),
        (Missing::MemoryOfDoubt, FAILED),
        (Missing::Refusals, REFUSED),
        (Missing::LateSuccess, SUCCESS),
    ] {
        let model = Protocol::<1>::new(OnUnknown::Retry, Settling::Locked, missing);
        assert!(breaks(model, property), "without {missing:?}: {property}");
    }
}

#[test]
fn no_mechanism_can_be_spared_when_doubt_is_held() {
    for missing in [Missing::Fence, Missing::GateAsksForLease, Missing::GateWritesDown] {
        let model = Protocol::<1>::new(OnUnknown::Hold, Settling::Locked, missing);
        assert!(breaks(model, HELD), "without {missing:?}");
    }
}

/// The holder's result, worked out from the state as it was claimed, would overwrite what was reported late.
#[test]
fn the_fence_has_to_look_at_the_log_too() {
    let model = Protocol::<2>::new(OnUnknown::Retry, Settling::Fenced, Missing::LookAtTheLog);
    assert!(breaks(model, SUCCESS));
}

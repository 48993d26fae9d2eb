//! What holds in every state that can be reached.

use mailqueue_core::domain::recipient::RecipientStatus;
use mailqueue_core::{OnUnknown, Status};
use stateright::Property;

use super::{Holder, Protocol, World};

pub(super) const COPIES: &str = "no more than one copy, and one more for each ambiguous event on record";
pub(super) const HELD: &str = "at most one copy where lost outcomes are held";
pub(super) const SENT: &str = "what is called sent was taken";
pub(super) const FAILED: &str = "what is called failed or cancelled was not taken";
pub(super) const REFUSED: &str = "a refusal on record is not tried again";
pub(super) const SUCCESS: &str = "a success that was reported stays on record";
pub(super) const ENDED: &str = "what has ended does not begin again";
pub(super) const POISON: &str = "leases lost in a row end the message";
pub(super) const LEASES: &str = "what is being sent is leased, and nothing else";

/// All of them.
pub(super) fn all<const R: usize>() -> Vec<Property<Protocol<R>>> {
    vec![
        Property::always(COPIES, |_, world: &World<R>| {
            world.copies.iter().all(|n| *n <= 1 + world.ambiguous)
        }),
        Property::always(HELD, |model: &Protocol<R>, world: &World<R>| {
            model.policy.on_unknown == OnUnknown::Retry || world.copies.iter().all(|n| *n <= 1)
        }),
        Property::always(SENT, |_, world: &World<R>| {
            let is_true = |n: usize| !world.is(n, RecipientStatus::Sent) || world.copies[n] > 0;
            let any = world.row.status != Status::Sent || world.copies.iter().any(|n| *n > 0);
            any && (0..R).all(is_true)
        }),
        Property::always(FAILED, |_, world: &World<R>| {
            let none = |n: usize| {
                let is_over = world.is(n, RecipientStatus::Failed) || world.is(n, RecipientStatus::Cancelled);
                !is_over || world.copies[n] == 0
            };
            (0..R).all(none)
        }),
        Property::always(REFUSED, |_, world: &World<R>| {
            (0..R).all(|n| !world.refused[n] || !world.is(n, RecipientStatus::Queued))
        }),
        Property::always(SUCCESS, |_, world: &World<R>| {
            let is_kept = |n: usize| {
                let is_known = world.said_sent[n] || world.heard_accepted[n];
                !is_known || world.is(n, RecipientStatus::Sent)
            };
            (0..R).all(is_kept)
        }),
        Property::always(ENDED, |_, world: &World<R>| !world.has_ended || world.row.status.is_final()),
        Property::always(POISON, |model: &Protocol<R>, world: &World<R>| {
            let most = model.policy.poison_after;
            let is_over = world.row.lost_leases == most && world.row.status.is_final();
            world.row.lost_leases < most || is_over
        }),
        Property::always(LEASES, |_, world: &World<R>| {
            (world.row.status == Status::Sending) == (world.holder != Holder::Nobody)
        }),
    ]
}

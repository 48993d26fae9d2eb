//! The outcome of a transaction.

use super::fault::Fault;
use crate::domain::address::Address;
use crate::domain::report::{Outcome, Reply};

/// The outcome of a transaction, and in an `Err` the reason to go no further.
#[derive(Debug)]
pub(super) enum Conclusion {
    /// The kept connection had been closed by the server before it saw this message.
    Stale,
    /// The relay was not asked: its offer tells that it cannot take this message.
    Unfit(Reply),
    /// After its first reply to commands in one group came no other. Nothing was sent.
    Silent,
    /// The relay takes no message. Nothing was sent.
    Fault(Fault),
    /// The relay asks everybody for patience before it knows a recipient. Nothing was sent.
    Pressed(Fault),
    /// The gate stayed shut. Nothing was sent.
    Withheld,
    /// Every recipient has its outcome.
    Answered(Answers),
}

/// An outcome for every recipient, and the state of the connection afterwards.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) outcomes: Vec<(Address, Outcome)>,
    /// Set once all octets of the message, the final dot among them, were written to the connection.
    pub(super) dot_sent: bool,
    /// Set when nothing is outstanding and the server kept to the protocol, so that the connection can be kept.
    pub(super) reusable: bool,
    /// Set when the relay behaved, even if it refused.
    pub(super) well: bool,
    pub(super) throttle: Option<Throttle>,
    /// Recipients that were too many for one transaction of which others were taken.
    pub(super) left_over: Vec<Address>,
}

impl Answers {
    /// Adds the outcomes of the recipients that were left over.
    pub(super) fn add(&mut self, next: Self) {
        for (address, outcome) in next.outcomes {
            if let Some(known) = self.outcomes.iter_mut().find(|(known, _)| *known == address) {
                known.1 = outcome;
            }
        }
        self.dot_sent |= next.dot_sent;
        (self.reusable, self.well) = (next.reusable, next.well);
        (self.throttle, self.left_over) = (next.throttle, next.left_over);
    }
}

/// Those with whom a server asks for patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Throttle {
    /// Everybody.
    Everybody,
    /// The sender, by name: in answer to MAIL.
    Sender(Reply),
    /// The message: in answer to DATA or the dot.
    Message(Reply),
}

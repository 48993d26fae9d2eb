//! The state of one message on one connection.

use std::mem;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::conclusion::{Answers, Conclusion, Throttle};
use super::reply::Answer;
use super::session::Session;
use super::timeouts::Timeouts;
use super::wire::WireError;
use crate::contracts::transport::Outgoing;
use crate::domain::address::Address;
use crate::domain::report::{Outcome, Reply};

/// Puts a message to a server. Dropped at any time, it leaves no copy unless the gate had opened.
#[derive(Debug)]
pub(super) struct Transaction<'a, S> {
    pub(super) session: &'a mut Session<S>,
    pub(super) message: &'a Outgoing,
    pub(super) timeouts: &'a Timeouts,
    pub(super) pipelining: bool,
    pub(super) envelope_by: Instant,
    /// In the order of the recipients; `None` as long as nothing final was said.
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) reusable: bool,
    pub(super) throttle: Option<Throttle>,
    /// Set once the final dot was written.
    pub(super) dot_sent: bool,
    /// Set once a reply of the envelope was read.
    pub(super) heard: bool,
    pub(super) seven_bit: bool,
    pub(super) smtputf8: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Transaction<'a, S> {
    /// `pipelining` says whether it may be used where it is offered.
    pub(super) fn new(
        session: &'a mut Session<S>,
        message: &'a Outgoing,
        timeouts: &'a Timeouts,
        pipelining: bool,
    ) -> Self {
        let addresses_are_ascii =
            message.sender.is_ascii() && !message.recipients.iter().any(Address::needs_smtputf8);
        Self {
            pipelining: pipelining && session.offered.pipelining,
            envelope_by: Instant::now() + timeouts.envelope,
            outcomes: vec![None; message.recipients.len()],
            reusable: true,
            throttle: None,
            dot_sent: false,
            heard: false,
            seven_bit: message.raw.is_ascii(),
            smtputf8: message.smtputf8 || !addresses_are_ascii,
            session,
            message,
            timeouts,
        }
    }

    /// Ends the transaction with the outcomes that the recipients have. `well`: the relay behaved.
    pub(super) fn conclude(&mut self, reusable: bool, well: bool) -> Conclusion {
        self.session.messages += 1;
        // Every outcome is set by now, so `flatten` moves none to another recipient.
        let outcomes = mem::take(&mut self.outcomes).into_iter().flatten();
        let outcomes: Vec<_> = self.message.recipients.iter().cloned().zip(outcomes).collect();
        Conclusion::Answered(Answers {
            left_over: left_over(&outcomes),
            outcomes,
            dot_sent: self.dot_sent,
            // Octets behind the last reply answer nothing: the connection is out of step.
            reusable: reusable && self.session.wire.is_drained(),
            well,
            throttle: self.throttle.take(),
        })
    }

    /// Ends the transaction before the dot, because the connection broke or the server broke the protocol. Recipients
    /// without an outcome are deferred.
    pub(super) fn broken(&mut self, error: &WireError) -> Conclusion {
        self.settle(&Outcome::Deferred(Reply::new(None, format!("not sent: {error}"))));
        self.conclude(false, false)
    }

    /// Notes that an answer asks for patience: with everybody, or else with `whom`.
    pub(super) fn note_throttle(&mut self, answer: &Answer, whom: impl FnOnce(Reply) -> Throttle) {
        let reply = Reply::from(answer.clone());
        // 421 is the connection's end, and judged by that.
        if reply.is_pressure() && answer.code != 421 {
            self.throttle = Some(Throttle::Everybody);
        } else if reply.is_throttling() && answer.code != 421 && self.throttle.is_none() {
            self.throttle = Some(whom(reply));
        }
    }

    /// Gives `outcome` to every recipient that has none.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        for open in self.outcomes.iter_mut().filter(|known| known.is_none()) {
            *open = Some(outcome.clone());
        }
    }

    /// True when every recipient has its outcome.
    pub(super) fn is_settled(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// True when a recipient was refused for good.
    pub(super) fn has_refused(&self) -> bool {
        self.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Refused(_)))
    }
}

/// The recipients for whom another transaction may succeed at once, since this one did for others.
fn left_over(outcomes: &[(Address, Outcome)]) -> Vec<Address> {
    if !outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted(_))) {
        return Vec::new();
    }
    let is_left = |outcome: &Outcome| matches!(outcome, Outcome::Deferred(reply) if reply.is_one_too_many());
    outcomes.iter().filter(|(_, outcome)| is_left(outcome)).map(|(address, _)| address.clone()).collect()
}

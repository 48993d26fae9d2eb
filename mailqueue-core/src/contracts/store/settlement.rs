//! Results of attempts, and what became of them.

use super::lease::Lease;
use crate::domain::delivery::Delivery;
use crate::domain::report::Report;
use crate::domain::status::Status;
use crate::domain::transition::{AttemptContext, DeliveryPolicy, Event, NotAllowed, Transition, decide};

/// A result to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The lease under which it came about.
    pub lease: Lease,
    /// The state as it was claimed.
    pub claimed: Delivery,
    /// What the transport said.
    pub report: Report,
    /// What else is to be known.
    pub context: AttemptContext,
    /// The rules.
    pub policy: DeliveryPolicy,
}

impl Settlement {
    /// What it makes of the delivery as it was claimed: what is written while the lease is held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when the claimed state is not `sending`.
    pub fn transition(&self) -> Result<Transition, NotAllowed> {
        self.transition_of(&self.claimed, true)
    }

    /// What it makes of the delivery as it is now, depending on whether the lease is still held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when it changes nothing.
    pub fn transition_of(&self, current: &Delivery, is_held: bool) -> Result<Transition, NotAllowed> {
        let (report, context) = (self.report.clone(), self.context.clone());
        let event =
            if is_held { Event::Reported(report, context) } else { Event::ReportedLate(report, context) };
        decide(current, &event, &self.policy)
    }

    /// The same result without the texts of others: for a store that refuses one of them, or what they say.
    #[must_use]
    pub fn reduced(&self) -> Self {
        let mut reduced = self.clone();
        reduced.report = self.report.without_texts();
        reduced
    }
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was written down; the message stands there now.
    Recorded(Status),
    /// The lease was gone and there was nothing left to say.
    Superseded,
}

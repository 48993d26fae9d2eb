//! Results of attempts, and the outcome of recording them.

use super::lease::Lease;
use crate::domain::delivery::Delivery;
use crate::domain::report::Report;
use crate::domain::status::Status;
use crate::domain::transition::{AttemptContext, DeliveryPolicy, Event, NotAllowed, Transition, decide};

/// A result to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The lease under which it came about.
    pub lease: Lease,
    /// The state as it was claimed.
    pub claimed: Delivery,
    /// The transport's report.
    pub report: Report,
    /// The circumstances of the attempt.
    pub context: AttemptContext,
    /// The rules.
    pub policy: DeliveryPolicy,
}

impl Settlement {
    /// The transition of the delivery as it was claimed, which is written while the lease is held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when the claimed state is not `sending`.
    pub fn transition(&self) -> Result<Transition, NotAllowed> {
        self.transition_of(&self.claimed, true)
    }

    /// The transition of the delivery as it is now, depending on whether the lease is still held.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] when it changes nothing.
    pub fn transition_of(&self, current: &Delivery, is_held: bool) -> Result<Transition, NotAllowed> {
        // Cloned, as the same result may be decided again on another state.
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

/// The outcome of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The result was recorded; the message has this status now.
    Recorded(Status),
    /// The lease was gone and the result changes nothing.
    Superseded,
}

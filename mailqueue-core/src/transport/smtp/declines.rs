//! The answers of several relays to one message.

use std::time::Duration;

use super::fault::Fault;
use super::relay::{Declined, Relay};
use crate::contracts::transport::Outgoing;
use crate::domain::report::{Outcome, RelayFault, Reply, Report, Verdict};

/// The wait of a message that found every slot in use.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The reasons why no relay took a message.
#[derive(Debug, Default)]
pub(super) struct Declines<'a> {
    /// Those that may have a slot later.
    pub(super) busy: Vec<&'a Relay>,
    /// The first that cannot take this message.
    unfit: Option<(&'a Relay, Reply)>,
    /// The last that was tried, or else one that was left alone.
    fault: Option<(&'a Relay, Fault)>,
    soonest: Option<Duration>,
}

impl<'a> Declines<'a> {
    pub(super) fn add(&mut self, relay: &'a Relay, declined: Declined) {
        match declined {
            Declined::Busy => self.busy.push(relay),
            Declined::Unfit(reply) => {
                self.unfit.get_or_insert((relay, reply));
            }
            Declined::Unavailable { fault, retry_after } => {
                self.soonest = Some(self.soonest.map_or(retry_after, |soonest| soonest.min(retry_after)));
                // One that was left alone was not tried, so it is named only when none was.
                if self.fault.is_none() || fault.fault.was_tried() {
                    self.fault = Some((relay, fault));
                }
            }
        }
    }

    /// Refused only if every relay is known not to be able to take it: another one may, later.
    pub(super) fn report(self, message: &Outgoing) -> Report {
        let (relay, verdict) = match (self.fault, self.busy.first(), self.unfit) {
            (Some((relay, Fault { fault, reply })), _, _) => {
                let retry_after = self.soonest.unwrap_or(BUSY_RETRY_INTERVAL);
                (Some(relay), Verdict::Fault { fault, reply, retry_after })
            }
            (None, Some(relay), _) => {
                let reply = Reply::new(None, "all connections to the relay are in use");
                let fault = RelayFault::Throttled;
                (Some(*relay), Verdict::Fault { fault, reply, retry_after: BUSY_RETRY_INTERVAL })
            }
            (None, None, Some((relay, reply))) => (Some(relay), refused(message, &reply)),
            (None, None, None) => (None, Verdict::Withheld),
        };
        Report { relay: relay.map(|relay| relay.name().to_owned()), dot_sent: false, verdict }
    }
}

fn refused(message: &Outgoing, reply: &Reply) -> Verdict {
    let outcome = Outcome::Refused(reply.clone());
    Verdict::Answered(message.recipients.iter().map(|address| (address.clone(), outcome.clone())).collect())
}

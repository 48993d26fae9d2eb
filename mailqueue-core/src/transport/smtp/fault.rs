//! Faults of a relay.

use super::reply::Answer;
use super::wire::WireError;
use crate::domain::report::{RelayFault, Reply};

/// The reason why a relay can take no message.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) fault: RelayFault,
    pub(super) reply: Reply,
}

impl Fault {
    pub(super) fn new(fault: RelayFault, text: impl Into<String>) -> Self {
        Self { fault, reply: Reply::new(None, text) }
    }

    /// A refusal that means `fault`, unless it asks for patience. To TLS and to a login 4.7.x is an ordinary no.
    pub(super) fn refused(fault: RelayFault, answer: Answer) -> Self {
        let throttled = answer.code == 421 || (fault == RelayFault::Greeting && answer.asks_for_patience());
        let fault = if throttled { RelayFault::Throttled } else { fault };
        Self { fault, reply: answer.into() }
    }
}

/// Before a message is begun, silence, protocol violations and lost connections are all the relay's fault.
impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::new(RelayFault::Protocol, error.to_string())
    }
}

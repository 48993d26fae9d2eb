//! The ways out: [`Transport`](crate::contracts::transport::Transport) by SMTP, into files, and into memory.

pub mod file;
pub mod memory;
#[cfg(feature = "smtp")]
pub mod smtp;

use crate::contracts::transport::Outgoing;
use crate::domain::address::Address;
use crate::domain::report::Outcome;

/// The same outcome for every recipient of a message.
pub(crate) fn for_all(message: &Outgoing, outcome: &Outcome) -> Vec<(Address, Outcome)> {
    message.recipients.iter().map(|recipient| (recipient.clone(), outcome.clone())).collect()
}

//! Says when Redis begins to refuse something, and when it does it again.

use std::sync::{Mutex, PoisonError};

use super::fault::Fault;
use crate::telemetry;

/// An operation of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Push,
    Pull,
    Head,
    Depth,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Push, Self::Pull, Self::Head, Self::Depth];

    fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Head => "head",
            Self::Depth => "depth",
        }
    }

    /// Counts one that ended in an error.
    pub(super) fn count_error(self) {
        telemetry::queue_failed(self.as_str(), 1);
    }
}

/// The operations that Redis refuses at present although it answers: a command that this user may not use, writes on a
/// replica, keys of another node. Mail is late by no more than a moment then, which is easily overlooked, so every
/// change is logged, once.
///
/// The breaker logs a Redis that is out of reach.
#[derive(Debug)]
pub(super) struct Refusals {
    queue: String,
    /// For each operation the word that the refusal began with.
    standing: Mutex<[Option<String>; Operation::ALL.len()]>,
}

impl Refusals {
    /// Nothing is refused by the queue of this name yet. Its errors are shown from now on, as none.
    pub(super) fn new(queue: &str) -> Self {
        for operation in Operation::ALL {
            telemetry::queue_failed(operation.as_str(), 0);
        }
        Self { queue: queue.to_owned(), standing: Mutex::default() }
    }

    /// Takes note of how an exchange went.
    pub(super) fn note<T>(&self, operation: Operation, done: &Result<T, Fault>) {
        let refusal = match done {
            Ok(_) => None,
            Err(Fault::WrongType) => Some("WRONGTYPE"),
            Err(Fault::Refused(why)) => Some(why.message()),
            Err(Fault::OutOfReach(_) | Fault::Rejected(_)) => return,
        };
        // The first word alone: what follows may quote arguments, and would be news each time.
        let word = refusal.map(|why| why.split(' ').next().unwrap_or_default());
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = &mut standing[operation as usize];
        if before.as_deref() == word {
            return;
        }
        *before = word.map(str::to_owned);
        let (queue, operation) = (self.queue.as_str(), operation.as_str());
        match refusal {
            Some(error) => tracing::warn!(
                event = "queue.refused",
                queue,
                operation,
                error,
                "Redis refuses this; until it does not, workers find mail in the database"
            ),
            None => tracing::info!(event = "queue.recovered", queue, operation, "Redis does this again"),
        }
    }
}

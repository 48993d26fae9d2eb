//! Pauses.

use std::time::Duration;

use time::OffsetDateTime;

use crate::domain::lane::Lane;
use crate::domain::pause_scope::PauseScope;

/// A pause that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRequest {
    /// The part of the work that stops.
    pub scope: PauseScope,
    /// The length from now; `None` is until somebody resumes.
    pub length: Option<Duration>,
    /// The reason, for people.
    pub reason: String,
    /// The name of who asks.
    pub by: String,
}

impl PauseRequest {
    /// A pause without an end and without a reason, asked for by `by`.
    #[must_use]
    pub fn new(scope: PauseScope, by: impl Into<String>) -> Self {
        Self { scope, length: None, reason: String::new(), by: by.into() }
    }

    /// The same for this long.
    #[must_use]
    pub fn lasting(self, length: Duration) -> Self {
        Self { length: Some(length), ..self }
    }

    /// The same with a reason.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The part of the work that stands still.
    pub scope: PauseScope,
    /// Its end; `None` is when somebody resumes.
    pub until: Option<OffsetDateTime>,
    /// The reason, for people.
    pub reason: String,
    /// The name of who asked.
    pub by: String,
    /// The time it was asked for.
    pub at: OffsetDateTime,
}

/// The pauses in force at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pauses {
    /// The store's time.
    pub now: OffsetDateTime,
    /// The pauses, in the order of their scopes.
    pub in_force: Vec<Pause>,
}

impl Pauses {
    /// True if nothing at all is taken.
    #[must_use]
    pub fn has_everything(&self) -> bool {
        self.has(|scope| *scope == PauseScope::Everything)
    }

    /// True if no message of this lane is taken, because of its own pause or one of everything.
    #[must_use]
    pub fn has_lane(&self, lane: Lane) -> bool {
        self.has(|scope| matches!(scope, PauseScope::Everything) || *scope == PauseScope::Lane(lane))
    }

    /// The names of the paused relays.
    pub fn relays(&self) -> impl Iterator<Item = &str> {
        self.in_force.iter().filter_map(|pause| match &pause.scope {
            PauseScope::Relay(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn has(&self, test: impl Fn(&PauseScope) -> bool) -> bool {
        self.in_force.iter().any(|pause| test(&pause.scope))
    }
}

//! What happens to bytes that go neither refused nor cut.

use std::time::Duration;

use super::direction::Direction;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    #[default]
    Pass,
    /// Bytes wait.
    Stall,
    /// Bytes are lost.
    Swallow,
}

/// The proxy's setting at a moment; the same for all connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Valve {
    to_target: Flow,
    from_target: Flow,
    pub(super) delay: Duration,
}

impl Valve {
    pub(super) fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::ToTarget => self.to_target,
            Direction::FromTarget => self.from_target,
        }
    }

    pub(super) fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::ToTarget => &mut self.to_target,
            Direction::FromTarget => &mut self.from_target,
        }
    }

    /// Whether a new connection is led to the target at once.
    pub(super) fn is_open(&self) -> bool {
        self.to_target == Flow::Pass && self.from_target == Flow::Pass
    }
}

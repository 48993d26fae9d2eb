//! The part of the work that a pause stops.

use std::fmt;

use super::lane::Lane;

/// The part of the work that a pause stops.
///
/// ```
/// use mailqueue_core::Lane;
/// use mailqueue_core::domain::pause_scope::PauseScope;
///
/// assert_eq!(PauseScope::from_parts("lane", "bulk"), Some(PauseScope::Lane(Lane::Bulk)));
/// assert_eq!(PauseScope::relay("Mail.Example.com:25").to_string(), "relay mail.example.com:25");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseScope {
    /// All mail.
    Everything,
    /// The messages of one lane.
    Lane(Lane),
    /// One relay, by its host and port as [`relay`](Self::relay) writes them.
    Relay(String),
}

impl PauseScope {
    /// One relay by `host:port`, whatever the case of the host.
    #[must_use]
    pub fn relay(name: &str) -> Self {
        Self::Relay(name.to_ascii_lowercase())
    }

    /// The word for its kind: `everything`, `lane` or `relay`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Lane(_) => "lane",
            Self::Relay(_) => "relay",
        }
    }

    /// The name of the lane or the relay; empty for everything.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Everything => "",
            Self::Lane(lane) => lane.as_str(),
            Self::Relay(name) => name,
        }
    }

    /// The scope of this kind and name; `None` where they make no sense.
    #[must_use]
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match (kind, name) {
            ("everything", "") => Some(Self::Everything),
            ("lane", lane) => lane.parse().ok().map(Self::Lane),
            ("relay", name) if !name.is_empty() => Some(Self::relay(name)),
            _ => None,
        }
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            scope => write!(f, "{} {}", scope.kind(), scope.name()),
        }
    }
}

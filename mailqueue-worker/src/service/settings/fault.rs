//! One wrong setting.

use std::fmt;

/// One wrong setting. The text never holds the value: it might be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The variable's name.
    pub name: String,
    /// A sentence that says what would be right.
    pub detail: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

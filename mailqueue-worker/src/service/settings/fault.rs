//! One wrong setting.

use std::fmt;

use mailqueue_core::connect::{ConnectError, Part};

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

/// The variables of the store's options, which the store names in its errors.
const OPTIONS: [(&str, &str); 2] =
    [("`migrate`", "MAILQUEUE_MIGRATE"), ("`allow_unsafe`", "MAILQUEUE_ALLOW_UNSAFE_DATABASE=true")];

impl From<&ConnectError> for SettingFault {
    /// Names the variables: core speaks of parts and of options.
    fn from(error: &ConnectError) -> Self {
        let name = match error.part() {
            Part::Store => "DATABASE_URL",
            Part::Queue => "REDIS_URL",
            Part::Transport => "SMTP_URL",
        };
        let named = |detail: String, (option, variable): (&str, &str)| detail.replace(option, variable);
        Self { name: name.to_owned(), detail: OPTIONS.into_iter().fold(error.detail(), named) }
    }
}

impl From<ConnectError> for SettingFault {
    fn from(error: ConnectError) -> Self {
        Self::from(&error)
    }
}

//! The commands of a binary, and its end.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use mailqueue_core::StoreError;
use mailqueue_core::connect::ConnectError;

use super::logging;
use super::settings::{EXIT_CONFIG, SettingFault};

/// The exit status for a database that was out of reach for as long as a start waits: `EX_UNAVAILABLE` of `sysexits.h`.
pub const EXIT_UNAVAILABLE: u8 = 69;

/// The exit status of a command that asks for what it must not.
const EXIT_USAGE: u8 = 2;

/// The exit status of a command that was done in part.
const EXIT_PARTLY: u8 = 3;

/// The commands of both binaries besides their work.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Ask the process that runs on this machine by the same settings whether it is ready; exit status 0 means yes
    Healthcheck,
}

/// The reason of an early end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Settings are wrong: all that are.
    #[error("wrong settings")]
    Settings(Vec<SettingFault>),
    /// A part could not be reached. The same start may succeed later.
    #[error("{0}")]
    OutOfReach(SettingFault),
    /// Something else, as a sentence that a person can act on.
    #[error("{0}")]
    Sentence(String),
    /// The command line asks for what it must not.
    #[error("{0}")]
    Usage(String),
    /// A part of what was asked for was done.
    #[error("{0}")]
    Partly(String),
    /// Whoever read standard output has gone, which is no fault.
    #[error("nobody reads standard output any more")]
    ReaderGone,
}

impl From<Vec<SettingFault>> for Failure {
    fn from(faults: Vec<SettingFault>) -> Self {
        Self::Settings(faults)
    }
}

impl From<ConnectError> for Failure {
    /// A part that time alone does not open is a wrong setting: a password, a missing database, a folder without rights.
    fn from(error: ConnectError) -> Self {
        let fault = SettingFault::from(&error);
        match error {
            ConnectError::Store(StoreError::NoSpace(_)) => Self::Sentence(fault.to_string()),
            error if error.is_transient() => Self::OutOfReach(fault),
            _ => Self::Settings(vec![fault]),
        }
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

/// The exit status for a result: 0, 2 for wrong usage, 3 for a part, 69 for what is out of reach, 78 for wrong settings, else
/// 1. Faults are written to standard error, a line each, in the name of `program`, behind all that was logged.
#[must_use]
pub fn end(program: &str, result: Result<(), Failure>) -> ExitCode {
    logging::finish();
    match result {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Settings(faults)) => {
            faults.iter().for_each(|fault| complain(program, fault));
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::OutOfReach(fault)) => {
            complain(program, &fault);
            ExitCode::from(EXIT_UNAVAILABLE)
        }
        Err(Failure::Sentence(sentence)) => {
            complain(program, &sentence);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(sentence)) => {
            complain(program, &sentence);
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Partly(sentence)) => {
            complain(program, &sentence);
            ExitCode::from(EXIT_PARTLY)
        }
    }
}

fn complain(program: &str, what: &dyn Display) {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_alone_mends_what_is_out_of_reach() {
        let of = |error: StoreError| Failure::from(ConnectError::from(error));
        assert!(matches!(of(StoreError::Unavailable("refused".into())), Failure::OutOfReach(_)));
        assert!(matches!(of(StoreError::Overloaded("too many clients".into())), Failure::OutOfReach(_)));
        assert!(matches!(of(StoreError::NoSpace("full".into())), Failure::Sentence(_)));
        assert!(matches!(of(StoreError::Refused("no such database".into())), Failure::Settings(_)));
        assert!(matches!(of(StoreError::Unreadable("no database".into())), Failure::Settings(_)));
    }
}

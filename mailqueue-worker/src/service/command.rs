//! The commands of a binary, and its end.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;

use super::settings::{EXIT_CONFIG, SettingFault};

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
    /// Something else, as a sentence that a person can act on.
    #[error("{0}")]
    Sentence(String),
}

impl From<Vec<SettingFault>> for Failure {
    fn from(faults: Vec<SettingFault>) -> Self {
        Self::Settings(faults)
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

/// The exit status for a result: 0, 78 for wrong settings, else 1. Faults are written to standard error, a line
/// each, in the name of `program`.
#[must_use]
pub fn end(program: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(faults)) => {
            faults.iter().for_each(|fault| complain(program, fault));
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Sentence(sentence)) => {
            complain(program, &sentence);
            ExitCode::FAILURE
        }
    }
}

fn complain(program: &str, what: &dyn Display) {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: {what}");
}

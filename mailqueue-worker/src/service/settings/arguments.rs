//! The settings of both binaries as clap knows them.

use clap::{Arg, Args, Command};

use super::faults::Faults;
use super::http::HttpArgs;
use super::shared_args::SharedArgs;
use super::worker::WorkerArgs;

/// The settings of both binaries, each with its variable, default and help.
#[must_use]
pub fn arguments() -> Vec<Arg> {
    let command = WorkerArgs::augment_args(HttpArgs::augment_args(Command::new("mailqueue")));
    SharedArgs::augment_args(command).get_arguments().cloned().collect()
}

/// Adds the `MAILQUEUE_*` variables of this environment that no binary knows: misspelt ones, mostly. One file of variables
/// can serve both binaries.
pub fn unknown_variables(faults: &mut Faults) {
    let known = arguments();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("MAILQUEUE_")) else { continue };
        if !known.iter().any(|argument| argument.get_env().is_some_and(|env| env == name)) {
            faults.add(name, "is not a setting of this program");
        }
    }
}

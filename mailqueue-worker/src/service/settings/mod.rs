//! The settings of both binaries.
//!
//! Each stands once, as a field of [`SharedArgs`], [`HttpArgs`] or [`WorkerArgs`]: name, default, bounds, reader and help.
//! The command line, the faults, the names that are known and the test of the README's table follow from these.

mod checked;
mod faults;
mod http;
mod parse;
mod setting;
mod shared;
mod worker;

use clap::{Arg, Args, Command};

pub use checked::ServiceSettings;
pub use faults::{Faults, SettingFault};
pub use http::{FORM_RATE_PER_MINUTE, HTTP_WORKERS, HttpArgs};
pub use setting::Setting;
pub use shared::SharedArgs;
pub use worker::WorkerArgs;

/// The exit status for wrong settings: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

/// The settings of both binaries as clap knows them, each with its variable, default and help.
#[must_use]
pub fn arguments() -> Vec<Arg> {
    let command = WorkerArgs::augment_args(HttpArgs::augment_args(Command::new("mailqueue")));
    SharedArgs::augment_args(command).get_arguments().cloned().collect()
}

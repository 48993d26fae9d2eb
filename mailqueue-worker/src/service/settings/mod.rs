//! The settings of both binaries.
//!
//! Each stands once, as a field of [`SharedArgs`], [`HttpArgs`] or [`WorkerArgs`]: name, default, bounds, reader and help.
//! The command line, the faults, the names that are known and the test of the README's table follow from these.

mod arguments;
mod checked;
mod fault;
mod faults;
mod http;
mod parse;
mod setting;
mod shared;
mod worker;

pub use arguments::{arguments, unknown_variables};
pub use checked::ServiceSettings;
pub use fault::SettingFault;
pub use faults::Faults;
pub use http::{FORM_RATE_PER_MINUTE, HTTP_WORKERS, HttpArgs};
pub use setting::Setting;
pub use shared::SharedArgs;
pub use worker::WorkerArgs;

/// The exit status for wrong settings: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

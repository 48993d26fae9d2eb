//! The settings of both binaries.
//!
//! Each stands once, as a field of [`SharedArgs`], [`HttpArgs`] or [`WorkerArgs`]: name, default, bounds, reader and help.
//! The command line, the faults, the names that are known and the test of the README's table follow from these.

mod arguments;
mod fault;
mod faults;
mod http;
mod parse;
mod service_settings;
mod setting;
mod shared_args;
mod worker;

pub use arguments::{arguments, unknown_variables};
pub use fault::SettingFault;
pub use faults::Faults;
pub use http::{FORM_RATE_PER_MINUTE, HTTP_WORKERS, HttpArgs};
pub use service_settings::ServiceSettings;
pub use setting::Setting;
pub use shared_args::SharedArgs;
pub use worker::WorkerArgs;

/// The exit status for wrong settings: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

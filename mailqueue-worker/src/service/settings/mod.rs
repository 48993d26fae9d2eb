//! The settings both binaries share, and how wrong ones are told.

mod checked;
mod faults;
mod shared;

pub use checked::ServiceSettings;
pub use faults::{Faults, SettingFault, unknown_variables};
pub use shared::SharedArgs;

/// The exit status for wrong settings: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

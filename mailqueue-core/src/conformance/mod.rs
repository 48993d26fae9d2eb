//! The suites that implementations of the contracts have to pass.
//!
//! A suite is public, so that an implementation that lives elsewhere can be held to it too. A case is an async
//! function that panics, naming what it missed, when the implementation breaks its contract.

pub mod store;

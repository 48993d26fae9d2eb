//! The suites that implementations of the contracts have to pass, and a queue that misbehaves on purpose.
//!
//! A suite is public, so that an implementation that lives elsewhere can be held to it too. A case is an async
//! function that panics, naming what it missed, when the implementation breaks its contract; a macro beside the cases
//! turns all of them into tests.

pub mod controls;
pub mod lossy_queue;
pub mod queue;
pub mod store;
pub mod transport;

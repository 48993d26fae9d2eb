//! Throw-away servers and scripted peers for mailqueue's own tests.
//!
//! | what | |
//! | --- | --- |
//! | [`Certificate`] | an authority and a server certificate for 127.0.0.1, new in every test |
//!
//! Three things hold for all of them. Nothing outlives the test process, not even one that was killed
//! with SIGKILL. No port is fixed, and a stopped server's port stays reserved until it is started again.
//! What a test cannot go on without (a binary that is not installed, a server that does not start) panics
//! with a sentence that says what to do.

mod certificate;

pub use certificate::Certificate;

//! What every implementation of a contract has to pass, and peers that misbehave on purpose.
//!
//! Each case is a public async function that panics with a sentence when the implementation does not keep the
//! contract; a macro beside the cases turns all of them into tests.

pub mod lossy_queue;
pub mod queue;

//! The three parts that can be exchanged: where messages are kept, how workers learn of them, how they are sent.

pub mod error_detail;
pub mod queue;
pub mod store;
pub mod transport;

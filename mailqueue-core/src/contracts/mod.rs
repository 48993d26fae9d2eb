//! The parts that can be exchanged: where messages are kept, how workers learn of them, how they are sent, and what stands
//! beside them for an operator.

pub mod controls;
pub mod error_detail;
pub mod queue;
pub mod relay_health;
pub mod store;
pub mod transport;

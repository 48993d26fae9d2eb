//! Controls beside the message store: those in memory, and the counter of a process.

mod memory;
mod traffic_counter;

pub use self::memory::MemoryControls;
pub use self::traffic_counter::TrafficCounter;

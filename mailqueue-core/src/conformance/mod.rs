//! What every implementation of a contract has to pass, one suite a contract.

pub mod transport;

//! The two ways through a proxy.

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server behind the proxy.
    ToTarget,
    /// From the server behind the proxy to the client.
    FromTarget,
}

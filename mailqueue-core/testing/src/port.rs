//! Ports that stay reserved while no server listens on them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Below the range from which the kernel takes the local ports of outgoing connections: a client's socket
/// would otherwise sooner or later sit on the port of a stopped server.
const RANGE: std::ops::Range<u16> = 10_000..32_768;

/// A TCP port of 127.0.0.1 that no other `Port`, in this process or another, has while this one lives.
///
/// The claim is a UDP socket of the same number. It costs nothing, the kernel ends it with the process,
/// and it holds while the TCP port itself is closed, as between a server's stop and its next start.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// A port on which nothing listened a moment ago.
    ///
    /// # Panics
    ///
    /// When a thousand numbers in a row are taken.
    pub fn reserve() -> Self {
        for _ in 0..1_000 {
            let number = fastrand::u16(RANGE);
            // The claim first: of two processes that try one number only one gets to the TCP port.
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _claim: claim };
            }
        }
        panic!("no free port in {RANGE:?} after 1000 tries");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_nobody_else() {
        let ports: Vec<Port> = (0..200).map(|_| Port::reserve()).collect();
        let numbers: std::collections::HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        assert!(numbers.iter().all(|number| RANGE.contains(number)));
    }
}

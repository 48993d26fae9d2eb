//! The other end of a connection.

use std::net::IpAddr;

use hyper::header::HeaderMap;

use crate::wire::origin::{host_name, is_foreign};

/// The facts about a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The other end of the connection: the client, or a proxy.
    pub(crate) address: IpAddr,
    /// True where the server listens on a loopback address.
    pub(crate) loopback: bool,
    /// True once a request on this connection told its length twice.
    pub(crate) faulty: bool,
}

/// True for a request from this machine, not by way of a proxy on it and not from a page elsewhere that has
/// pointed its own name at this machine (DNS rebinding, which needs a name with a dot).
pub(crate) fn is_local(headers: &HeaderMap, peer: Peer) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    if !peer.loopback || proxied.iter().any(|name| headers.contains_key(*name)) || is_foreign(headers) {
        return false;
    }
    let host = host_name(headers);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => !host.contains('.') || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers;

    #[test]
    fn only_a_plain_request_to_this_machine_is_local() {
        let peer = Peer { address: [127, 0, 0, 1].into(), loopback: true, faulty: false };
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:80", "[::1]:8080", "mq.localhost", "box"] {
            assert!(is_local(&headers(&[("host", host)]), peer), "{host}");
        }
        for host in ["evil.example", "192.0.2.1", "127.0.0.1.evil.example"] {
            assert!(!is_local(&headers(&[("host", host)]), peer), "{host}");
        }
        assert!(!is_local(&headers(&[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]), peer));
        assert!(!is_local(&headers(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]), peer));
        assert!(!is_local(&headers(&[("host", "localhost")]), Peer { loopback: false, ..peer }));
    }
}

//! Opening a connection to a relay.

use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::auth;
use super::fault::Fault;
use super::quirks::Quirks;
use super::relay_url::{RelayUrl, TlsMode};
use super::session::Session;
use super::stream::Stream;
use super::timeouts::Timeouts;
use super::tls::Tls;
use super::wire::Wire;
use crate::domain::report::RelayFault;

/// The number of addresses that are tried: each has a connect timeout of its own, and a message waits for all.
const MAX_ADDRESSES: usize = 4;

/// Connects to a relay and gets ready for the first message: resolves, connects, secures and logs in.
pub(super) async fn dial(
    relay: &RelayUrl,
    tls: Option<&Tls>,
    quirks: &Quirks,
    timeouts: &Timeouts,
) -> Result<Session<Stream>, Fault> {
    let mut stream = connect(relay, timeouts).await?;
    let hello = hello(relay, &stream);
    if let (TlsMode::Implicit, Some(tls)) = (relay.tls, tls) {
        stream = secure(stream, tls, timeouts).await?;
    }
    let mut session = Session::greet(stream, &hello, timeouts).await?;
    if let (TlsMode::Opportunistic | TlsMode::Required, Some(tls)) = (relay.tls, tls) {
        if session.offered.starttls {
            session = start_tls(session, tls, &hello, timeouts).await?;
        } else if relay.tls == TlsMode::Required {
            return Err(Fault::new(RelayFault::Tls, "TLS is required and the relay does not offer STARTTLS"));
        }
    }
    if let Some(login) = &relay.login {
        // Checked here as well as in the URL, because opportunistic TLS may not have come about.
        if !(session.wire.stream().is_tls() || relay.is_loopback() || relay.insecure_auth) {
            return Err(Fault::new(RelayFault::Tls, "a password is not sent without TLS"));
        }
        auth::log_in(&mut session, login, relay.auth, quirks, timeouts).await?;
    }
    Ok(session)
}

/// Switches to TLS (RFC 3207). Forgets what was offered before it.
async fn start_tls(
    mut session: Session<Stream>,
    tls: &Tls,
    hello: &str,
    timeouts: &Timeouts,
) -> Result<Session<Stream>, Fault> {
    let answer = session.ask("STARTTLS\r\n", timeouts).await?;
    if answer.code != 220 {
        return Err(Fault::refused(RelayFault::Tls, answer));
    }
    // Octets that came in plain text before the handshake must not be taken for answers after it.
    let stream = session.wire.into_stream().await?;
    let wire = Wire::new(secure(stream, tls, timeouts).await?);
    // Says EHLO again: an offer in plain text may have been forged (RFC 3207 section 4.2).
    Session::introduced(wire, hello, timeouts).await
}

async fn secure(stream: Stream, tls: &Tls, timeouts: &Timeouts) -> Result<Stream, Fault> {
    let handshake = stream.secure(&tls.connector, tls.name.clone());
    match timeout(timeouts.tls, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Fault::new(RelayFault::Tls, format!("the TLS handshake failed: {error}"))),
        Err(_) => Err(Fault::new(RelayFault::Tls, "the TLS handshake took too long")),
    }
}

/// Tries the relay's addresses one after the other, each with a deadline of its own.
async fn connect(relay: &RelayUrl, timeouts: &Timeouts) -> Result<Stream, Fault> {
    let mut last = "no address".to_owned();
    for address in resolve(relay, timeouts).await? {
        match timeout(timeouts.connect, Stream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => "no connection in time".clone_into(&mut last),
        }
    }
    Err(Fault::new(RelayFault::Connect, last))
}

pub(super) async fn resolve(relay: &RelayUrl, timeouts: &Timeouts) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(address) = relay.host.parse::<IpAddr>() {
        return Ok(vec![(address, relay.port).into()]);
    }
    let found = match timeout(timeouts.resolve, lookup_host((relay.host.as_str(), relay.port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(Fault::new(RelayFault::Dns, error.to_string())),
        Err(_) => return Err(Fault::new(RelayFault::Dns, "the name did not resolve in time")),
    };
    match in_turns(found) {
        addresses if addresses.is_empty() => Err(Fault::new(RelayFault::Dns, "the name has no address")),
        addresses => Ok(addresses),
    }
}

/// At most [`MAX_ADDRESSES`], IPv4 and IPv6 in turns (RFC 8305 section 4), the resolver's first choice first: a family
/// that leads nowhere costs one timeout, not all of them.
fn in_turns(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    first.dedup();
    second.dedup();
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let pairs = std::iter::from_fn(|| match [first.next(), second.next()] {
        [None, None] => None,
        pair => Some(pair),
    });
    pairs.flatten().flatten().take(MAX_ADDRESSES).collect()
}

/// The name that EHLO says: the one that the URL gives, else the address literal of this end (RFC 5321 section 4.1.3).
fn hello(relay: &RelayUrl, stream: &Stream) -> String {
    // Canonical, because a dual-stack socket shows its IPv4 address as an IPv6 one.
    match (&relay.hello, stream.local_address().map(|local| local.ip().to_canonical())) {
        (Some(name), _) => name.clone(),
        (None, Ok(IpAddr::V4(address))) => format!("[{address}]"),
        (None, Ok(IpAddr::V6(address))) => format!("[IPv6:{address}]"),
        (None, Err(_)) => "[127.0.0.1]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_in_turns_and_not_for_ever() {
        let parse =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]);
        assert_eq!(in_turns(found), parse(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1"]));
        let found = parse(&["127.0.0.1:1", "127.0.0.1:1", "[::1]:1"]);
        assert_eq!(in_turns(found), parse(&["127.0.0.1:1", "[::1]:1"]));
        assert_eq!(in_turns(Vec::new()), []);
    }
}

//! A connection that is ready for a message, and how it comes to be.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::auth;
use super::capabilities::Capabilities;
use super::quirks::Quirks;
use super::relay_url::{RelayUrl, TlsMode};
use super::reply::Answer;
use super::stream::Stream;
use super::timeouts::Timeouts;
use super::tls::Tls;
use super::wire::{Look, Wire, WireError};
use crate::domain::report::{RelayFault, Reply};

/// A greeted, and where that is wanted encrypted and logged-in connection with no reply outstanding.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) wire: Wire<S>,
    pub(super) offered: Capabilities,
    /// How many messages were put to the server.
    pub(super) messages: u32,
    /// Whether it has been idle, so that the server may have closed it.
    pub(super) kept: bool,
    /// How many refusals it gave. Servers lose patience with a connection that sees too many.
    pub(super) refusals: u32,
    /// Whether a transaction was left open, so that RSET has to come before the next one.
    pub(super) unfinished: bool,
    /// Room for what is sent, kept between messages.
    pub(super) output: Vec<u8>,
}

/// Why a relay can take no message.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) fault: RelayFault,
    pub(super) reply: Reply,
}

impl Fault {
    pub(super) fn new(fault: RelayFault, text: impl Into<String>) -> Self {
        Self { fault, reply: Reply::new(None, text) }
    }

    /// A refusal that means `fault`, unless it asks for patience. To TLS and to a login 4.7.x is an ordinary no.
    pub(super) fn refused(fault: RelayFault, answer: Answer) -> Self {
        let throttled = answer.code == 421 || (fault == RelayFault::Greeting && answer.asks_for_patience());
        let fault = if throttled { RelayFault::Throttled } else { fault };
        Self { fault, reply: answer.into() }
    }
}

/// Before a message is begun, silence, strangeness and disappearance are all the relay's fault.
impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::new(RelayFault::Protocol, error.to_string())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Reads the greeting and says EHLO; HELO to a server that does not know EHLO.
    pub(super) async fn greet(stream: S, hello: &str, timeouts: &Timeouts) -> Result<Self, Fault> {
        let mut wire = Wire::new(stream);
        let greeting = wire.reply(Instant::now() + timeouts.greeting).await?;
        if greeting.code != 220 {
            return Err(Fault::refused(RelayFault::Greeting, greeting));
        }
        let mut session = Self::over(wire);
        session.introduce(hello, timeouts).await?;
        Ok(session)
    }

    fn over(wire: Wire<S>) -> Self {
        Self {
            wire,
            offered: Capabilities::default(),
            messages: 0,
            kept: false,
            refusals: 0,
            unfinished: false,
            output: Vec::new(),
        }
    }

    async fn introduce(&mut self, hello: &str, timeouts: &Timeouts) -> Result<(), Fault> {
        let ehlo = self.ask(&format!("EHLO {hello}\r\n"), timeouts).await?;
        if ehlo.is_yes() {
            self.offered = Capabilities::read(&ehlo);
            return Ok(());
        }
        if !ehlo.is_permanent() {
            return Err(Fault::refused(RelayFault::Greeting, ehlo));
        }
        match self.ask(&format!("HELO {hello}\r\n"), timeouts).await? {
            helo if helo.is_yes() => Ok(()),
            helo => Err(Fault::refused(RelayFault::Greeting, helo)),
        }
    }

    /// One command and its reply. Whatever came before the command is strange, and nothing is sent then.
    pub(super) async fn ask(&mut self, command: &str, timeouts: &Timeouts) -> Result<Answer, WireError> {
        let by = Instant::now() + timeouts.command;
        if self.wire.look().await == Look::Octets {
            return Err(WireError::Unsolicited);
        }
        self.wire.send(command.as_bytes(), by).await?;
        self.wire.reply(by).await
    }
}

impl Session<Stream> {
    /// Connects to a relay and gets ready for the first message.
    pub(super) async fn open(
        relay: &RelayUrl,
        tls: Option<&Tls>,
        quirks: &Quirks,
        timeouts: &Timeouts,
    ) -> Result<Self, Fault> {
        let mut stream = connect(relay, timeouts).await?;
        let hello = hello(relay, &stream);
        if let (TlsMode::Implicit, Some(tls)) = (relay.tls, tls) {
            stream = secure(stream, tls, timeouts).await?;
        }
        let mut session = Self::greet(stream, &hello, timeouts).await?;
        if let (TlsMode::Opportunistic | TlsMode::Required, Some(tls)) = (relay.tls, tls) {
            if session.offered.starttls {
                session = session.start_tls(tls, &hello, timeouts).await?;
            } else if relay.tls == TlsMode::Required {
                return Err(Fault::new(
                    RelayFault::Tls,
                    "TLS is required and the relay does not offer STARTTLS",
                ));
            }
        }
        if let Some(login) = &relay.login {
            if !(session.wire.stream().is_tls() || relay.is_loopback() || relay.insecure_auth) {
                return Err(Fault::new(RelayFault::Tls, "a password is not sent without TLS"));
            }
            auth::log_in(&mut session, login, relay.auth, quirks, timeouts).await?;
        }
        Ok(session)
    }

    /// RFC 3207. What was offered before does not count after it.
    async fn start_tls(mut self, tls: &Tls, hello: &str, timeouts: &Timeouts) -> Result<Self, Fault> {
        let answer = self.ask("STARTTLS\r\n", timeouts).await?;
        if answer.code != 220 {
            return Err(Fault::refused(RelayFault::Tls, answer));
        }
        // Octets that came in plain text before the handshake must not be taken for answers after it.
        let stream = self.wire.into_stream().await?;
        let mut session = Self::over(Wire::new(secure(stream, tls, timeouts).await?));
        session.introduce(hello, timeouts).await?;
        Ok(session)
    }

    /// Takes leave, as far as the relay listens; returns soon in any case.
    pub(super) async fn quit(mut self) {
        let by = Instant::now() + std::time::Duration::from_secs(2);
        if self.wire.send(b"QUIT\r\n", by).await.is_ok() {
            // Closing with the reply unread would send a reset. Nothing depends on how it goes.
            let _ = self.wire.reply(by).await;
            let _ = self.wire.shut_down(by).await;
        }
    }
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

async fn resolve(relay: &RelayUrl, timeouts: &Timeouts) -> Result<Vec<SocketAddr>, Fault> {
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

/// At most four addresses, IPv4 and IPv6 in turns (RFC 8305 section 4), the resolver's first choice first: a family
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
    pairs.flatten().flatten().take(4).collect()
}

/// What EHLO says: the name that the URL gives, else the address literal of this end (RFC 5321 section 4.1.3).
fn hello(relay: &RelayUrl, stream: &Stream) -> String {
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

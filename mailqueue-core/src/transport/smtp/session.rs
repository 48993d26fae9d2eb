//! A connection that is ready for a message.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::capabilities::Capabilities;
use super::fault::Fault;
use super::reply::Answer;
use super::timeouts::Timeouts;
use super::wire::{Readable, Wire, WireError};
use crate::domain::report::RelayFault;

/// The time that a relay gets to answer QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A greeted, and where that is wanted encrypted and logged-in connection with no reply outstanding.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) wire: Wire<S>,
    pub(super) offered: Capabilities,
    /// The number of messages that were put to the server.
    pub(super) messages: u32,
    /// Set once it was idle, so that the server may have closed it.
    pub(super) kept: bool,
    /// The number of refusals. Servers lose patience with a connection that sees too many.
    pub(super) refusals: u32,
    /// Set while a transaction is left open, so that RSET has to come before the next one.
    pub(super) unfinished: bool,
    /// Room for what is sent, kept between messages.
    pub(super) output: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Reads the greeting and says EHLO; HELO to a server that does not know EHLO.
    pub(super) async fn greet(stream: S, hello: &str, timeouts: &Timeouts) -> Result<Self, Fault> {
        let mut wire = Wire::new(stream);
        let greeting = wire.reply(Instant::now() + timeouts.greeting).await?;
        if greeting.code != 220 {
            return Err(Fault::refused(RelayFault::Greeting, greeting));
        }
        Self::introduced(wire, hello, timeouts).await
    }

    /// Says EHLO on a connection whose greeting was read.
    pub(super) async fn introduced(wire: Wire<S>, hello: &str, timeouts: &Timeouts) -> Result<Self, Fault> {
        let mut session = Self {
            wire,
            offered: Capabilities::default(),
            messages: 0,
            kept: false,
            refusals: 0,
            unfinished: false,
            output: Vec::new(),
        };
        session.introduce(hello, timeouts).await?;
        Ok(session)
    }

    async fn introduce(&mut self, hello: &str, timeouts: &Timeouts) -> Result<(), Fault> {
        let ehlo = self.ask(&format!("EHLO {hello}\r\n"), timeouts).await?;
        if ehlo.is_yes() {
            self.offered = Capabilities::read(&ehlo);
            return Ok(());
        }
        // Only 5yz can mean that EHLO is unknown; HELO would not change a 4yz.
        if !ehlo.is_permanent() {
            return Err(Fault::refused(RelayFault::Greeting, ehlo));
        }
        match self.ask(&format!("HELO {hello}\r\n"), timeouts).await? {
            helo if helo.is_yes() => Ok(()),
            helo => Err(Fault::refused(RelayFault::Greeting, helo)),
        }
    }

    /// One command and its reply. Sends nothing when octets came before the command.
    pub(super) async fn ask(&mut self, command: &str, timeouts: &Timeouts) -> Result<Answer, WireError> {
        let by = Instant::now() + timeouts.command;
        // A connection that has gone is found by the write or the read below.
        if self.wire.readable().await == Readable::Octets {
            return Err(WireError::Unsolicited);
        }
        self.wire.send(command.as_bytes(), by).await?;
        self.wire.reply(by).await
    }

    /// Takes leave, as far as the relay listens; returns soon in any case.
    pub(super) async fn quit(mut self) {
        let by = Instant::now() + QUIT_TIMEOUT;
        if self.wire.send(b"QUIT\r\n", by).await.is_ok() {
            // Closing with the reply unread would send a reset. Nothing depends on how it goes.
            let _ = self.wire.reply(by).await;
            let _ = self.wire.shut_down(by).await;
        }
    }
}

//! A stream with a deadline on everything and bounded input.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout_at};

use super::reply::{Answer, LINE_LIMIT, NoReply, ReplyParser};
use crate::domain::report::Reply;

/// The reason why there was no reply. The texts name no data of the conversation.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the relay closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("{}", Reply::SILENCE)]
    TimedOut,
    #[error("the relay broke the protocol: {0}")]
    Junk(#[from] NoReply),
    #[error("the relay broke the protocol: it spoke out of turn")]
    Unsolicited,
    #[error("the relay broke the protocol: {0} is no answer to that command")]
    Unexpected(u16),
}

impl WireError {
    /// True when the other side has gone, rather than been silent or broken the protocol.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

/// The state of the read side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// Nothing: as it must be while no reply is due.
    Quiet,
    /// There is something to read.
    Octets,
    /// End of file, or an error.
    Gone,
}

/// The result of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// The stream took all of them.
    All,
    /// Not all of them: the server had said something.
    Interrupted,
    /// Not all of them: the connection broke, or took too long.
    Broken(WireError),
}

/// Reads replies from a stream and writes octets to it.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::with_capacity(LINE_LIMIT) }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// Gives the bare stream back, for a TLS handshake; refused when something was read that nobody asked for.
    pub(super) async fn into_stream(mut self) -> Result<S, WireError> {
        match self.readable().await {
            Readable::Quiet => Ok(self.stream),
            Readable::Octets => Err(WireError::Unsolicited),
            Readable::Gone => Err(WireError::Closed),
        }
    }

    /// Sends `bytes`, all by then.
    pub(super) async fn send(&mut self, bytes: &[u8], by: Instant) -> Result<(), WireError> {
        // A timeout may leave part of it sent, so every error here ends the connection.
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        Ok(timeout_at(by, sending).await.map_err(|_| WireError::TimedOut)??)
    }

    /// Says that nothing more will be sent; over TLS with the closing alert that servers miss otherwise.
    pub(super) async fn shut_down(&mut self, by: Instant) -> Result<(), WireError> {
        Ok(timeout_at(by, self.stream.shutdown()).await.map_err(|_| WireError::TimedOut)??)
    }

    /// The next reply, complete by then. After an error the stream is of no use any more.
    pub(super) async fn reply(&mut self, by: Instant) -> Result<Answer, WireError> {
        timeout_at(by, self.read_reply()).await.map_err(|_| WireError::TimedOut)?
    }

    async fn read_reply(&mut self) -> Result<Answer, WireError> {
        let mut parser = ReplyParser::default();
        let mut searched = 0;
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.input[searched..]).map(|at| searched + at) {
                let answer = parser.line(&self.input[..end])?;
                self.input.advance(end + 1);
                searched = 0;
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            searched = self.input.len();
            // One more for the CR, which the parser cuts off.
            if searched > LINE_LIMIT + 1 {
                return Err(NoReply::LineTooLong.into());
            }
            // TLS may still hold octets that were written. An error will show when reading.
            let _ = self.stream.flush().await;
            self.input.reserve(LINE_LIMIT);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// The state of the read side. Does not wait.
    pub(super) async fn readable(&mut self) -> Readable {
        if !self.input.is_empty() {
            return Readable::Octets;
        }
        // Unconstrained, because with its budget used up tokio says pending and a closed connection seems quiet.
        let seen = unconstrained(poll_fn(|cx| Poll::Ready(self.poll_fill(cx)))).await;
        match seen {
            Poll::Pending => Readable::Quiet,
            Poll::Ready(Ok(1..)) => Readable::Octets,
            Poll::Ready(_) => Readable::Gone,
        }
    }

    /// True when the last reply read was the last thing received.
    pub(super) fn is_drained(&self) -> bool {
        self.input.is_empty()
    }

    /// Writes `bytes`, and stops as soon as the server says anything, even before the first octet.
    pub(super) async fn write(&mut self, bytes: &[u8], by: Instant) -> Written {
        if !self.input.is_empty() {
            return Written::Interrupted;
        }
        let mut taken = 0;
        let writing = poll_fn(|cx| {
            loop {
                // Reads before each write: a server that refuses early and closes has its answer lost in the reset.
                match self.poll_fill(cx) {
                    // Has left the waker, so that an answer wakes a write that cannot go on.
                    Poll::Pending => {}
                    Poll::Ready(Ok(0)) => return Poll::Ready(Written::Broken(WireError::Closed)),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Written::Interrupted),
                    Poll::Ready(Err(error)) => return Poll::Ready(Written::Broken(error.into())),
                }
                match Pin::new(&mut self.stream).poll_write(cx, &bytes[taken..]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return Poll::Ready(Written::Broken(WireError::Closed)),
                    Poll::Ready(Ok(octets)) => taken += octets,
                    Poll::Ready(Err(error)) => return Poll::Ready(Written::Broken(error.into())),
                }
                if taken == bytes.len() {
                    return Poll::Ready(Written::All);
                }
            }
        });
        timeout_at(by, writing).await.unwrap_or(Written::Broken(WireError::TimedOut))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(LINE_LIMIT);
        // A new future at each poll is fine: `read_buf` is cancel-safe, and the stream keeps the waker.
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_has_one_deadline_however_it_drips() {
        let (ours, mut theirs) = duplex(64);
        let dripping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if theirs.write_all(b"2").await.is_err() {
                    return;
                }
            }
        });
        let (mut wire, started) = (Wire::new(ours), Instant::now());
        assert!(matches!(wire.reply(soon()).await, Err(WireError::TimedOut)));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        dripping.abort();
    }

    #[tokio::test]
    async fn a_line_without_end_is_given_up() {
        let (ours, mut theirs) = duplex(100_000);
        theirs.write_all(&[b'2'; 50_000]).await.unwrap();
        let mut wire = Wire::new(ours);
        assert!(matches!(wire.reply(soon()).await, Err(WireError::Junk(NoReply::LineTooLong))));
        assert!(wire.input.len() <= 3 * LINE_LIMIT, "{}", wire.input.len());
    }

    #[tokio::test]
    async fn replies_are_read_one_by_one_and_the_rest_stays_readable() {
        let (ours, mut theirs) = duplex(1000);
        let mut wire = Wire::new(ours);
        assert_eq!(wire.readable().await, Readable::Quiet);
        theirs.write_all(b"250-a\r\n250 b\r\n354 go\r\n").await.unwrap();
        assert_eq!(wire.readable().await, Readable::Octets);
        assert_eq!(wire.reply(soon()).await.unwrap(), Answer { code: 250, text: "a\nb".into() });
        assert!(!wire.is_drained());
        assert_eq!(wire.reply(soon()).await.unwrap().code, 354);
        assert!(wire.is_drained());
        drop(theirs);
        assert_eq!(wire.readable().await, Readable::Gone);
        assert!(matches!(wire.reply(soon()).await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn writing_stops_when_the_server_speaks() {
        let (ours, mut theirs) = duplex(1000);
        let mut wire = Wire::new(ours);
        assert!(matches!(wire.write(&[0; 1000], soon()).await, Written::All));
        // The pipe is full now, so the next octets can only wait.
        let (written, _) = tokio::join!(wire.write(&[0; 10], soon()), theirs.write_all(b"552 no\r\n"));
        assert!(matches!(written, Written::Interrupted));
        assert_eq!(wire.reply(soon()).await.unwrap().code, 552);
    }
}

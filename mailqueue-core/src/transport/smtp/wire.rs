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

/// Why there was no reply. The texts name no data of the conversation.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the relay closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("the relay broke the protocol: {0}")]
    Junk(#[from] NoReply),
    #[error("the relay broke the protocol: it spoke out of turn")]
    Unsolicited,
    #[error("the relay broke the protocol: {0} is no answer to that command")]
    Unexpected(u16),
}

impl WireError {
    /// Whether the other side has gone, rather than been silent or strange.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

/// What a look at the read side has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing: as it must be while no reply is due.
    Quiet,
    /// There is something to read.
    Octets,
    /// End of file, or an error.
    Gone,
}

/// How far the handing over of octets came.
#[derive(Debug)]
pub(super) enum Handed {
    /// The stream took all of them.
    All,
    /// Not all of them: the server had said something.
    Interrupted,
    /// Not all of them: the connection broke, or took too long.
    Broken(WireError),
}

/// Reads replies from a stream and hands octets to it.
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
        match self.look().await {
            Look::Quiet => Ok(self.stream),
            Look::Octets => Err(WireError::Unsolicited),
            Look::Gone => Err(WireError::Closed),
        }
    }

    /// Sends `bytes`, all by then.
    pub(super) async fn send(&mut self, bytes: &[u8], by: Instant) -> Result<(), WireError> {
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
            if searched > LINE_LIMIT + 1 {
                return Err(NoReply::LineTooLong.into());
            }
            // TLS may still hold what was handed over. An error will show when reading.
            let _ = self.stream.flush().await;
            self.input.reserve(LINE_LIMIT);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// Whether something was read, or can be read now, without waiting.
    pub(super) async fn look(&mut self) -> Look {
        if !self.input.is_empty() {
            return Look::Octets;
        }
        let seen = unconstrained(poll_fn(|cx| Poll::Ready(self.poll_fill(cx)))).await;
        match seen {
            Poll::Pending => Look::Quiet,
            Poll::Ready(Ok(1..)) => Look::Octets,
            Poll::Ready(_) => Look::Gone,
        }
    }

    /// Whether the last reply read was the last thing received.
    pub(super) fn is_drained(&self) -> bool {
        self.input.is_empty()
    }

    /// Hands `bytes` to the stream, and stops as soon as the server says anything, even before the first octet.
    pub(super) async fn hand_over(&mut self, bytes: &[u8], by: Instant) -> Handed {
        if !self.input.is_empty() {
            return Handed::Interrupted;
        }
        let mut taken = 0;
        let handing = poll_fn(|cx| {
            loop {
                match self.poll_fill(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(0)) => return Poll::Ready(Handed::Broken(WireError::Closed)),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Handed::Interrupted),
                    Poll::Ready(Err(error)) => return Poll::Ready(Handed::Broken(error.into())),
                }
                match Pin::new(&mut self.stream).poll_write(cx, &bytes[taken..]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return Poll::Ready(Handed::Broken(WireError::Closed)),
                    Poll::Ready(Ok(octets)) => taken += octets,
                    Poll::Ready(Err(error)) => return Poll::Ready(Handed::Broken(error.into())),
                }
                if taken == bytes.len() {
                    return Poll::Ready(Handed::All);
                }
            }
        });
        timeout_at(by, handing).await.unwrap_or(Handed::Broken(WireError::TimedOut))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(LINE_LIMIT);
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
    async fn replies_are_read_one_by_one_and_a_look_sees_what_is_left() {
        let (ours, mut theirs) = duplex(1000);
        let mut wire = Wire::new(ours);
        assert_eq!(wire.look().await, Look::Quiet);
        theirs.write_all(b"250-a\r\n250 b\r\n354 go\r\n").await.unwrap();
        assert_eq!(wire.look().await, Look::Octets);
        assert_eq!(wire.reply(soon()).await.unwrap(), Answer { code: 250, text: "a\nb".into() });
        assert!(!wire.is_drained());
        assert_eq!(wire.reply(soon()).await.unwrap().code, 354);
        assert!(wire.is_drained());
        drop(theirs);
        assert_eq!(wire.look().await, Look::Gone);
        assert!(matches!(wire.reply(soon()).await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn handing_over_stops_when_the_server_speaks() {
        let (ours, mut theirs) = duplex(1000);
        let mut wire = Wire::new(ours);
        assert!(matches!(wire.hand_over(&[0; 1000], soon()).await, Handed::All));
        // The pipe is full now, so the next octets can only wait.
        let (handed, _) = tokio::join!(wire.hand_over(&[0; 10], soon()), theirs.write_all(b"552 no\r\n"));
        assert!(matches!(handed, Handed::Interrupted));
        assert_eq!(wire.reply(soon()).await.unwrap().code, 552);
    }
}

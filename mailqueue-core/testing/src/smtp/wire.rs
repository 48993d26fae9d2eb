//! One connection's bytes, plain or encrypted.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The longest command line: RFC 4954 wants 12288 octets for AUTH.
const MAX_LINE_LEN: usize = 12_288;

/// How much input is buffered while the sink is not listening.
const INPUT_CAPACITY: usize = 1 << 20;

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client has gone, or the connection broke.
    Gone,
    /// The sink closes in an orderly way.
    Close,
    /// The sink resets.
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between plain and TLS, and after a failed handshake.
    None,
}

/// Buffered input and output. What is put is sent when the input has run dry, so that answers to
/// pipelined commands leave together.
pub(super) struct Wire {
    socket: Socket,
    pub(super) input: BytesMut,
    output: BytesMut,
}

pub(super) struct RawLine {
    pub(super) text: String,
    pub(super) bare_lf: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { socket: Socket::Plain(stream), input: BytesMut::new(), output: BytesMut::new() }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.socket, Socket::Tls(_))
    }

    /// Sends what was put, then speaks TLS. What came in before the handshake is thrown away.
    pub(super) async fn secure(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        self.flush().await.map_err(|_| io::ErrorKind::NotConnected)?;
        self.input.clear();
        let Socket::Plain(stream) = std::mem::replace(&mut self.socket, Socket::None) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        self.socket = Socket::Tls(Box::new(acceptor.accept(stream).await?));
        Ok(())
    }

    /// The next line; `None` if it is too long.
    pub(super) async fn line(&mut self) -> Result<Option<RawLine>, End> {
        let mut searched = 0;
        loop {
            if let Some(position) = memchr::memchr(b'\n', &self.input[searched..]) {
                let mut line = self.input.split_to(searched + position + 1);
                line.truncate(line.len() - 1);
                let bare_lf = !line.ends_with(b"\r");
                let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
                return Ok(Some(RawLine { text, bare_lf }));
            }
            searched = self.input.len();
            if searched > MAX_LINE_LEN {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.output.has_remaining() {
            match &mut self.socket {
                Socket::Plain(stream) => stream.write_all(&self.output).await?,
                Socket::Tls(stream) => {
                    stream.write_all(&self.output).await?;
                    stream.flush().await?;
                }
                Socket::None => return Err(End::Gone),
            }
            self.output.clear();
        }
        Ok(())
    }

    /// Sends what was put and waits for more input.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.read().await? == 0 { Err(End::Gone) } else { Ok(()) }
    }

    /// Waits for `awaited` and buffers input meanwhile, so that a client's departure is noticed at once.
    pub(super) async fn attend<F: Future>(&mut self, awaited: F) -> Result<F::Output, End> {
        tokio::pin!(awaited);
        while self.input.len() < INPUT_CAPACITY {
            tokio::select! {
                done = &mut awaited => return Ok(done),
                // Cancel-safe: octets that are not in the buffer yet are still in the socket.
                read = self.read() => if read? == 0 { return Err(End::Gone) },
            }
        }
        Ok(awaited.await)
    }

    /// Sends what was put and end of file, and waits until the client has closed too. Closing a socket
    /// with unread input would send a reset instead.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(10), async {
            self.flush().await?;
            match &mut self.socket {
                Socket::Plain(stream) => stream.shutdown().await?,
                Socket::Tls(stream) => stream.shutdown().await?,
                Socket::None => return Err(End::Gone),
            }
            loop {
                self.input.clear();
                if self.read().await? == 0 {
                    return Ok::<(), End>(());
                }
            }
        })
        .await;
    }

    /// Sends what was put, then a reset.
    pub(super) async fn reset(mut self) {
        let _ = self.flush().await;
        let stream = match &self.socket {
            Socket::Plain(stream) => stream,
            Socket::Tls(stream) => stream.get_ref().0,
            Socket::None => return,
        };
        // Turns the close that follows into a reset.
        let _ = stream.set_zero_linger();
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.input.reserve(16 * 1024);
        match &mut self.socket {
            Socket::Plain(stream) => stream.read_buf(&mut self.input).await,
            Socket::Tls(stream) => stream.read_buf(&mut self.input).await,
            Socket::None => Ok(0),
        }
    }
}

//! A client that says exactly what a test tells it to.

use std::net::SocketAddr;

use mailqueue_testing::Certificate;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("a TCP stream");
        Self(BufReader::new(Box::new(stream)))
    }

    /// Connects and has the greeting and EHLO behind it.
    pub async fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        assert_eq!(client.reply().await, "220 sink.test ESMTP");
        assert!(client.ask("EHLO client.test").await.contains("250 "));
        client
    }

    pub async fn secure(self, certificate: &Certificate) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(certificate.client_config());
        let stream = connector.connect(name, self.0.into_inner()).await.expect("the certificate is trusted");
        Self(BufReader::new(Box::new(stream)))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the connection is open");
        self.0.flush().await.expect("the connection is open");
    }

    /// One reply, its lines joined by `|`.
    pub async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("a reply");
            assert!(line.ends_with("\r\n"), "no whole reply line: {line:?} after {lines:?}");
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if is_last {
                return lines.join("|");
            }
        }
    }

    pub async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// The whole of a small message; the reply to its dot.
    pub async fn deliver(&mut self, recipient: &str, body: &str) -> String {
        assert_eq!(&self.ask("MAIL FROM:<a@client.test>").await[..3], "250");
        assert_eq!(&self.ask(&format!("RCPT TO:<{recipient}>")).await[..3], "250");
        assert_eq!(&self.ask("DATA").await[..3], "354");
        self.ask(&format!("{body}\r\n.")).await
    }

    /// Everything until the end; the kind of the error that ended it, if it was one.
    pub async fn rest(&mut self) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes).await;
        (bytes, end.err().map(|fault| fault.kind()))
    }

    pub async fn byte(&mut self) -> u8 {
        self.0.read_u8().await.expect("a byte")
    }
}

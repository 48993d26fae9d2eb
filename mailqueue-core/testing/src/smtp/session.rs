//! One connection's conversation.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::command;
use super::presence::Presence;
use super::script::Script;
use super::transaction::Envelope;
use super::wire::{End, Wire};
use super::{Credentials, Event, Phase, Record};

/// What a sink's sessions share.
pub(super) struct Shared {
    pub(super) script: Script,
    pub(super) record: watch::Sender<Record>,
    pub(super) releases: watch::Sender<u64>,
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) wire: Wire,
    pub(super) presence: Presence,
    pub(super) connection: usize,
    /// How many transactions were begun.
    pub(super) message: usize,
    pub(super) greeted: bool,
    /// Whether the client knows what is offered: it said EHLO, not HELO.
    pub(super) extended: bool,
    pub(super) credentials: Option<Credentials>,
    pub(super) envelope: Option<Envelope>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream) -> Self {
        let mut connection = 0;
        shared.record.send_modify(|record| connection = record.connected());
        let presence = Presence { shared: Arc::clone(&shared), connection, in_body: false, held: false };
        Self {
            shared,
            wire: Wire::new(stream),
            presence,
            connection,
            message: 0,
            greeted: false,
            extended: false,
            credentials: None,
            envelope: None,
        }
    }

    /// Speaks until either side ends the connection.
    pub(super) async fn run(mut self) {
        let Err(end) = self.converse().await;
        match end {
            End::Gone => self.note("the client has gone"),
            End::Close => {
                self.note("closed");
                self.wire.close().await;
            }
            End::Reset => {
                self.note("reset");
                self.wire.reset().await;
            }
        }
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        if let Some(acceptor) = self.shared.script.implicit_tls().cloned() {
            self.secure(&acceptor).await?;
        }
        self.answer(self.event(Phase::Connect, "", ""), "220 sink.test ESMTP").await?;
        loop {
            let Some(line) = self.wire.line().await? else {
                self.violation("a command line without end");
                self.say(b"500 5.5.2 line too long\r\n");
                return Err(End::Close);
            };
            let line = self.hear(line);
            self.obey(&line).await?;
        }
    }

    async fn obey(&mut self, line: &str) -> Result<(), End> {
        let (verb, argument) = command::split(line);
        self.check_pipelining(&verb);
        match verb.as_str() {
            "EHLO" | "HELO" => self.ehlo(line, verb == "EHLO").await,
            "STARTTLS" => self.starttls(line).await,
            "AUTH" => self.auth(line, argument).await,
            "MAIL" => self.mail(line, argument).await,
            "RCPT" => self.rcpt(line, argument).await,
            "DATA" => self.data(line).await,
            "RSET" => self.rset(line).await,
            "NOOP" => self.answer(self.event(Phase::Noop, line, ""), "250 2.0.0 OK").await.map(drop),
            "QUIT" => match self.answer(self.event(Phase::Quit, line, ""), "221 2.0.0 bye").await? {
                221 => Err(End::Close),
                _ => Ok(()),
            },
            _ => {
                self.say(b"502 5.5.2 command not known\r\n");
                Ok(())
            }
        }
    }

    async fn ehlo(&mut self, line: &str, extended: bool) -> Result<(), End> {
        let ordinary = match extended {
            true => self.shared.script.ehlo(self.wire.is_tls()),
            false => "250 sink.test".to_owned(),
        };
        let code = self.answer(self.event(Phase::Ehlo, line, ""), &ordinary).await?;
        if is_positive(code) {
            (self.greeted, self.extended, self.envelope) = (true, extended, None);
        }
        Ok(())
    }

    async fn starttls(&mut self, line: &str) -> Result<(), End> {
        let acceptor = self.shared.script.starttls().filter(|_| !self.wire.is_tls()).cloned();
        let ordinary = if acceptor.is_some() { "220 2.0.0 ready" } else { "502 5.5.1 not offered" };
        let code = self.answer(self.event(Phase::StartTls, line, ""), ordinary).await?;
        if let (220, Some(acceptor)) = (code, acceptor) {
            self.secure(&acceptor).await?;
            (self.greeted, self.extended) = (false, false);
            (self.envelope, self.credentials) = (None, None);
        }
        Ok(())
    }

    async fn auth(&mut self, line: &str, argument: &str) -> Result<(), End> {
        let (mechanism, initial) = command::split(argument);
        let offered = self.shared.script.capability("AUTH").filter(|_| self.extended).unwrap_or("");
        let credentials = match mechanism.as_str() {
            _ if !offered.split(' ').any(|name| name.eq_ignore_ascii_case(&mechanism)) => {
                let event = self.event(Phase::Auth, line, "");
                return self.answer(event, "504 5.5.4 mechanism not offered").await.map(drop);
            }
            "PLAIN" => Credentials::from_plain(&self.response(initial, "334 ").await?),
            _ => {
                let user = self.response(initial, "334 VXNlcm5hbWU6").await?;
                let password = self.response("", "334 UGFzc3dvcmQ6").await?;
                Credentials::from_login(&user, &password)
            }
        };
        let ordinary = if credentials.is_some() { "235 2.7.0 welcome" } else { "501 5.5.2 not understood" };
        let user = credentials.as_ref().map_or("", |credentials| &credentials.user);
        let event = Event { credentials: credentials.clone(), ..self.event(Phase::Auth, line, user) };
        let connection = self.connection;
        self.shared
            .record
            .send_modify(|record| record.conversation(connection).logins.extend(credentials.clone()));
        if self.answer(event, ordinary).await? == 235 {
            self.credentials = credentials;
        }
        Ok(())
    }

    /// The initial response that came with AUTH, or the answer to a challenge.
    async fn response(&mut self, initial: &str, challenge: &str) -> Result<String, End> {
        if !initial.is_empty() {
            return Ok(initial.to_owned());
        }
        self.say(format!("{challenge}\r\n").as_bytes());
        let line = self.wire.line().await?.ok_or(End::Close)?;
        Ok(self.hear(line))
    }

    async fn secure(&mut self, acceptor: &TlsAcceptor) -> Result<(), End> {
        if !self.wire.input.is_empty() {
            self.violation("bytes before the TLS handshake");
        }
        if let Err(fault) = self.wire.secure(acceptor).await {
            self.note(&format!("the TLS handshake failed: {fault}"));
            return Err(End::Gone);
        }
        let connection = self.connection;
        self.shared.record.send_modify(|record| record.conversation(connection).tls = true);
        self.note("TLS is active");
        Ok(())
    }
}

pub(super) fn is_positive(code: u16) -> bool {
    (200..300).contains(&code)
}

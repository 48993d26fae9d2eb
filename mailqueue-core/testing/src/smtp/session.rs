//! One connection: its state, EHLO, STARTTLS and AUTH.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::command;
use super::envelope::Envelope;
use super::presence::Presence;
use super::shared::Shared;
use super::wire::{End, Wire};
use super::{Credentials, Event, Phase};

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) wire: Wire,
    pub(super) presence: Presence,
    pub(super) connection: usize,
    /// The number of transactions begun.
    pub(super) message: usize,
    pub(super) greeted: bool,
    /// Set when the client said EHLO, not HELO, and so knows the offer.
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

    pub(super) async fn ehlo(&mut self, line: &str, extended: bool) -> Result<(), End> {
        let ordinary = match extended {
            true => self.shared.script.ehlo(self.wire.is_tls()),
            false => "250 sink.test".to_owned(),
        };
        let code = self.answer(self.event(Phase::Ehlo, line, ""), &ordinary).await?;
        if is_positive(code) {
            // EHLO ends an open transaction (RFC 5321 section 4.1.4).
            (self.greeted, self.extended, self.envelope) = (true, extended, None);
        }
        Ok(())
    }

    pub(super) async fn starttls(&mut self, line: &str) -> Result<(), End> {
        let acceptor = self.shared.script.starttls().filter(|_| !self.wire.is_tls()).cloned();
        let ordinary = if acceptor.is_some() { "220 2.0.0 ready" } else { "502 5.5.1 not offered" };
        let code = self.answer(self.event(Phase::StartTls, line, ""), ordinary).await?;
        if let (220, Some(acceptor)) = (code, acceptor) {
            self.secure(&acceptor).await?;
            // The client has to begin anew after the handshake (RFC 3207 section 4.2).
            (self.greeted, self.extended) = (false, false);
            (self.envelope, self.credentials) = (None, None);
        }
        Ok(())
    }

    pub(super) async fn auth(&mut self, line: &str, argument: &str) -> Result<(), End> {
        let (mechanism, initial) = command::split(argument);
        let offered = self.shared.script.capability("AUTH").filter(|_| self.extended).unwrap_or("");
        let credentials = match mechanism.as_str() {
            _ if !offered.split(' ').any(|name| name.eq_ignore_ascii_case(&mechanism)) => {
                let event = self.event(Phase::Auth, line, "");
                return self.answer(event, "504 5.5.4 mechanism not offered").await.map(drop);
            }
            "PLAIN" => Credentials::from_plain(&self.response(initial, "334 ").await?),
            _ => {
                // The challenges are "Username:" and "Password:" in base64.
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

    pub(super) async fn secure(&mut self, acceptor: &TlsAcceptor) -> Result<(), End> {
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

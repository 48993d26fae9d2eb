//! The dialogue with a client, command by command.

use std::convert::Infallible;

use super::Phase;
use super::command;
use super::session::Session;
use super::wire::End;

impl Session {
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
}

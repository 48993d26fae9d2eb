//! MAIL to the final dot.

use std::time::Instant;

use bytes::Bytes;

use super::command::{self, Path};
use super::envelope::Envelope;
use super::session::{Session, is_positive};
use super::wire::End;
use super::{Event, Phase, Received, data};

impl Session {
    pub(super) async fn mail(&mut self, line: &str, argument: &str) -> Result<(), End> {
        let path = command::path(argument, "FROM:");
        let size = path.as_ref().and_then(|path| path.parameter("SIZE")?.parse::<usize>().ok());
        let ordinary = match &path {
            None => "501 5.5.4 that is no MAIL FROM:<address>",
            _ if !self.greeted => "503 5.5.1 EHLO first",
            _ if self.envelope.is_some() => "503 5.5.1 a transaction is open",
            _ if self.is_too_big(size.unwrap_or(0)) => "552 5.3.4 too big",
            Some(_) => "250 2.1.0 OK",
        };
        self.check_parameters(path.as_ref());
        self.message += 1;
        let address = path.as_ref().map_or("", |path| &path.address);
        let code = self.answer(self.event(Phase::Mail, line, address), ordinary).await?;
        if is_positive(code) {
            self.envelope = Some(Envelope { mail: path, recipients: Vec::new() });
        }
        Ok(())
    }

    pub(super) async fn rcpt(&mut self, line: &str, argument: &str) -> Result<(), End> {
        let path = command::path(argument, "TO:");
        let ordinary = match &path {
            None => "501 5.5.4 that is no RCPT TO:<address>",
            Some(_) if self.envelope.is_none() => "503 5.5.1 MAIL first",
            Some(_) => "250 2.1.5 OK",
        };
        let address = path.map_or_else(String::new, |path| path.address);
        let code = self.answer(self.event(Phase::Rcpt, line, &address), ordinary).await?;
        if is_positive(code)
            && let Some(envelope) = &mut self.envelope
        {
            envelope.recipients.push(address);
        }
        Ok(())
    }

    pub(super) async fn data(&mut self, line: &str) -> Result<(), End> {
        let ordinary = match &self.envelope {
            None => "503 5.5.1 MAIL first",
            Some(envelope) if envelope.recipients.is_empty() => "554 5.5.1 no valid recipients",
            Some(_) => "354 go ahead",
        };
        if self.answer(self.event_of_transaction(Phase::Data, line), ordinary).await? != 354 {
            return Ok(());
        }
        // Stays set when the body breaks off: the drop of `presence` then counts an aborted one.
        self.presence.in_body = true;
        let raw = self.body().await?;
        self.presence.in_body = false;
        self.note(&format!("a body of {} bytes and the dot", raw.len()));
        self.dot(raw).await
    }

    pub(super) async fn rset(&mut self, line: &str) -> Result<(), End> {
        if is_positive(self.answer(self.event(Phase::Rset, line, ""), "250 2.0.0 OK").await?) {
            self.envelope = None;
        }
        Ok(())
    }

    async fn body(&mut self) -> Result<Bytes, End> {
        let mut raw = self.wire.input.split();
        let mut searched = 0;
        loop {
            let end = data::end(&raw, searched);
            if !raw.is_empty() {
                let size = end.map_or(raw.len(), |(end, _)| end);
                // Copied, because a rule may keep the piece while `raw` grows.
                let body = Bytes::copy_from_slice(&raw[searched.min(size)..size]);
                self.answer(Event { body, size, ..self.event_of_transaction(Phase::Body, "") }, "").await?;
            }
            if let Some((end, next)) = end {
                // What was buffered during the answer comes after what was left over here.
                let mut left_over = raw.split_off(next);
                left_over.unsplit(self.wire.input.split());
                self.wire.input = left_over;
                raw.truncate(end);
                return Ok(raw.freeze());
            }
            searched = raw.len();
            // The answer may have waited, and input was buffered meanwhile.
            if self.wire.input.is_empty() {
                self.wire.fill().await?;
            }
            raw.unsplit(self.wire.input.split());
        }
    }

    async fn dot(&mut self, raw: Bytes) -> Result<(), End> {
        let body = data::unstuff(&raw);
        self.check_body(&raw);
        let ordinary = if self.is_too_big(raw.len()) { "552 5.3.4 too big" } else { "250 2.0.0 taken" };
        let (body_of_event, size) = (body.clone(), raw.len());
        let event = Event { body: body_of_event, size, ..self.event_of_transaction(Phase::Dot, "") };
        let plan = self.plan(&event, ordinary)?;
        let envelope = self.envelope.take().unwrap_or_default();
        if plan.is_positive() || plan.silently_taken {
            let message = self.received(envelope, raw, body);
            // Before the reply leaves, so that a client that has read 250 finds its message on record.
            self.shared.record.send_modify(|record| record.take(message));
        }
        self.carry_out(plan).await.map(drop)
    }

    fn received(&self, envelope: Envelope, raw: Bytes, body: Bytes) -> Received {
        let mail = envelope.mail.unwrap_or(Path { address: String::new(), parameters: Vec::new() });
        Received {
            number: 0,
            connection: self.connection,
            message: self.message,
            recipients: envelope.recipients,
            size: mail.parameter("SIZE").and_then(|size| size.parse().ok()),
            body_type: mail.parameter("BODY").map(str::to_ascii_uppercase),
            smtputf8: mail.parameter("SMTPUTF8").is_some(),
            sender: mail.address,
            parameters: mail.parameters,
            tls: self.wire.is_tls(),
            credentials: self.credentials.clone(),
            body,
            raw,
            at: Instant::now(),
        }
    }

    fn is_too_big(&self, size: usize) -> bool {
        self.shared.script.size_limit().is_some_and(|limit| size > limit)
    }

    fn event_of_transaction(&self, phase: Phase, line: &str) -> Event {
        let first = self.envelope.as_ref().and_then(|envelope| envelope.recipients.first());
        self.event(phase, line, first.map_or("", String::as_str))
    }
}

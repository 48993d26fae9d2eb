//! MAIL, RCPT and DATA, in one group where the server offers PIPELINING (RFC 2920).

use std::mem;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::conclusion::{Conclusion, Throttle};
use super::fault::Fault;
use super::reply::Answer;
use super::transaction::Transaction;
use super::wire::{Readable, WireError};
use crate::domain::report::{Outcome, RelayFault, Reply};

impl<S: AsyncRead + AsyncWrite + Unpin> Transaction<'_, S> {
    /// Names sender and recipients and asks to send the message. `true`: the server waits for it, for the recipients
    /// that have no outcome yet. `false`: every recipient has its outcome.
    pub(super) async fn envelope(&mut self) -> Result<bool, Conclusion> {
        match self.session.wire.readable().await {
            Readable::Quiet => {}
            // Given up by the server while it was idle; nothing of this message was sent, so a new one is tried.
            Readable::Octets | Readable::Gone if self.session.kept => return Err(Conclusion::Stale),
            Readable::Octets => return Err(Conclusion::Fault(WireError::Unsolicited.into())),
            Readable::Gone => return Err(Conclusion::Fault(WireError::Closed.into())),
        }
        if self.pipelining {
            self.put_rset();
            self.put_mail();
            (0..self.message.recipients.len()).for_each(|place| self.put_rcpt(place));
            // DATA has to be the last command of a group (RFC 2920 section 3.1).
            self.put_data();
            self.flush().await?;
        }
        self.rset().await?;
        self.mail().await?;
        if self.is_settled() {
            return Ok(false);
        }
        for place in 0..self.message.recipients.len() {
            self.rcpt(place).await?;
        }
        if self.is_settled() { self.no_recipient().await } else { self.data().await }
    }

    async fn rset(&mut self) -> Result<(), Conclusion> {
        if !self.session.unfinished {
            return Ok(());
        }
        if !self.pipelining {
            self.put_rset();
            self.flush().await?;
        }
        let answer = self.answer(self.timeouts.mail).await?;
        if !answer.is_yes() {
            // A refused RSET leaves an older transaction open, so only a new connection is safe.
            return Err(Conclusion::Stale);
        }
        self.session.unfinished = false;
        Ok(())
    }

    async fn mail(&mut self) -> Result<(), Conclusion> {
        if !self.pipelining {
            self.put_mail();
            self.flush().await?;
        }
        let answer = self.answer(self.timeouts.mail).await?;
        let pressing = answer.is_transient() && Reply::from(answer.clone()).is_pressure();
        match answer.code {
            _ if pressing => return Err(Conclusion::Pressed(Fault::refused(RelayFault::Throttled, answer))),
            _ if answer.is_yes() => {
                // From here on the server keeps this sender until the dot or a RSET.
                self.session.unfinished = true;
                return Ok(());
            }
            // A login is asked for: the settings are at fault, and every other message would meet the same.
            530 | 535 | 538 => return Err(Conclusion::Fault(Fault::refused(RelayFault::Auth, answer))),
            _ => self.settle_refusal(answer, Throttle::Sender)?,
        }
        if self.pipelining {
            // The rest of the group is refused in turn. If it is not, this server is not to be trusted with a dot.
            for _ in &self.message.recipients {
                self.drain().await;
            }
            self.reusable &= self.drain().await != Some(354);
        }
        Ok(())
    }

    async fn rcpt(&mut self, place: usize) -> Result<(), Conclusion> {
        if !self.pipelining {
            self.put_rcpt(place);
            self.flush().await?;
        }
        let answer = self.answer(self.timeouts.rcpt).await?;
        if answer.is_yes() {
            return Ok(());
        }
        self.session.refusals += 1;
        let reply = Reply::from(answer.clone());
        if reply.is_pressure() {
            self.throttle = Some(Throttle::Everybody);
        }
        // A first recipient cannot be one too many, so the same answer means something else to it.
        let is_too_many = reply.is_one_too_many() && self.outcomes[..place].iter().any(Option::is_none);
        self.outcomes[place] =
            Some(if is_too_many { Outcome::Deferred(reply) } else { self.refusal(answer)? });
        Ok(())
    }

    async fn data(&mut self) -> Result<bool, Conclusion> {
        if !self.pipelining {
            self.put_data();
            self.flush().await?;
        }
        let answer = self.answer(self.timeouts.data).await?;
        // Anything else would have the message read as commands.
        if answer.code == 354 {
            return Ok(true);
        }
        self.settle_refusal(answer, Throttle::Message)?;
        Ok(false)
    }

    /// With no recipient taken there is no message to send; but in a group DATA was said already.
    async fn no_recipient(&mut self) -> Result<bool, Conclusion> {
        if self.pipelining && self.drain().await == Some(354) {
            // RFC 2920 section 3.1: a dot alone ends what nobody will get.
            let sent = self.session.wire.send(b".\r\n", self.deadline(self.timeouts.data)).await;
            self.reusable &= sent.is_ok();
            self.drain().await;
        }
        Ok(false)
    }

    /// Reads a reply that changes no outcome any more; only whether the connection can be kept.
    async fn drain(&mut self) -> Option<u16> {
        if !self.reusable {
            return None;
        }
        match self.session.wire.reply(self.deadline(self.timeouts.data)).await {
            Ok(answer) => {
                self.session.refusals += u32::from(answer.is_permanent());
                self.reusable = answer.code != 421;
                Some(answer.code)
            }
            Err(_) => {
                self.reusable = false;
                None
            }
        }
    }

    /// The reply to the next command of the envelope, unless it means that there is no point in going on.
    async fn answer(&mut self, timeout: Duration) -> Result<Answer, Conclusion> {
        let is_first = !mem::replace(&mut self.heard, true);
        let first_on_reused = is_first && self.session.kept;
        // The first reply of a group has its own time; the others follow soon, unless the commands got lost.
        let in_group = self.pipelining && !is_first;
        let timeout = if in_group { timeout.min(self.timeouts.group) } else { timeout };
        match self.session.wire.reply(self.deadline(timeout)).await {
            Ok(answer) if answer.code == 421 && first_on_reused => Err(Conclusion::Stale),
            Ok(answer) if answer.code == 421 && self.has_refused() => {
                // Servers say this after too many refusals. As a fault of the relay it would happen again and again;
                // this way the refused recipients are settled and the next attempt is shorter.
                self.settle(&Outcome::Deferred(answer.into()));
                Err(self.conclude(false, false))
            }
            Ok(answer) if answer.code == 421 => {
                Err(Conclusion::Fault(Fault::refused(RelayFault::Throttled, answer)))
            }
            Ok(answer) => Ok(answer),
            // The server had closed it before it saw a command of this message.
            Err(error) if first_on_reused && error.is_gone() => Err(Conclusion::Stale),
            // Before the dot in any case: the reply to DATA is one of these.
            Err(WireError::TimedOut) if in_group => Err(Conclusion::Silent),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// The answer to MAIL or DATA, as the outcome of every recipient that has none; `whom` it asks for patience with, if
    /// it asks for that and not with everybody.
    fn settle_refusal(
        &mut self,
        answer: Answer,
        whom: impl FnOnce(Reply) -> Throttle,
    ) -> Result<(), Conclusion> {
        self.session.refusals += 1;
        self.note_throttle(&answer, whom);
        let outcome = self.refusal(answer)?;
        self.settle(&outcome);
        Ok(())
    }

    fn deadline(&self, timeout: Duration) -> Instant {
        self.envelope_by.min(Instant::now() + timeout)
    }

    async fn flush(&mut self) -> Result<(), Conclusion> {
        // Octets that came before the command was sent cannot be its answer.
        if !self.session.wire.is_drained() {
            return Err(self.broken(&WireError::Unsolicited));
        }
        let by = self.deadline(self.timeouts.mail);
        let sent = self.session.wire.send(&self.session.output, by).await;
        self.session.output.clear();
        match sent {
            // Why the server has gone may be waiting to be read.
            Err(error) if !error.is_gone() => Err(self.broken(&error)),
            _ => Ok(()),
        }
    }

    fn put_rset(&mut self) {
        if self.session.unfinished {
            self.session.output.extend_from_slice(b"RSET\r\n");
        }
    }

    fn put_mail(&mut self) {
        let (message, offered, output) = (self.message, self.session.offered, &mut self.session.output);
        output.extend_from_slice(b"MAIL FROM:<");
        // Written as it is, because `malformed` has refused control characters.
        output.extend_from_slice(message.sender.as_bytes());
        output.push(b'>');
        // The length as stored: RFC 1870 counts neither the final dot nor doubled ones.
        if offered.size {
            output.extend_from_slice(format!(" SIZE={}", message.raw.len()).as_bytes());
        }
        if offered.eight_bit && !self.seven_bit {
            output.extend_from_slice(b" BODY=8BITMIME");
        }
        if self.smtputf8 {
            output.extend_from_slice(b" SMTPUTF8");
        }
        output.extend_from_slice(b"\r\n");
    }

    fn put_rcpt(&mut self, place: usize) {
        let output = &mut self.session.output;
        output.extend_from_slice(b"RCPT TO:<");
        output.extend_from_slice(self.message.recipients[place].as_str().as_bytes());
        output.extend_from_slice(b">\r\n");
    }

    fn put_data(&mut self) {
        self.session.output.extend_from_slice(b"DATA\r\n");
    }

    /// The outcome of a 4yz or 5yz; anything else is no answer that a command of the envelope can have.
    fn refusal(&mut self, answer: Answer) -> Result<Outcome, Conclusion> {
        match answer.code / 100 {
            4 => Ok(Outcome::Deferred(answer.into())),
            5 => Ok(Outcome::Refused(answer.into())),
            _ => Err(self.broken(&WireError::Unexpected(answer.code))),
        }
    }
}

//! The message itself, the gate and the final dot.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::conclusion::{Conclusion, Throttle};
use super::data::{DotStuffer, ending};
use super::transaction::Transaction;
use super::wire::{WireError, Written};
use crate::contracts::transport::Gate;
use crate::domain::report::{Outcome, Reply};

/// A message up to this long goes out in one write together with its dot; a longer one in pieces of this length.
const PIECE_OCTETS: usize = 64 * 1024;

/// The time that a server which has gone gets for what it said before.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

impl<S: AsyncRead + AsyncWrite + Unpin> Transaction<'_, S> {
    /// Sends the message, once the server waits for it.
    pub(super) async fn content(&mut self, gate: &dyn Gate) -> Result<Conclusion, Conclusion> {
        let (raw, timeouts) = (&self.message.raw, self.timeouts);
        let mut stuffer = DotStuffer::new();
        self.session.output.clear();
        if raw.len() > PIECE_OCTETS {
            // Has a deadline of its own, against a server that takes each piece just in time.
            let whole_by = Instant::now() + timeouts.body;
            for piece in raw.chunks(PIECE_OCTETS) {
                stuffer.push(piece, &mut self.session.output);
                let by = whole_by.min(Instant::now() + timeouts.block);
                self.write_output(by).await?;
            }
        } else {
            // 8 octets more for the final dot and a few doubled ones, so that usual mail allocates once.
            self.session.output.reserve(raw.len() + 8);
            stuffer.push(raw, &mut self.session.output);
        }
        self.session.output.extend_from_slice(ending(raw));
        // Asked with the dot already in the buffer, so that one write follows the permission.
        if !gate.may_send_dot().await {
            return Err(Conclusion::Withheld);
        }
        self.write_output(Instant::now() + timeouts.block).await?;
        // Set after the whole write: a dot line that is cut short ends no message.
        self.dot_sent = true;
        Ok(self.after_dot().await)
    }

    /// Writes the session's output.
    async fn write_output(&mut self, by: Instant) -> Result<(), Conclusion> {
        let written = self.session.wire.write(&self.session.output, by).await;
        self.session.output.clear();
        Err(match written {
            Written::All => return Ok(()),
            Written::Interrupted => self.interrupted(self.timeouts.dot, WireError::Unsolicited).await,
            // What the server said before it went may still be there to be read.
            Written::Broken(error) if error.is_gone() => {
                self.interrupted(self.timeouts.dot.min(LAST_WORDS_TIMEOUT), error).await
            }
            Written::Broken(error) => self.broken(&error),
        })
    }

    /// The server did not wait for the dot. A refusal counts; anything else breaks the protocol.
    async fn interrupted(&mut self, timeout: Duration, otherwise: WireError) -> Conclusion {
        let Ok(answer) = self.session.wire.reply(Instant::now() + timeout).await else {
            return self.broken(&otherwise);
        };
        let well = answer.code != 421;
        if answer.is_transient() {
            self.note_throttle(&answer, Throttle::Message);
            self.settle(&Outcome::Deferred(answer.into()));
        } else if answer.is_permanent() {
            self.settle(&Outcome::Refused(answer.into()));
        } else {
            return self.broken(&WireError::Unexpected(answer.code));
        }
        // The connection is left in the middle of the message.
        self.conclude(false, well)
    }

    /// The answer to the dot. From here on silence is ambiguous.
    async fn after_dot(&mut self) -> Conclusion {
        let answer = match self.session.wire.reply(Instant::now() + self.timeouts.dot).await {
            Ok(answer) => answer,
            Err(error) => {
                let text = format!("the message may have been taken: {error}");
                self.settle(&Outcome::Ambiguous(Reply::new(None, text)));
                return self.conclude(false, false);
            }
        };
        // The answer to the dot ends the transaction whatever it says, so no RSET is due.
        self.session.unfinished = false;
        let code = answer.code;
        // A yes that is not quite the right one counts, but the connection is not trusted any more.
        let (outcome, reusable, well) = if answer.is_yes() {
            (Outcome::Accepted(answer.into()), code == 250, true)
        } else if answer.is_permanent() {
            self.session.refusals += 1;
            (Outcome::Refused(answer.into()), true, true)
        } else if answer.is_transient() {
            self.session.refusals += 1;
            self.note_throttle(&answer, Throttle::Message);
            (Outcome::Deferred(answer.into()), code != 421, code != 421)
        } else {
            // 2yz and 3yz of other commands say nothing about this message.
            (Outcome::Ambiguous(answer.into()), false, false)
        };
        self.settle(&outcome);
        self.conclude(reusable, well)
    }
}

//! One message on one connection.

use std::mem;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::data::{DotStuffer, ending, has_bare_line_end};
use super::reply::Answer;
use super::session::{Fault, Session};
use super::timeouts::Timeouts;
use super::wire::{Handed, WireError};
use crate::contracts::transport::{Gate, Outgoing};
use crate::domain::address::Address;
use crate::domain::report::{Outcome, Reply};

/// A message up to this long goes out in one write together with its dot; a longer one in pieces of this length.
const PIECE: usize = 64 * 1024;

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The kept connection had been closed by the server before it saw this message.
    Stale,
    /// The relay was not asked: its offer tells that it cannot take this message.
    Unfit(Reply),
    /// After its first reply to commands in one group came no other. Nothing was sent.
    Silent,
    /// The relay takes no message. Nothing was sent.
    Fault(Fault),
    /// The relay asks everybody for patience before it knows a recipient. Nothing was sent.
    Pressed(Fault),
    /// The gate stayed shut. Nothing was sent.
    Withheld,
    /// Every recipient has its outcome.
    Answered(Answered),
}

/// A transaction with an outcome for every recipient.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) outcomes: Vec<(Address, Outcome)>,
    /// Whether all octets of the message, the final dot among them, were handed to the connection.
    pub(super) dot_sent: bool,
    /// Whether nothing is outstanding and nothing was strange, so that the connection can be kept.
    pub(super) reusable: bool,
    /// Whether the relay behaved, even if it refused.
    pub(super) well: bool,
    /// With whom it asked for patience, and how.
    pub(super) patience: Option<Patience>,
    /// Recipients that were too many for one transaction of which others were taken.
    pub(super) left_over: Vec<Address>,
}

impl Answered {
    /// Adds what became of the recipients that were left over.
    pub(super) fn add(&mut self, next: Self) {
        for (address, outcome) in next.outcomes {
            if let Some(known) = self.outcomes.iter_mut().find(|(known, _)| *known == address) {
                known.1 = outcome;
            }
        }
        self.dot_sent |= next.dot_sent;
        (self.reusable, self.well) = (next.reusable, next.well);
        (self.patience, self.left_over) = (next.patience, next.left_over);
    }
}

/// With whom a server asks for patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Patience {
    /// With everybody.
    Everybody,
    /// With the sender, by name: in answer to MAIL.
    Sender(Reply),
    /// With the message: in answer to DATA or the dot.
    Message(Reply),
}

/// Why a transaction ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Stale,
    Unfit(Reply),
    Silent,
    Fault(Fault),
    Pressed(Fault),
    Withheld,
    /// Before the dot the connection broke, or something strange came; recipients without an outcome are deferred.
    Broken(WireError),
    /// Every recipient has its outcome, and the server is about to close.
    Settled,
}

/// What the dot led to.
struct Done {
    dot_sent: bool,
    reusable: bool,
    well: bool,
}

impl Done {
    /// Nothing was sent, and the connection is left in the middle of the message.
    fn unsent(well: bool) -> Self {
        Self { dot_sent: false, reusable: false, well }
    }
}

/// Puts a message to a server. Dropped at any time, it leaves no copy unless the gate had opened.
#[derive(Debug)]
pub(super) struct Transaction<'a, S> {
    pub(super) session: &'a mut Session<S>,
    pub(super) message: &'a Outgoing,
    pub(super) timeouts: &'a Timeouts,
    pub(super) pipelining: bool,
    pub(super) envelope_by: Instant,
    /// In the order of the recipients; `None` as long as nothing final was said.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// Whether the next reply is the first one to this message on a connection that was used before.
    pub(super) first_on_reused: bool,
    pub(super) reusable: bool,
    pub(super) patience: Option<Patience>,
    /// Whether a reply of the envelope was read.
    pub(super) heard: bool,
    pub(super) seven_bit: bool,
    pub(super) smtputf8: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Transaction<'a, S> {
    /// `pipelining` says whether it may be used where it is offered.
    pub(super) fn new(
        session: &'a mut Session<S>,
        message: &'a Outgoing,
        timeouts: &'a Timeouts,
        pipelining: bool,
    ) -> Self {
        let addresses_are_ascii =
            message.sender.is_ascii() && !message.recipients.iter().any(Address::needs_smtputf8);
        Self {
            pipelining: pipelining && session.offered.pipelining,
            envelope_by: Instant::now() + timeouts.envelope,
            outcomes: vec![None; message.recipients.len()],
            first_on_reused: session.kept,
            reusable: true,
            patience: None,
            heard: false,
            seven_bit: message.raw.is_ascii(),
            smtputf8: message.smtputf8 || !addresses_are_ascii,
            session,
            message,
            timeouts,
        }
    }

    /// Sends the message, or finds out why not.
    pub(super) async fn run(mut self, gate: &dyn Gate) -> Ending {
        let done = match self.converse(gate).await {
            Ok(done) => done,
            Err(Stop::Stale) => return Ending::Stale,
            Err(Stop::Unfit(reply)) => return Ending::Unfit(reply),
            Err(Stop::Silent) => return Ending::Silent,
            Err(Stop::Fault(fault)) => return Ending::Fault(fault),
            Err(Stop::Pressed(fault)) => return Ending::Pressed(fault),
            Err(Stop::Withheld) => return Ending::Withheld,
            Err(Stop::Settled) => Done::unsent(false),
            Err(Stop::Broken(error)) => {
                self.settle(&Outcome::Deferred(Reply::new(None, format!("not sent: {error}"))));
                Done::unsent(false)
            }
        };
        self.session.messages += 1;
        let outcomes = mem::take(&mut self.outcomes).into_iter().flatten();
        let outcomes: Vec<_> = self.message.recipients.iter().cloned().zip(outcomes).collect();
        Ending::Answered(Answered {
            left_over: left_over(&outcomes),
            outcomes,
            dot_sent: done.dot_sent,
            reusable: done.reusable && self.session.wire.is_drained(),
            well: done.well,
            patience: self.patience,
        })
    }

    async fn converse(&mut self, gate: &dyn Gate) -> Result<Done, Stop> {
        if let Some(reason) = self.missing() {
            return Err(Stop::Unfit(Reply::new(None, reason)));
        }
        if let Some(reason) = self.malformed() {
            self.settle(&Outcome::Refused(Reply::new(None, reason)));
        }
        if self.is_settled() {
            // Refused just now, or there was no recipient to begin with.
            return Ok(Done { dot_sent: false, reusable: true, well: true });
        }
        if !self.envelope().await? {
            return Ok(Done { dot_sent: false, reusable: self.reusable, well: self.reusable });
        }
        self.content(gate).await
    }

    /// Why this server cannot take this message, whoever it is for. Nothing is said to it then.
    fn missing(&self) -> Option<String> {
        let offered = &self.session.offered;
        let length = self.message.raw.len() as u64;
        if self.smtputf8 && !offered.smtputf8 {
            Some("5.6.7 the relay does not offer SMTPUTF8, which an address needs".to_owned())
        } else if !self.seven_bit && !offered.eight_bit {
            Some("5.6.3 the relay does not offer 8BITMIME, which the message needs".to_owned())
        } else {
            let limit = offered.size_limit.filter(|limit| length > *limit)?;
            Some(format!("5.3.4 the message has {length} octets, the relay takes {limit}"))
        }
    }

    /// Why no server may be given this message.
    fn malformed(&self) -> Option<&'static str> {
        if has_bare_line_end(&self.message.raw) {
            Some("5.6.0 the message has a CR or LF that is no line end")
        } else if self.message.sender.contains(|c: char| c.is_control()) {
            Some("5.1.7 the sender's address has a control character")
        } else {
            None
        }
    }

    /// The message itself, once the server waits for it.
    async fn content(&mut self, gate: &dyn Gate) -> Result<Done, Stop> {
        let (raw, timeouts) = (&self.message.raw, self.timeouts);
        let mut stuffer = DotStuffer::new();
        self.session.output.clear();
        if raw.len() > PIECE {
            let whole_by = Instant::now() + timeouts.body;
            for piece in raw.chunks(PIECE) {
                stuffer.push(piece, &mut self.session.output);
                let by = whole_by.min(Instant::now() + timeouts.block);
                if let Some(done) = self.hand_over(by).await? {
                    return Ok(done);
                }
            }
        } else {
            self.session.output.reserve(raw.len() + 8);
            stuffer.push(raw, &mut self.session.output);
        }
        self.session.output.extend_from_slice(ending(raw));
        if !gate.may_send_dot().await {
            return Err(Stop::Withheld);
        }
        match self.hand_over(Instant::now() + timeouts.block).await? {
            Some(done) => Ok(done),
            None => Ok(self.after_dot().await),
        }
    }

    /// Hands over what stands in the session's output. If that does not succeed, it says what became of the message.
    async fn hand_over(&mut self, by: Instant) -> Result<Option<Done>, Stop> {
        let handed = self.session.wire.hand_over(&self.session.output, by).await;
        self.session.output.clear();
        match handed {
            Handed::All => Ok(None),
            Handed::Interrupted => {
                self.interrupted(self.timeouts.dot, WireError::Unsolicited).await.map(Some)
            }
            // What the server said before it went may still be there to be read.
            Handed::Broken(error) if error.is_gone() => {
                let patience = self.timeouts.dot.min(Duration::from_secs(1));
                self.interrupted(patience, error).await.map(Some)
            }
            Handed::Broken(error) => Err(Stop::Broken(error)),
        }
    }

    /// The server did not wait for the dot. A refusal counts; anything else is strange.
    async fn interrupted(&mut self, patience: Duration, otherwise: WireError) -> Result<Done, Stop> {
        let Ok(answer) = self.session.wire.reply(Instant::now() + patience).await else {
            return Err(Stop::Broken(otherwise));
        };
        let well = answer.code != 421;
        if answer.is_transient() {
            self.note_patience(&answer, Patience::Message);
            self.settle(&Outcome::Deferred(answer.into()));
        } else if answer.is_permanent() {
            self.settle(&Outcome::Refused(answer.into()));
        } else {
            return Err(Stop::Broken(WireError::Unexpected(answer.code)));
        }
        Ok(Done::unsent(well))
    }

    /// The answer to the dot. From here on silence is ambiguous.
    async fn after_dot(&mut self) -> Done {
        let answer = match self.session.wire.reply(Instant::now() + self.timeouts.dot).await {
            Ok(answer) => answer,
            Err(error) => {
                let text = format!("the message may have been taken: {error}");
                self.settle(&Outcome::Ambiguous(Reply::new(None, text)));
                return Done { dot_sent: true, reusable: false, well: false };
            }
        };
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
            self.note_patience(&answer, Patience::Message);
            (Outcome::Deferred(answer.into()), code != 421, code != 421)
        } else {
            (Outcome::Ambiguous(answer.into()), false, false)
        };
        self.settle(&outcome);
        Done { dot_sent: true, reusable, well }
    }

    /// Notes whether an answer asks for patience with everybody, or else with whom it would.
    pub(super) fn note_patience(&mut self, answer: &Answer, whom: impl FnOnce(Reply) -> Patience) {
        let reply = Reply::from(answer.clone());
        // 421 is the connection's end, and judged by that.
        if reply.is_pressure() && answer.code != 421 {
            self.patience = Some(Patience::Everybody);
        } else if reply.is_throttling() && answer.code != 421 && self.patience.is_none() {
            self.patience = Some(whom(reply));
        }
    }

    /// Gives `outcome` to every recipient that has none.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        for open in self.outcomes.iter_mut().filter(|known| known.is_none()) {
            *open = Some(outcome.clone());
        }
    }

    /// Whether every recipient has its outcome.
    pub(super) fn is_settled(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// Whether a recipient was refused for good.
    pub(super) fn has_refused(&self) -> bool {
        self.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Refused(_)))
    }
}

/// Those for whom another transaction may succeed at once, since this one did for others.
fn left_over(outcomes: &[(Address, Outcome)]) -> Vec<Address> {
    if !outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Accepted(_))) {
        return Vec::new();
    }
    let is_left = |outcome: &Outcome| matches!(outcome, Outcome::Deferred(reply) if reply.is_one_too_many());
    outcomes.iter().filter(|(_, outcome)| is_left(outcome)).map(|(address, _)| address.clone()).collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use time::OffsetDateTime;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::domain::id::MessageId;

    struct Open;

    #[async_trait]
    impl Gate for Open {
        async fn may_send_dot(&self) -> bool {
            true
        }
    }

    fn message() -> Outgoing {
        Outgoing {
            id: MessageId::new(OffsetDateTime::UNIX_EPOCH),
            sender: String::new(),
            recipients: vec!["ana@example.com".parse().unwrap()],
            raw: "Subject: x\r\n\r\nHello.\r\n".into(),
            smtputf8: false,
        }
    }

    /// A server that answers each line after this long; within a message only the dot.
    async fn answer_slowly(stream: DuplexStream, before: impl Fn(&str) -> Duration) {
        let mut lines = BufReader::new(stream);
        lines.get_mut().write_all(b"220 slow\r\n").await.unwrap();
        let (mut line, mut in_body) = (String::new(), false);
        while lines.read_line(&mut line).await.unwrap() > 0 {
            let reply = match line.trim_end() {
                "DATA" => "354 go\r\n",
                "." => "250 taken\r\n",
                _ => "250 yes\r\n",
            };
            if !in_body || reply.contains("taken") {
                tokio::time::sleep(before(line.trim_end())).await;
                if lines.get_mut().write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
            in_body = reply.starts_with("354") || (in_body && !reply.contains("taken"));
            line.clear();
        }
    }

    /// The outcome, and how long it took, of a message to a server that is so slow.
    async fn outcome(before: impl Fn(&str) -> Duration + Send + 'static) -> (Outcome, bool, Duration) {
        let (ours, theirs) = duplex(1000);
        let server = tokio::spawn(answer_slowly(theirs, before));
        let (timeouts, message) = (Timeouts::default(), message());
        let mut session = Session::greet(ours, "me", &timeouts).await.unwrap();
        let started = Instant::now();
        let ending = Transaction::new(&mut session, &message, &timeouts, true).run(&Open).await;
        let Ending::Answered(mut answered) = ending else { panic!("{ending:?}") };
        server.abort();
        (answered.outcomes.remove(0).1, answered.dot_sent, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_take_its_time_over_the_dot_but_not_for_ever() {
        let late = |minutes| {
            move |line: &str| if line == "." { Duration::from_mins(minutes) } else { Duration::ZERO }
        };
        let (outcome_in_time, dot_sent, _) = outcome(late(9)).await;
        assert!(matches!(outcome_in_time, Outcome::Accepted(_)) && dot_sent);
        let (too_late, dot_sent, taken) = outcome(late(11)).await;
        assert!(matches!(too_late, Outcome::Ambiguous(_)) && dot_sent);
        assert_eq!(taken.as_secs(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn each_command_has_the_time_that_rfc_5321_gives_it() {
        for (command, seconds) in [("MAIL", 300), ("RCPT", 300), ("DATA", 120)] {
            let late = |seconds| {
                move |line: &str| {
                    if line.starts_with(command) { Duration::from_secs(seconds) } else { Duration::ZERO }
                }
            };
            assert!(matches!(outcome(late(seconds - 1)).await.0, Outcome::Accepted(_)), "{command}");
            let (too_late, dot_sent, taken) = outcome(late(seconds + 1)).await;
            assert!(matches!(too_late, Outcome::Deferred(_)) && !dot_sent, "{command}");
            assert_eq!(taken.as_secs(), seconds, "{command}");
        }
    }
}

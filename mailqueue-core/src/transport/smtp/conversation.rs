//! One message on one connection, from the checks to the answer to the dot.

use tokio::io::{AsyncRead, AsyncWrite};

use super::conclusion::Conclusion;
use super::data::has_bare_line_end;
use super::transaction::Transaction;
use crate::contracts::transport::Gate;
use crate::domain::report::{Outcome, Reply};

impl<S: AsyncRead + AsyncWrite + Unpin> Transaction<'_, S> {
    /// Sends the message, or finds out why not.
    pub(super) async fn run(mut self, gate: &dyn Gate) -> Conclusion {
        match self.converse(gate).await {
            Ok(conclusion) | Err(conclusion) => conclusion,
        }
    }

    async fn converse(&mut self, gate: &dyn Gate) -> Result<Conclusion, Conclusion> {
        if let Some(reason) = self.missing() {
            return Err(Conclusion::Unfit(Reply::new(None, reason)));
        }
        if let Some(reason) = self.malformed() {
            self.settle(&Outcome::Refused(Reply::new(None, reason)));
        }
        if self.is_settled() {
            // Refused just now, or there was no recipient to begin with.
            return Ok(self.conclude(true, true));
        }
        if !self.envelope().await? {
            return Ok(self.conclude(self.reusable, self.reusable));
        }
        self.content(gate).await
    }

    /// The reason why this server cannot take this message for any recipient. Nothing is said to it then.
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

    /// The reason why no server may be given this message.
    fn malformed(&self) -> Option<&'static str> {
        if has_bare_line_end(&self.message.raw) {
            Some("5.6.0 the message has a CR or LF that is no line end")
        } else if self.message.sender.contains(|c: char| c.is_control()) {
            Some("5.1.7 the sender's address has a control character")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use time::OffsetDateTime;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::super::session::Session;
    use super::super::timeouts::Timeouts;
    use super::*;
    use crate::contracts::transport::Outgoing;
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
        let conclusion = Transaction::new(&mut session, &message, &timeouts, true).run(&Open).await;
        let Conclusion::Answered(mut answers) = conclusion else { panic!("{conclusion:?}") };
        server.abort();
        (answers.outcomes.remove(0).1, answers.dot_sent, started.elapsed())
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

//! Faults of Redis, sorted by their remedy.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::contracts::error_detail::ErrorDetail;
use crate::contracts::queue::QueueError;

/// A failed exchange. The connection it happened on is not used again, whichever it is.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// No connection, no answer, or an answer that the server is not ready: opens the breaker.
    OutOfReach(ErrorDetail),
    /// No connection can be had, and trying again will not help before somebody changes a setting: opens the
    /// breaker too, for a probe would fail alike.
    Rejected(ErrorDetail),
    /// A key of ours holds something that is not a sorted set.
    WrongType,
    /// The server answered that it will not do this.
    Refused(ErrorDetail),
}

impl Fault {
    /// No answer within the timeout.
    pub(super) fn silence(timeout: Duration) -> Self {
        Self::OutOfReach(format!("no answer within {timeout:?}").into())
    }

    /// True when further calls would fail alike.
    pub(super) fn opens_breaker(&self) -> bool {
        matches!(self, Self::OutOfReach(_) | Self::Rejected(_))
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // These texts are ours: what a server says about a login may quote it.
            ErrorKind::AuthenticationFailed => Self::Rejected("wrong user name or password".into()),
            ErrorKind::InvalidClientConfig => Self::Rejected("this Redis URL cannot be used".into()),
            ErrorKind::Io | ErrorKind::Parse => Self::OutOfReach(ErrorDetail::of(error)),
            _ => from_answer(error),
        }
    }
}

fn from_answer(error: RedisError) -> Fault {
    let unknown = format!("a strange answer ({})", error.category());
    let answers = error.into_server_errors();
    let Some((_, answer)) = answers.as_deref().and_then(<[_]>::first) else {
        return Fault::OutOfReach(unknown.into());
    };
    // Cut, since it reaches the log and a server may say any amount.
    let detail: String = answer.details().unwrap_or_default().chars().take(200).collect();
    match answer.code() {
        "WRONGTYPE" => Fault::WrongType,
        // The server quotes the command's arguments after these words.
        "ERR" if detail.contains("unknown command") => {
            Fault::Refused("it lacks a command: Redis 7.0 or newer, or Valkey, is needed".into())
        }
        code @ "NOPERM" => {
            Fault::Refused(format!("{code} {detail}; README.md lists the commands that a user needs").into())
        }
        code @ ("MOVED" | "ASK") => Fault::Refused(
            format!("{code} {detail}: another node of its cluster holds this queue; name a Redis that is no cluster")
                .into(),
        ),
        "NOAUTH" => Fault::Rejected("it wants a password".into()),
        code @ ("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "UNBLOCKED") => {
            Fault::OutOfReach(format!("{code} {detail}").into())
        }
        code => Fault::Refused(format!("{code} {detail}").into()),
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::OutOfReach(why) => Self::Unavailable(why),
            Fault::Rejected(why) | Fault::Refused(why) => Self::Refused(why),
            Fault::WrongType => Self::Refused("a key of the queue is no sorted set, again and again".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> Fault {
        let value = redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err().into()
    }

    #[test]
    fn answers_are_sorted_by_what_is_to_be_done() {
        assert!(matches!(answer("-WRONGTYPE Operation against a key"), Fault::WrongType));
        assert!(matches!(
            answer("-OOM command not allowed when used memory > 'maxmemory'."),
            Fault::Refused(_)
        ));
        assert!(matches!(
            answer("-READONLY You can't write against a read only replica."),
            Fault::Refused(_)
        ));
        for (line, begin) in [
            ("-MOVED 8541 127.0.0.1:7001", "MOVED 8541 127.0.0.1:7001: another node of its cluster"),
            (
                "-NOPERM User mq has no permissions to run the 'bzmpop' command",
                "NOPERM User mq has no permissions",
            ),
        ] {
            assert!(
                matches!(answer(line), Fault::Refused(why) if why.message().starts_with(begin)),
                "{line}"
            );
        }
        assert!(matches!(answer("-LOADING Redis is loading the dataset in memory"), Fault::OutOfReach(_)));
        assert!(matches!(answer("-UNBLOCKED force unblock from blocking operation"), Fault::OutOfReach(_)));
    }

    #[test]
    fn a_server_that_is_too_old_is_named_as_such() {
        let fault = answer("-ERR unknown command `BZMPOP`, with args beginning with: `1` `3` `secret`");
        let text = QueueError::from(fault).to_string();
        assert_eq!(text, "the queue refused: it lacks a command: Redis 7.0 or newer, or Valkey, is needed");
    }

    #[test]
    fn a_servers_words_about_a_login_are_not_repeated() {
        let said = (ErrorKind::AuthenticationFailed, "Password authentication failed", "hunter2".to_owned());
        let text = QueueError::from(Fault::from(RedisError::from(said))).to_string();
        assert_eq!(text, "the queue refused: wrong user name or password");
    }

    #[test]
    fn a_long_answer_is_cut() {
        let Fault::Refused(text) = answer(&format!("-ERR {}", "x".repeat(10_000))) else { panic!() };
        assert!(text.message().len() < 300);
    }
}

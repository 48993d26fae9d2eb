//! The waits that a relay's URL sets.

use std::time::Duration;

use super::relay_url_error::RelayUrlError;
use super::timeouts::Timeouts;

/// The parameters, in the order of a conversation.
const NAMES: [&str; 9] = [
    "connect_timeout",
    "tls_timeout",
    "greeting_timeout",
    "command_timeout",
    "mail_timeout",
    "rcpt_timeout",
    "data_timeout",
    "block_timeout",
    "dot_timeout",
];

/// The longest wait that can be set.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// Waits that overrule those of the transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TimeoutOverrides([Option<Duration>; NAMES.len()]);

impl TimeoutOverrides {
    /// Takes a parameter if it is a wait; `false` if it is none.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, RelayUrlError> {
        let Some(place) = NAMES.iter().position(|known| *known == name) else { return Ok(false) };
        let parameter = NAMES[place];
        let expected = "a time such as 500ms, 30s, 5m or 1h, at most 24h";
        let wait = duration(value).ok_or(RelayUrlError::Value { parameter, expected })?;
        match self.0[place].replace(wait) {
            Some(_) => Err(RelayUrlError::Repeated(parameter)),
            None => Ok(true),
        }
    }

    /// `timeouts`, with what the URL sets instead.
    pub(super) fn over(&self, timeouts: Timeouts) -> Timeouts {
        let Self([connect, tls, greeting, command, mail, rcpt, data, block, dot]) = *self;
        Timeouts {
            connect: connect.unwrap_or(timeouts.connect),
            tls: tls.unwrap_or(timeouts.tls),
            greeting: greeting.unwrap_or(timeouts.greeting),
            command: command.unwrap_or(timeouts.command),
            mail: mail.unwrap_or(timeouts.mail),
            rcpt: rcpt.unwrap_or(timeouts.rcpt),
            data: data.unwrap_or(timeouts.data),
            block: block.unwrap_or(timeouts.block),
            dot: dot.unwrap_or(timeouts.dot),
            ..timeouts
        }
    }
}

/// A whole number and its unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let found = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (!found.is_zero() && found <= MAX_TIMEOUT).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_with_its_unit() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "0s", "-1s", "1.5s", "5 m", "25h", "s", "5d", "99999999999999999999h", "1h1m"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn each_wait_overrules_its_own_and_no_other() {
        let usual = Timeouts::default();
        for (place, name) in NAMES.iter().enumerate() {
            let mut deadlines = TimeoutOverrides::default();
            assert!(deadlines.take(name, "7s").unwrap(), "{name}");
            assert_eq!(deadlines.take(name, "7s"), Err(RelayUrlError::Repeated(NAMES[place])));
            let set = deadlines.over(usual);
            let seven = Duration::from_secs(7);
            let all = [
                (set.connect, usual.connect),
                (set.tls, usual.tls),
                (set.greeting, usual.greeting),
                (set.command, usual.command),
                (set.mail, usual.mail),
                (set.rcpt, usual.rcpt),
                (set.data, usual.data),
                (set.block, usual.block),
                (set.dot, usual.dot),
            ];
            for (other, (now, before)) in all.into_iter().enumerate() {
                assert_eq!(now, if other == place { seven } else { before }, "{name}");
            }
        }
        assert_eq!(TimeoutOverrides::default().take("rate", "7"), Ok(false));
    }
}

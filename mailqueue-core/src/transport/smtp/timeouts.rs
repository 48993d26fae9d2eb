//! The timeouts of an SMTP transport.

use std::time::Duration;

/// The waits of an SMTP transport. Those that RFC 5321 section 4.5.3.2 names have its values by default; a relay's URL can
/// set others for this relay.
///
/// The wait for a reply is for the whole of it: a server that sends one octet at a time gains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the name to resolve.
    pub resolve: Duration,
    /// For a connection to one of the relay's addresses.
    pub connect: Duration,
    /// For all that opens a connection, while the message can go to another relay instead. The connection
    /// is then opened for later messages.
    pub patience: Duration,
    /// For a TLS handshake.
    pub tls: Duration,
    /// For the greeting.
    pub greeting: Duration,
    /// For a reply to EHLO, STARTTLS and each step of AUTH.
    pub command: Duration,
    /// For a reply to MAIL.
    pub mail: Duration,
    /// For a reply to RCPT.
    pub rcpt: Duration,
    /// For a reply to DATA.
    pub data: Duration,
    /// For each further reply to commands sent in one group, once the first came. After that they are sent one by one, in
    /// case something on the way has swallowed them.
    pub group: Duration,
    /// For all replies from MAIL to DATA together.
    pub envelope: Duration,
    /// For the relay to take 64 KiB of the message.
    pub block: Duration,
    /// For the relay to take the whole message.
    pub body: Duration,
    /// For the reply to the final dot. Cutting this short makes copies: the message may have been taken.
    pub dot: Duration,
    /// For a kept connection, until the next message.
    pub idle: Duration,
    /// For a connection to become free.
    pub slot: Duration,
    /// The rest of a relay after its first fault; doubles with each further one.
    pub backoff_first: Duration,
    /// The longest that a relay is left alone.
    pub backoff_cap: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            patience: Duration::from_secs(2),
            tls: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            mail: Duration::from_mins(5),
            rcpt: Duration::from_mins(5),
            data: Duration::from_mins(2),
            group: Duration::from_secs(30),
            envelope: Duration::from_mins(30),
            block: Duration::from_mins(3),
            body: Duration::from_mins(30),
            dot: Duration::from_mins(10),
            idle: Duration::from_secs(30),
            slot: Duration::from_secs(30),
            backoff_first: Duration::from_secs(1),
            backoff_cap: Duration::from_mins(1),
        }
    }
}

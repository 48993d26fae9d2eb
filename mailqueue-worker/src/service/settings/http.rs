//! The settings of `mailqueue-http` alone.

use std::net::SocketAddr;

use clap::Args;
use hyper::header::HeaderName;
use mailqueue_core::domain::address::Mailbox;

use super::parse::{address, number, number_or_off, parsed, size_or_off, text};
use super::setting::{Setting, by, or_default, or_none};

/// The concurrency of the worker in `mailqueue-http`, without a Redis.
pub const HTTP_WORKERS: usize = 8;

/// The default rate of the form for one network address, a minute.
pub const FORM_RATE_PER_MINUTE: u32 = 10;

/// The least capacity in octets: with less, the largest message would not fit into four fifths of it.
const MIN_WAITING_BYTES: u64 = 64 << 20;

/// The settings that only `mailqueue-http` takes, as they are given.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Where to listen
    #[arg(long, env = "MAILQUEUE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    #[arg(value_parser = by(address))]
    pub listen: Setting<SocketAddr>,
    #[arg(long, env = "MAILQUEUE_WORKERS", value_name = "N", value_parser = or_none(number(0, 10_000)))]
    #[arg(help = format!("How many messages the worker in this process sends at once, 0 for none \
                          [default: 0 with a Redis, else {HTTP_WORKERS}]"))]
    /// See [`HTTP_WORKERS`].
    pub workers: Option<Setting<Option<usize>>>,
    /// The sender of mail that names none [default with file://: an address at example.com]
    #[arg(long, env = "MAILQUEUE_FROM", value_name = "MAILBOX", value_parser = or_none(parsed::<Mailbox>))]
    pub from: Option<Setting<Option<Mailbox>>>,
    /// The recipient of form mail that names none [default with file://: an address at example.com]
    #[arg(long, env = "MAILQUEUE_FORM_TO", value_name = "MAILBOX", value_parser = or_none(parsed::<Mailbox>))]
    pub form_to: Option<Setting<Option<Mailbox>>>,
    /// Domains and addresses that the form may write to, comma separated [default: any on a loopback address]
    #[arg(long, env = "MAILQUEUE_FORM_RECIPIENTS", value_name = "LIST", value_parser = or_none(text))]
    pub form_recipients: Option<Setting<Option<String>>>,
    /// Keys of the JSON API, comma separated: name:sha256-hex, then as wanted :scope=send (or read, operate),
    /// :domain=example.com (several) and :expires=2027-12-31; `mailqueue-http key NAME` makes one. Without any the API answers on loopback addresses only
    #[arg(long, env = "MAILQUEUE_API_KEYS", hide_env_values = true, value_name = "LIST")]
    #[arg(value_parser = by(text))]
    pub api_keys: Option<Setting<String>>,
    /// A file that holds the keys
    #[arg(long, env = "MAILQUEUE_API_KEYS_FILE", value_name = "FILE", value_parser = by(text))]
    pub api_keys_file: Option<Setting<String>>,
    /// How often each API key may ask: N/s, N/m or N/h, as many at once; or off
    #[arg(long, env = "MAILQUEUE_RATE_LIMIT", default_value = "off", value_name = "RATE")]
    #[arg(value_parser = or_default(text))]
    pub rate_limit: Setting<String>,
    /// How often the form may be sent from one network address (IPv6: a /64); or off
    #[arg(long, env = "MAILQUEUE_FORM_RATE", default_value = format!("{FORM_RATE_PER_MINUTE}/m"))]
    #[arg(value_name = "RATE", value_parser = or_default(text))]
    pub form_rate: Setting<String>,
    /// The header field whose last entry is the client's address, such as x-forwarded-for. Only behind a proxy that sets
    /// it: clients can send it too [default: the address of the connection]
    #[arg(long, env = "MAILQUEUE_CLIENT_ADDRESS_HEADER", value_name = "NAME", value_parser = or_none(header))]
    pub client_address_header: Option<Setting<Option<HeaderName>>>,
    /// The header field in which a proxy names a person that it has logged in, such as x-forwarded-user: that person sees
    /// and manages all mail on the pages. Only beside MAILQUEUE_CLIENT_ADDRESS_HEADER, for the same reason [default: none]
    #[arg(long, env = "MAILQUEUE_USER_HEADER", value_name = "NAME", value_parser = or_none(header))]
    pub user_header: Option<Setting<Option<HeaderName>>>,
    /// What pages show to whoever is logged in: full, headers (people and subject), or none
    #[arg(long, env = "MAILQUEUE_SHOW_CONTENT", default_value = "full", value_name = "full|headers|none")]
    #[arg(value_parser = or_default(text))]
    pub show_content: Setting<String>,
    // A million: a long night of a large sender.
    /// How many messages may wait to be sent; above four fifths of it new mail gets 503; or off
    #[arg(long, env = "MAILQUEUE_MAX_WAITING", default_value = "1000000", value_name = "N")]
    #[arg(value_parser = or_default(number_or_off(10, u64::MAX)))]
    pub max_waiting: Setting<Option<u64>>,
    /// How large they may be together, such as 512MiB; above four fifths of it new mail gets 503; or off
    #[arg(long, env = "MAILQUEUE_MAX_WAITING_BYTES", default_value = "10GiB", value_name = "SIZE")]
    #[arg(value_parser = or_default(size_or_off(MIN_WAITING_BYTES)))]
    pub max_waiting_bytes: Setting<Option<u64>>,
}

fn header(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| "must be the name of a header field".to_owned())
}

//! The settings of the binary.

use std::net::SocketAddr;

use clap::Parser;
use mailqueue_core::Capacity;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_http::{ApiKeys, HeaderName, Options, Rate, RateError, Recipients};
use mailqueue_worker::service::settings::{
    Faults, ServiceSettings, SettingFault, SharedArgs, unknown_variables,
};
use secrecy::ExposeSecret;

use crate::command::Command;

/// What the worker's binary reads, which may stand in the same environment.
const OF_THE_WORKER: [&str; 3] = ["MAILQUEUE_CONCURRENCY", "MAILQUEUE_ADMIN_LISTEN", "MAILQUEUE_WORKER_NAME"];

/// How many messages the worker in this process sends at once when nothing else is said.
const WORKERS: usize = 8;

/// How many messages may wait when nothing else is said: a long night of a large sender.
const MAX_WAITING: &str = "1000000";

/// How much room they may take.
const MAX_WAITING_BYTES: &str = "10GiB";

/// The least room: with less, the largest message would not fit into four fifths of it.
const LEAST_WAITING_BYTES: u64 = 64 << 20;

/// Takes mail in: serves the page with the form and the JSON API, and keeps every message in the database. Without a
/// Redis it also sends the mail itself.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Where to listen
    #[arg(long, env = "MAILQUEUE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,
    /// How many messages the worker in this process sends at once, 0 for none [default: 0 with a Redis, else 8]
    #[arg(long, env = "MAILQUEUE_WORKERS", value_name = "N")]
    workers: Option<String>,
    /// The sender of mail that names none [default with file://: an address at example.com]
    #[arg(long, env = "MAILQUEUE_FROM", value_name = "MAILBOX")]
    from: Option<String>,
    /// The recipient of form mail that names none [default with file://: an address at example.com]
    #[arg(long, env = "MAILQUEUE_FORM_TO", value_name = "MAILBOX")]
    form_to: Option<String>,
    /// Domains and addresses that the form may write to, comma separated [default: any on a loopback address]
    #[arg(long, env = "MAILQUEUE_FORM_RECIPIENTS", value_name = "LIST")]
    form_recipients: Option<String>,
    /// Keys of the JSON API, comma separated: name:sha256-hex, then as wanted :scope=send, :domain=example.com (several)
    /// and :expires=2027-12-31; `mailqueue-http key NAME` makes one. Without any the API answers on loopback addresses only
    #[arg(long, env = "MAILQUEUE_API_KEYS", hide_env_values = true, value_name = "LIST")]
    api_keys: Option<String>,
    /// A file that holds the keys
    #[arg(long, env = "MAILQUEUE_API_KEYS_FILE", value_name = "FILE")]
    api_keys_file: Option<String>,
    /// How often each API key may ask: N/s, N/m or N/h, as many at once; or off [default: off]
    #[arg(long, env = "MAILQUEUE_RATE_LIMIT", value_name = "RATE")]
    rate_limit: Option<String>,
    /// How often the form may be sent from one network address (IPv6: a /64); or off [default: 10/m]
    #[arg(long, env = "MAILQUEUE_FORM_RATE", value_name = "RATE")]
    form_rate: Option<String>,
    /// The header field whose last entry is the client's address, such as x-forwarded-for. Only behind a proxy that sets
    /// it: clients can send it too [default: the address of the connection]
    #[arg(long, env = "MAILQUEUE_CLIENT_ADDRESS_HEADER", value_name = "NAME")]
    client_address_header: Option<String>,
    /// How many messages may wait to be sent; above four fifths of it new mail gets 503; or off [default: 1000000]
    #[arg(long, env = "MAILQUEUE_MAX_WAITING", value_name = "N")]
    max_waiting: Option<String>,
    /// How large they may be together, such as 512MiB; above four fifths of it new mail gets 503; or off [default: 10GiB]
    #[arg(long, env = "MAILQUEUE_MAX_WAITING_BYTES", value_name = "SIZE")]
    max_waiting_bytes: Option<String>,
    #[command(flatten)]
    shared: SharedArgs,
}

/// The settings, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// How many messages are sent at once in this process; none when 0.
    pub(crate) workers: usize,
    /// What the service is told to do.
    pub(crate) options: Options,
    /// How much may wait.
    pub(crate) capacity: Capacity,
    /// Store, queue and relays.
    pub(crate) service: ServiceSettings,
}

impl Args {
    /// What the arguments come to, or everything that is wrong with them.
    pub(crate) fn resolve(self) -> Result<Settings, Vec<SettingFault>> {
        let mut faults = Faults::default();
        unknown_variables::<Self>(&mut faults, &OF_THE_WORKER);
        let service = self.shared.resolve(&mut faults);
        service.check(&mut faults);
        let default = |address: &'static str| Some(address).filter(|_| service.writes_files());
        let defaults = Options::default();
        let mut options = Options {
            from: mailbox("MAILQUEUE_FROM", &self.from, default("mailqueue@example.com"), &mut faults),
            form_to: mailbox("MAILQUEUE_FORM_TO", &self.form_to, default("form@example.com"), &mut faults),
            form_recipients: self.recipients(&mut faults),
            api_keys: self.api_keys(&mut faults),
            key_rate: rate("MAILQUEUE_RATE_LIMIT", &self.rate_limit, None, &mut faults),
            form_rate: rate("MAILQUEUE_FORM_RATE", &self.form_rate, defaults.form_rate, &mut faults),
            client_address: self.client_address(&mut faults),
            memory: service.memory,
        };
        let workers = given(&self.workers).map(|n| faults.number("MAILQUEUE_WORKERS", n, 0, 10_000));
        let workers = workers.unwrap_or(if service.redis.is_some() { 0 } else { WORKERS });
        if workers > 0 {
            // The worker in this process gets the other half.
            options.memory /= 2;
        }
        let listen = faults.address("MAILQUEUE_LISTEN", &self.listen);
        let capacity = self.capacity(&mut faults);
        faults.none()?;
        Ok(Settings { listen, workers, options, capacity, service })
    }

    /// Where the process with these settings listens; of the settings nothing else is looked at.
    pub(crate) fn address(&self) -> Result<SocketAddr, Vec<SettingFault>> {
        let mut faults = Faults::default();
        let listen = faults.address("MAILQUEUE_LISTEN", &self.listen);
        faults.none()?;
        Ok(listen)
    }

    fn capacity(&self, faults: &mut Faults) -> Capacity {
        let messages = given(&self.max_waiting).unwrap_or(MAX_WAITING);
        let octets = given(&self.max_waiting_bytes).unwrap_or(MAX_WAITING_BYTES);
        Capacity {
            messages: faults.number_or_off("MAILQUEUE_MAX_WAITING", messages, 10, u64::MAX),
            octets: faults.size_or_off("MAILQUEUE_MAX_WAITING_BYTES", octets, LEAST_WAITING_BYTES),
        }
    }

    fn recipients(&self, faults: &mut Faults) -> Option<Recipients> {
        let parsed = given(&self.form_recipients)?.parse();
        parsed.map_err(|error| faults.add("MAILQUEUE_FORM_RECIPIENTS", format!("{error}"))).ok()
    }

    fn client_address(&self, faults: &mut Faults) -> Option<HeaderName> {
        let parsed = given(&self.client_address_header)?.parse();
        let faulty = |_| faults.add("MAILQUEUE_CLIENT_ADDRESS_HEADER", "must be the name of a header field");
        parsed.map_err(faulty).ok()
    }

    fn api_keys(&self, faults: &mut Faults) -> ApiKeys {
        let name = "MAILQUEUE_API_KEYS";
        let list = faults.secret(name, self.api_keys.as_deref(), self.api_keys_file.as_deref());
        let parsed = list.map(|list| list.expose_secret().parse::<ApiKeys>()).transpose();
        parsed
            .unwrap_or_else(|error| {
                faults.add(name, error.to_string());
                None
            })
            .unwrap_or_default()
    }
}

/// A value that is there and not empty: what compose files leave empty is not set.
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

/// A rate, `off` for none.
fn rate(name: &str, value: &Option<String>, default: Option<Rate>, faults: &mut Faults) -> Option<Rate> {
    match given(value) {
        None => default,
        Some("off") => None,
        Some(text) => {
            text.parse().map_err(|error: RateError| faults.add(name, format!("{error}, or off"))).ok()
        }
    }
}

fn mailbox(
    name: &str,
    value: &Option<String>,
    default: Option<&str>,
    faults: &mut Faults,
) -> Option<Mailbox> {
    let parsed = given(value).or(default)?.parse();
    parsed.map_err(|detail: String| faults.add(name, detail)).ok()
}

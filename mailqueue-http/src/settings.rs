//! The settings of the binary.

use std::net::SocketAddr;

use clap::Parser;
use mailqueue_core::Capacity;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_http::{
    ApiKeys, ApiKeysError, Options, Rate, RateError, Recipients, ShownContent, ShownContentError,
};
use mailqueue_worker::service::settings::{
    Faults, HTTP_WORKERS, HttpArgs, ServiceSettings, Setting, SettingFault, SharedArgs, unknown_variables,
};
use secrecy::ExposeSecret;

use crate::command::Command;

/// Takes mail in: serves the page with the form and the JSON API, and keeps every message in the database. Without a
/// Redis it also sends the mail itself.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    shared: SharedArgs,
}

/// The settings, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The address of the listener.
    pub(crate) listen: SocketAddr,
    /// The concurrency of the worker in this process; none when 0.
    pub(crate) workers: usize,
    /// The options of the service.
    pub(crate) options: Options,
    /// The bound of the backlog.
    pub(crate) capacity: Capacity,
    /// Store, queue and relays.
    pub(crate) service: ServiceSettings,
}

impl Args {
    /// The checked settings, or every fault.
    pub(crate) fn resolve(self) -> Result<Settings, Vec<SettingFault>> {
        let mut faults = Faults::default();
        unknown_variables(&mut faults);
        let service = self.shared.resolve(&mut faults);
        let http = self.http;
        let workers = faults.optional(http.workers);
        let workers = workers.unwrap_or(if service.redis.is_some() { 0 } else { HTTP_WORKERS });
        let listen = faults.address(http.listen);
        let capacity = Capacity {
            messages: faults.value(http.max_waiting),
            octets: faults.value(http.max_waiting_bytes),
        };
        let options = Options {
            from: faults.optional(http.from).or_else(|| example(&service, "mailqueue")),
            form_to: faults.optional(http.form_to).or_else(|| example(&service, "form")),
            form_recipients: recipients(http.form_recipients, &mut faults),
            api_keys: api_keys(http.api_keys, http.api_keys_file, &mut faults),
            key_rate: faults.value(http.rate_limit.and_then(rate)),
            form_rate: faults.value(http.form_rate.and_then(rate)),
            client_address: faults.optional(http.client_address_header),
            user: faults.optional(http.user_header),
            shown_content: faults.value(http.show_content.and_then(shown_content)),
            // The worker in this process gets the other half.
            memory: if workers > 0 { service.memory / 2 } else { service.memory },
        };
        if options.user.is_some() && options.client_address.is_none() {
            let detail =
                "needs MAILQUEUE_CLIENT_ADDRESS_HEADER: both are for a server that only a proxy can reach";
            faults.add("MAILQUEUE_USER_HEADER", detail);
        }
        faults.into_result()?;
        Ok(Settings { listen, workers, options, capacity, service })
    }
}

/// An address at example.com, for mail that is written to files.
fn example(service: &ServiceSettings, local_part: &str) -> Option<Mailbox> {
    format!("{local_part}@example.com").parse().ok().filter(|_| service.writes_files())
}

fn recipients(list: Option<Setting<Option<String>>>, faults: &mut Faults) -> Option<Recipients> {
    let parse = |text: Option<String>| text.map(|text| text.parse::<Recipients>()).transpose();
    faults.optional(list.map(|list| list.and_then(|text| parse(text).map_err(|error| error.to_string()))))
}

fn api_keys(list: Option<Setting<String>>, file: Option<Setting<String>>, faults: &mut Faults) -> ApiKeys {
    let Some(list) = faults.secret(list, file) else { return ApiKeys::default() };
    list.expose_secret().parse().unwrap_or_else(|error: ApiKeysError| {
        faults.add("MAILQUEUE_API_KEYS", error.to_string());
        ApiKeys::default()
    })
}

fn shown_content(text: String) -> Result<ShownContent, String> {
    text.parse().map_err(|error: ShownContentError| error.to_string())
}

/// A rate; `None` is `off`.
fn rate(text: String) -> Result<Option<Rate>, String> {
    match text.as_str() {
        "off" => Ok(None),
        text => text.parse().map(Some).map_err(|error: RateError| format!("{error}, or off")),
    }
}

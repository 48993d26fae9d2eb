//! The state that all requests share.

use std::sync::Arc;

use hyper::header::HeaderName;
use mailqueue_core::Outbox;
use mailqueue_core::domain::address::Mailbox;
use mailqueue_worker::service::settings::FORM_RATE_PER_MINUTE;

use crate::auth::{ApiKeys, Client, Scope};
use crate::in_flight_keys::InFlightKeys;
use crate::rate::{AddressLimiter, Limiter, Rate};
use crate::recipients::Recipients;
use crate::shown_content::ShownContent;
use crate::wire::access::Access;
use crate::wire::memory::{self, Memory};
use crate::wire::problem::Problem;
use crate::wire::rate_limit_status::RateLimitStatus;
use crate::wire::request::Request;

/// How often somebody may try to log in from one network address.
const LOGINS_PER_MINUTE: u32 = 10;

/// The options of the service.
#[derive(Debug, Clone)]
pub struct Options {
    /// The keys for the JSON API. None: only this machine, if the server listens on a loopback address.
    pub api_keys: ApiKeys,
    /// The sender of messages that name none.
    pub from: Option<Mailbox>,
    /// The recipient of form mail that names none.
    pub form_to: Option<Mailbox>,
    /// The recipients that form mail may name. `None`: anyone, from this machine; nobody, from elsewhere.
    pub form_recipients: Option<Recipients>,
    /// The rate of requests by one key. `None`: no limit.
    pub key_rate: Option<Rate>,
    /// The rate of forms from one network address. `None`: no limit.
    pub form_rate: Option<Rate>,
    /// The header field in which a proxy puts the address of the client. Clients can send it too, so it may be named only where
    /// every request comes by way of a proxy that sets it.
    pub client_address: Option<HeaderName>,
    /// The header field in which a proxy names a person that it has logged in: who is named there sees and manages the mail
    /// of all. Clients can send it too, so the same holds as for [`client_address`](Self::client_address).
    pub user: Option<HeaderName>,
    /// The content that pages show to whoever is logged in.
    pub shown_content: ShownContent,
    /// The memory for the content of requests that are under way, in octets.
    pub memory: u64,
}

impl Default for Options {
    /// No key, no sender, no recipient; the form ten times a minute from one address; all content; 128 MiB.
    fn default() -> Self {
        Self {
            api_keys: ApiKeys::default(),
            from: None,
            form_to: None,
            form_recipients: None,
            key_rate: None,
            form_rate: Some(Rate::per_minute(FORM_RATE_PER_MINUTE)),
            client_address: None,
            user: None,
            shown_content: ShownContent::default(),
            memory: memory::DEFAULT_CAPACITY,
        }
    }
}

/// The service behind the port: an outbox, and the rules for its use. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    options: Options,
    sender: Option<String>,
    memory: Memory,
    in_flight_keys: InFlightKeys,
    key_limiter: Option<Limiter>,
    form_limiter: Option<AddressLimiter>,
    login_limiter: AddressLimiter,
    metrics: Option<Metrics>,
}

/// Renders the metrics of this process.
type Metrics = Box<dyn Fn() -> String + Send + Sync>;

impl App {
    /// A service in front of an outbox.
    #[must_use]
    pub fn new(outbox: Outbox, options: Options) -> Self {
        Self::build(outbox, options, None)
    }

    /// The same, and `/metrics` answers with what `render` gives, in Prometheus' text format. It never stands under
    /// `/api`, which proxies pass on.
    #[must_use]
    pub fn with_metrics(
        outbox: Outbox,
        options: Options,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self::build(outbox, options, Some(Box::new(render)))
    }

    fn build(outbox: Outbox, options: Options, metrics: Option<Metrics>) -> Self {
        let inner = Inner {
            sender: options.from.as_ref().map(ToString::to_string),
            memory: Memory::new(options.memory),
            in_flight_keys: InFlightKeys::default(),
            key_limiter: options.key_rate.map(Limiter::new),
            form_limiter: options.form_rate.map(AddressLimiter::new),
            login_limiter: AddressLimiter::new(Rate::per_minute(LOGINS_PER_MINUTE)),
            outbox,
            options,
            metrics,
        };
        Self(Arc::new(inner))
    }

    /// The outbox for a request to the JSON API, limited to the mail and the rights of the request's key.
    ///
    /// # Errors
    ///
    /// 401 and 403 for a key that is missing, wrong or restricted; 429 for one that is used too often.
    pub(crate) fn outbox_of(&self, request: &Request) -> Result<Outbox, Problem> {
        let Inner { outbox, options, .. } = &*self.0;
        let now = outbox.clock().now();
        let Some(client) = options.api_keys.authenticate(&request.head.headers, request.local, now)? else {
            return Ok(outbox.clone());
        };
        // Named in the log also where it is refused below; a request has one key, so this is set once.
        let _ = request.tenant.set(client.tenant().to_owned());
        // Before the rights are checked, so that refused requests use up the rate too.
        self.count_key(request, &client)?;
        let access = request.access.unwrap_or(Access::Change);
        if !client.scope().allows(access) {
            return Err(Problem::restricted_key(match client.scope() {
                Scope::Send => "This API key is restricted to only send emails.",
                _ => "This API key is restricted to only read emails.",
            }));
        }
        Ok(self.outbox_for(&client, access))
    }

    /// The outbox for what a client may do.
    pub(crate) fn outbox_for(&self, client: &Client<'_>, access: Access) -> Outbox {
        let outbox = match client.scope() {
            Scope::Operate if access != Access::Send => self.0.outbox.clone(),
            // Mail is always handed over under a name: who sees all mail is no tenant.
            _ => self.0.outbox.for_tenant(client.tenant()),
        };
        client.domains().map_or_else(|| outbox.clone(), |domains| outbox.sending_for(domains))
    }

    /// Counts a form, whatever its content.
    ///
    /// # Errors
    ///
    /// 429 when its address has sent too many.
    pub(crate) fn count_form(&self, request: &Request) -> Result<(), Problem> {
        let Some(limiter) = &self.0.form_limiter else { return Ok(()) };
        count(request, limiter.take(request.from), "The form was sent too often from this address.")
    }

    /// Counts a request by the holder of a key.
    ///
    /// # Errors
    ///
    /// 429 for a key that is used too often.
    pub(crate) fn count_key(&self, request: &Request, client: &Client<'_>) -> Result<(), Problem> {
        let Some(limiter) = &self.0.key_limiter else { return Ok(()) };
        let detail = "This API key is used more often than its rate allows.";
        count(request, limiter.take(client.number), detail)
    }

    /// Counts an attempt to log in. Apart from forms, or whoever sends those would keep people out.
    ///
    /// # Errors
    ///
    /// 429 when its address has sent too many.
    pub(crate) fn count_login(&self, request: &Request) -> Result<(), Problem> {
        let taken = self.0.login_limiter.take(request.from);
        count(request, taken, "This address has tried to log in too often.")
    }

    /// The outbox itself, past keys and tenants.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The outbox behind the page: mail that no API key stands for.
    pub(crate) fn open_outbox(&self) -> Outbox {
        self.0.outbox.for_tenant("")
    }

    /// The sender of messages that name none.
    pub(crate) fn sender(&self) -> Option<&str> {
        self.0.sender.as_deref()
    }

    /// The idempotency keys of requests that are not answered yet.
    pub(crate) fn in_flight_keys(&self) -> &InFlightKeys {
        &self.0.in_flight_keys
    }

    /// The memory for the content of requests.
    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// The metrics as text; `None` where this service serves none.
    pub(crate) fn metrics(&self) -> Option<String> {
        self.0.metrics.as_ref().map(|render| render())
    }

    /// The options it was built with.
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }
}

/// Notes what is left of a rate; 429 when nothing was.
fn count(
    request: &Request,
    taken: Result<RateLimitStatus, RateLimitStatus>,
    detail: &str,
) -> Result<(), Problem> {
    let (Ok(status) | Err(status)) = taken;
    // A request is counted once; a second count would change nothing here.
    let _ = request.rate_limit_status.set(status);
    let wait = status.wait();
    let refusal = || Problem::too_many(format!("{detail} Please try again in {wait} s."), wait);
    if taken.is_ok() { Ok(()) } else { Err(refusal()) }
}

//! Which request is answered by what, and what is noted of it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use mailqueue_core::Outbox;
use mailqueue_core::domain::address::Mailbox;

use crate::answer::Answer;
use crate::auth::ApiKeys;
use crate::body::Payload;
use crate::docs::Docs;
use crate::emails::Underway;
use crate::form::{self, Recipients};
use crate::language::Language;
use crate::memory::{self, Memory};
use crate::page::Pages;
use crate::problem::Problem;
use crate::rate::{AddressLimiter, Allowance, Limiter, Rate};
use crate::request::{Peer, Request, Taste, is_local};
use crate::route::{Found, Route, Routes};
use crate::{client_address, emails, head, health, messages, openapi};

/// How long the outbox may take for anything that is asked of it.
const OUTBOX_PATIENCE: Duration = Duration::from_secs(10);

/// What the service is told to do beyond its defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may use the JSON API. None: only this machine, if the server listens on a loopback address.
    pub api_keys: ApiKeys,
    /// The sender of messages that name none.
    pub from: Option<Mailbox>,
    /// The recipient of form mail that names none.
    pub form_to: Option<Mailbox>,
    /// Whom form mail may name. `None`: anyone, from this machine; nobody, from elsewhere.
    pub form_recipients: Option<Recipients>,
    /// How often each key may ask. `None`: as often as it likes.
    pub key_rate: Option<Rate>,
    /// How often the form may be sent from one network address. `None`: as often as it likes.
    pub form_rate: Option<Rate>,
    /// The header field by which a proxy tells whom it asks for. Clients can send it too, so it may be named only where
    /// every request comes by way of a proxy that sets it.
    pub client_address: Option<HeaderName>,
    /// How much memory the content of requests that are under way may take, in octets.
    pub memory: u64,
}

impl Default for Options {
    /// No key, no sender, no recipient; the form ten times a minute from one address; 128 MiB.
    fn default() -> Self {
        Self {
            api_keys: ApiKeys::default(),
            from: None,
            form_to: None,
            form_recipients: None,
            key_rate: None,
            form_rate: Some(Rate::per_minute(10)),
            client_address: None,
            memory: memory::DEFAULT,
        }
    }
}

/// The service behind the port: answers requests by asking an outbox. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    options: Options,
    sender: Option<String>,
    routes: Routes,
    pages: Pages,
    docs: Docs,
    memory: Memory,
    underway: Underway,
    keys: Option<Limiter>,
    senders: Option<AddressLimiter>,
    metrics: Option<Metrics>,
}

/// Renders what was measured.
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
        let sender = options.from.as_ref().map(ToString::to_string);
        let (routes, pages, memory) = (Routes::new(), Pages::new(), Memory::new(options.memory));
        let (docs, underway) = (Docs::new(), Underway::default());
        let (keys, senders) =
            (options.key_rate.map(Limiter::new), options.form_rate.map(AddressLimiter::new));
        let inner =
            Inner { outbox, options, sender, routes, pages, docs, memory, underway, keys, senders, metrics };
        Self(Arc::new(inner))
    }

    /// Answers a request, whatever it is, and notes it.
    pub(crate) async fn answer(self, request: hyper::Request<Incoming>, peer: Peer) -> Answer {
        let begun = Instant::now();
        let id = request_id(request.headers().get(&REQUEST_ID));
        let method = method_label(request.method());
        let found = self.0.routes.find(request.uri().path());
        let route = found.as_ref().map_or("unknown", |found| found.route.template());
        let answered = AssertUnwindSafe(self.route(request, peer, found)).catch_unwind().await;
        let mut answer = answered.unwrap_or_else(|_| {
            tracing::error!(request_id = %id, route, "a request could not be answered: there is a bug here");
            Problem::broken().into_answer(false)
        });
        let took = begun.elapsed();
        note(method, route, answer.status().as_u16(), took, &id);
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    }

    /// Answers a request with what it asks for or with why not.
    async fn route(&self, request: hyper::Request<Incoming>, peer: Peer, found: Option<Found>) -> Answer {
        let (head, body) = request.into_parts();
        let taste = Taste::of(&head.headers);
        let language = Language::of(&head);
        let payload = Payload::new(&head, body, self.0.memory.clone());
        let checked = head::check(&head, peer);
        let proxy = self.0.options.client_address.as_ref();
        let proxied = proxy.is_some_and(|name| head.headers.contains_key(name));
        let local = !proxied && is_local(&head.headers, peer);
        let route = found.as_ref().map(|found| found.route);
        let path = if found.is_some() { head.uri.path() } else { "/" }.to_owned();
        let (base, id, part) = found.map(|found| (found.base, found.id, found.part)).unwrap_or_default();
        let hands_over = route.is_some_and(|route| route.hands_over(&head.method));
        let from = client_address::of(&head.headers, proxy, peer.address);
        let allowance = OnceLock::new();
        let mut request =
            Request { head, payload, base, path, id, part, hands_over, from, allowance, local, language };
        let answered = match (checked, route) {
            (Err(problem), _) => Err(problem),
            (Ok(()), None) => Err(nothing_here()),
            (Ok(()), Some(route)) => self.dispatch(route, &mut request, taste).await,
        };
        let mut answer = answered.unwrap_or_else(|problem| {
            if taste.html && route.is_none_or(Route::is_page) {
                return self.0.pages.problem(&request, &problem);
            }
            problem.into_answer(taste.problem)
        });
        if let Some(allowance) = request.allowance.get() {
            allowance.mark(&mut answer);
        }
        request.payload.discard();
        answer
    }

    async fn dispatch(&self, route: Route, request: &mut Request, taste: Taste) -> Result<Answer, Problem> {
        match (route, request.method()) {
            (Route::Form, &Method::GET) => Ok(form::show(self, request)),
            (Route::Form, &Method::POST) => form::submit(self, request, taste).await,
            (Route::Emails, &Method::GET) => emails::list(self, request).await,
            (Route::Emails, &Method::POST) => emails::submit(self, request).await,
            (Route::Batch, &Method::POST) => emails::submit_batch(self, request).await,
            (Route::Email, &Method::GET) => emails::get(self, request).await,
            (Route::Email, &Method::PATCH) => emails::reschedule(self, request).await,
            (Route::Cancel, &Method::POST) => emails::cancel(self, request).await,
            (Route::Retry, &Method::POST) => emails::retry(self, request).await,
            (Route::Attachments, &Method::GET) => emails::attachments(self, request).await,
            (Route::Attachment, &Method::GET) => emails::attachment(self, request).await,
            (Route::Content, &Method::GET) => emails::content(self, request).await,
            (Route::Messages, &Method::GET) => messages::list(self, request).await,
            (Route::Message, &Method::GET) => messages::show(self, request).await,
            (Route::Style, &Method::GET) => Ok(crate::page::style()),
            (Route::OpenApi, &Method::GET) => Ok(openapi::show()),
            (Route::Docs, &Method::GET) => Ok(self.0.docs.show()),
            (Route::Live, &Method::GET) => Ok(health::live()),
            (Route::Ready, &Method::GET) => health::ready(&self.0.outbox).await,
            (Route::Metrics, &Method::GET) => match &self.0.metrics {
                Some(render) if request.base.is_empty() => Ok(health::metrics(render())),
                _ => Err(nothing_here()),
            },
            _ => Err(Problem::method_not_allowed(route.allow())),
        }
    }

    /// The outbox of whoever sent a request to the JSON API, which keeps them to what is theirs and what they may do.
    pub(crate) fn outbox_of(&self, request: &Request) -> Result<Outbox, Problem> {
        let Inner { outbox, options, .. } = &*self.0;
        let now = outbox.clock().now();
        let Some(client) = options.api_keys.judge(&request.head.headers, request.local, now)? else {
            return Ok(outbox.clone());
        };
        if let Some(limiter) = &self.0.keys {
            count(
                request,
                limiter.take(client.number),
                "This API key is used more often than its rate allows.",
            )?;
        }
        if !client.may_all() && !request.hands_over {
            return Err(Problem::restricted_key());
        }
        let own = outbox.for_tenant(client.tenant());
        Ok(client.domains().map_or_else(|| own.clone(), |domains| own.sending_for(domains)))
    }

    /// Counts a form that was sent, whatever is in it.
    pub(crate) fn count_form(&self, request: &Request) -> Result<(), Problem> {
        let Some(limiter) = &self.0.senders else { return Ok(()) };
        count(request, limiter.take(request.from), "The form was sent too often from this address.")
    }

    /// The outbox behind the page: mail that no API key stands for.
    pub(crate) fn open_outbox(&self) -> Outbox {
        self.0.outbox.for_tenant("")
    }

    /// Whether the page may show what messages say and whom they are for: only to whoever runs this machine,
    /// and only while the API asks no one for a key.
    pub(crate) fn shows_content(&self, request: &Request) -> bool {
        request.local && self.0.options.api_keys.is_empty()
    }

    /// The sender of messages that name none.
    pub(crate) fn sender(&self) -> Option<&str> {
        self.0.sender.as_deref()
    }

    /// The idempotency keys of requests that are under way.
    pub(crate) fn underway(&self) -> &Underway {
        &self.0.underway
    }

    /// What it was told to do.
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// The pages.
    pub(crate) fn pages(&self) -> &Pages {
        &self.0.pages
    }
}

/// Notes what is left of a rate; 429 when nothing was.
fn count(request: &Request, taken: Result<Allowance, Allowance>, detail: &str) -> Result<(), Problem> {
    let (Ok(allowance) | Err(allowance)) = taken;
    // Whoever asks is counted once a request; a second time would change nothing here.
    let _ = request.allowance.set(allowance);
    let wait = allowance.wait();
    let refusal = || Problem::too_many(format!("{detail} Please try again in {wait} s."), wait);
    if taken.is_ok() { Ok(()) } else { Err(refusal()) }
}

fn nothing_here() -> Problem {
    Problem::not_found("There is nothing at this address.")
}

/// What an outbox answers, or 503 when it takes too long.
pub(crate) async fn in_time<T>(asked: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(OUTBOX_PATIENCE, asked).await.map_err(|_| {
        tracing::warn!("a request could not be served: the message store did not answer in time");
        Problem::unavailable(
            "The message store did not answer in time. Please try again, with an Idempotency-Key to be sure.",
        )
    })
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id a proxy has given the request, or a new one.
fn request_id(given: Option<&HeaderValue>) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let usable = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(allowed);
    let given = given.and_then(|id| id.to_str().ok()).filter(usable);
    given.map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned)
}

/// A word for a method, of which there are few: a client may send any, and each would be a metric of its own.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn note(method: &'static str, route: &'static str, status: u16, took: Duration, id: &str) {
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    metrics::histogram!("mailqueue_http_request_duration_seconds", &labels).record(took.as_secs_f64());
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let routine = status < 400 && ["/livez", "/readyz", "/metrics"].contains(&route);
    if routine {
        // Supervisors ask every few seconds.
        tracing::debug!(method, route, status, duration_ms, request_id = id, "answered");
    } else {
        tracing::info!(method, route, status, duration_ms, request_id = id, "answered");
    }
}

//! The table of routes, and the way of a request through it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use mailqueue_core::telemetry;

use crate::access_log::{self, Note, REQUEST_ID};
use crate::api::{attachments, batch, change, health, read, submit};
use crate::app::App;
use crate::openapi;
use crate::pages::{form, login, message, messages, parts, templates};
use crate::wire::accept::Accept;
use crate::wire::access::Access;
use crate::wire::body::Payload;
use crate::wire::language::Language;
use crate::wire::peer::{Peer, is_local};
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;
use crate::wire::{client_address, head};

type Handler = for<'r> fn(&'r App, &'r mut Request) -> BoxFuture<'r, Result<Response, Problem>>;

/// One operation: a method at an address.
struct Route {
    method: Method,
    /// The address, as logs, metrics and the OpenAPI document name it.
    path: &'static str,
    /// The right that an API key needs; `None` where no key is asked for.
    access: Option<Access>,
    /// The readers of its problems.
    audience: Audience,
    handler: Handler,
}

impl Route {
    /// True where messages are handed over.
    fn is_submission(&self) -> bool {
        self.access == SEND || (self.path == "/" && self.method == Method::POST)
    }
}

/// The readers of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Participants: a problem is a page where Accept asks for one.
    Page,
    /// Programs: a problem is JSON.
    Api,
}

/// A row whose handler is an async function of the app and the request.
macro_rules! route {
    ($method:ident $path:literal, $access:expr, $audience:ident, $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            access: $access,
            audience: Audience::$audience,
            handler: |app, request| Box::pin($handler(app, request)),
        }
    };
}

const SEND: Option<Access> = Some(Access::Send);
const READ: Option<Access> = Some(Access::Read);
const CHANGE: Option<Access> = Some(Access::Change);

/// Every operation. Each stands at `/` and under `/api`, and the form at `/api` itself.
#[rustfmt::skip]
static ROUTES: [Route; 27] = [
    route!(GET   "/",                                        None, Page, form::show),
    route!(POST  "/",                                        None, Page, form::submit),
    route!(GET   "/emails",                                  READ, Api,  read::list),
    route!(POST  "/emails",                                  SEND, Api,  submit::submit),
    route!(POST  "/emails/batch",                            SEND, Api,  batch::submit_batch),
    route!(GET   "/emails/{id}",                             READ, Api,  read::get),
    route!(PATCH "/emails/{id}",                             CHANGE, Api, change::reschedule),
    route!(POST  "/emails/{id}/cancel",                      CHANGE, Api, change::cancel),
    route!(POST  "/emails/{id}/retry",                       CHANGE, Api, change::retry),
    route!(GET   "/emails/{id}/attachments",                 READ, Api,  attachments::attachments),
    route!(GET   "/emails/{id}/attachments/{part}",          READ, Api,  attachments::attachment),
    route!(GET   "/emails/{id}/attachments/{part}/content",  READ, Api,  attachments::content),
    route!(GET   "/login",                                   None, Page, login::show),
    route!(POST  "/login",                                   None, Page, login::log_in),
    route!(POST  "/logout",                                  None, Page, login::log_out),
    route!(GET   "/messages",                                None, Page, messages::list),
    route!(POST  "/messages",                                None, Page, messages::change),
    route!(GET   "/messages/{id}",                           None, Page, message::show),
    route!(POST  "/messages/{id}",                           None, Page, message::change),
    route!(GET   "/messages/{id}/{part}",                    None, Page, parts::show),
    route!(GET   "/messages/{id}/attachments/{part}",        None, Page, parts::file),
    route!(GET   "/static/style.css",                        None, Api,  templates::style),
    route!(GET   "/openapi.json",                            None, Api,  openapi::show),
    route!(GET   "/docs",                                    None, Api,  openapi::docs),
    route!(GET   "/livez",                                   None, Api,  health::live),
    route!(GET   "/readyz",                                  None, Api,  health::ready),
    route!(GET   "/metrics",                                 None, Api,  health::metrics),
];

/// The operations at one address.
struct Resource {
    path: &'static str,
    routes: Vec<&'static Route>,
}

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let mut resources: Vec<Resource> = Vec::new();
    for route in &ROUTES {
        match resources.iter_mut().find(|resource| resource.path == route.path) {
            Some(resource) => resource.routes.push(route),
            None => resources.push(Resource { path: route.path, routes: vec![route] }),
        }
    }
    resources
});

impl Resource {
    /// The operation of a method; `HEAD` is answered as the `GET` it stands for.
    fn route(&self, method: &Method) -> Option<&'static Route> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.routes.iter().copied().find(|route| route.method == *method)
    }

    /// The value of the Allow header: every method in the order of the table.
    fn allow(&self) -> String {
        let methods = self.routes.iter().map(|route| match route.method.as_str() {
            "GET" => "GET, HEAD",
            method => method,
        });
        methods.collect::<Vec<_>>().join(", ")
    }

    fn is_page(&self) -> bool {
        self.routes.iter().any(|route| route.audience == Audience::Page)
    }
}

/// A resource that was found, and the variable parts of its address.
struct Found {
    resource: &'static Resource,
    /// The prefix of the address: nothing or `/api`.
    base: &'static str,
    id: String,
    part: String,
}

/// Answers requests by the table of routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Router {
    app: App,
    paths: Arc<matchit::Router<(&'static Resource, &'static str)>>,
}

impl Router {
    /// A router in front of an app.
    pub(crate) fn new(app: App) -> Self {
        // A fault of a template shows at the start and not at the first request.
        templates::load();
        openapi::load();
        Self { app, paths: Arc::new(paths()) }
    }

    /// Answers a request and writes it into the access log. A panic of a handler becomes a 500.
    pub(crate) async fn respond(self, request: hyper::Request<Incoming>, peer: Peer) -> Response {
        let start = Instant::now();
        let id = access_log::request_id(request.headers().get(&REQUEST_ID));
        let method = access_log::method_label(request.method());
        let found = find(&self.paths, request.uri().path());
        let route = found.as_ref().map_or("unknown", |found| found.resource.path);
        let handled = AssertUnwindSafe(self.handle(request, peer, found)).catch_unwind().await;
        let mut response = handled.unwrap_or_else(|_| {
            tracing::error!(event = "request.panicked", request_id = %id, route, "a request could not be answered: there is a bug here");
            Problem::broken().into_response(false)
        });
        access_log::write(method, route, &response, start.elapsed(), &id);
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    /// The handler's response, or the problem in the form that the client reads.
    async fn handle(&self, request: hyper::Request<Incoming>, peer: Peer, found: Option<Found>) -> Response {
        let (head, body) = request.into_parts();
        let checked = head::check(&head, peer);
        let resource = found.as_ref().map(|found| found.resource);
        let route = resource.and_then(|resource| resource.route(&head.method));
        // Built for a refused head too: the form of the answer depends on Accept and language.
        let mut request = self.request(head, body, peer, found, route);
        let handled = match (checked, resource) {
            (Err(problem), _) => Err(problem),
            (Ok(()), None) => Err(Problem::no_such_address()),
            (Ok(()), Some(resource)) => match route {
                Some(route) => (route.handler)(&self.app, &mut request).await,
                None => Err(Problem::method_not_allowed(&resource.allow())),
            },
        };
        let mut response = handled.unwrap_or_else(|problem| {
            if route.is_some_and(Route::is_submission) {
                telemetry::rejected(problem.name);
            }
            let reason = problem.name;
            let mut response = if request.accept.html && resource.is_none_or(Resource::is_page) {
                templates::problem(&request, &problem)
            } else {
                problem.into_response(request.accept.problem)
            };
            Note::refused(&mut response, request.tenant(), reason);
            response
        });
        if let Some(status) = request.rate_limit_status.get() {
            status.mark(&mut response);
        }
        request.payload.discard();
        response
    }

    /// The request as handlers take it.
    fn request(
        &self,
        head: hyper::http::request::Parts,
        body: Incoming,
        peer: Peer,
        found: Option<Found>,
        route: Option<&Route>,
    ) -> Request {
        let proxy = self.app.options().client_address.as_ref();
        let proxied = proxy.is_some_and(|name| head.headers.contains_key(name));
        let path = if found.is_some() { head.uri.path() } else { "/" }.to_owned();
        let (base, id, part) = found.map(|found| (found.base, found.id, found.part)).unwrap_or_default();
        Request {
            payload: Payload::new(&head, body, self.app.memory().clone()),
            base,
            path,
            id,
            part,
            access: route.and_then(|route| route.access),
            from: client_address::of(&head.headers, proxy, peer.address),
            rate_limit_status: OnceLock::new(),
            tenant: OnceLock::new(),
            // Behind a proxy nobody is local, whatever Host says.
            local: !proxied && is_local(&head.headers, peer),
            accept: Accept::of(&head.headers),
            language: Language::of(&head),
            head,
        }
    }
}

fn paths() -> matchit::Router<(&'static Resource, &'static str)> {
    let mut paths = matchit::Router::new();
    let mut insert = |path: String, resource, base| {
        paths.insert(path, (resource, base)).expect("the tests build this table of fixed paths");
    };
    for resource in RESOURCES.iter() {
        insert(resource.path.to_owned(), resource, "");
        insert(format!("/api{}", resource.path), resource, "/api");
        if resource.path == "/" {
            insert("/api".to_owned(), resource, "/api");
        }
    }
    paths
}

/// The resource at an address.
fn find(paths: &matchit::Router<(&'static Resource, &'static str)>, path: &str) -> Option<Found> {
    let found = paths.at(path).ok()?;
    let (resource, base) = *found.value;
    let parameter = |name| found.params.get(name).unwrap_or_default().to_owned();
    Some(Found { resource, base, id: parameter("id"), part: parameter("part") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_stands_at_both_places() {
        let paths = paths();
        let found = |path: &str| find(&paths, path).map(|found| (found.resource.path, found.base, found.id));
        assert_eq!(found("/"), Some(("/", "", String::new())));
        assert_eq!(found("/api"), Some(("/", "/api", String::new())));
        assert_eq!(found("/api/"), Some(("/", "/api", String::new())));
        assert_eq!(found("/api/emails/7"), Some(("/emails/{id}", "/api", "7".into())));
        assert_eq!(found("/emails/batch"), Some(("/emails/batch", "", String::new())));
        let attachment = "/emails/{id}/attachments/{part}";
        assert_eq!(found("/emails/7/attachments/8"), Some((attachment, "", "7".into())));
        let content = find(&paths, "/emails/7/attachments/8/content");
        assert_eq!(content.map(|found| found.part), Some("8".into()));
        for nowhere in ["", "*", "/emails/", "/api/api", "/emails/1/2", "/apix", "//"] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn the_allow_header_follows_from_the_table() {
        let allow = |path: &str| find(&paths(), path).map(|found| found.resource.allow());
        assert_eq!(allow("/emails").as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(allow("/emails/7").as_deref(), Some("GET, HEAD, PATCH"));
        assert_eq!(allow("/emails/batch").as_deref(), Some("POST"));
        assert_eq!(allow("/livez").as_deref(), Some("GET, HEAD"));
    }

    #[test]
    fn the_document_names_every_operation() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            described.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
            for (method, operation) in item.as_object().unwrap() {
                let route =
                    ROUTES.iter().find(|route| route.path == path && route.method == *method.to_uppercase());
                let needs_key = route.is_some_and(|route| route.access.is_some());
                assert_eq!(operation.get("security").is_some(), needs_key, "{method} {path}");
            }
        }
        // The style is a part of the pages and no interface.
        let routes = ROUTES.iter().filter(|route| !route.path.starts_with("/static/"));
        let answered: BTreeSet<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
        assert_eq!(described, answered);
    }
}

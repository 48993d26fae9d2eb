//! The document for programs that use this API (OpenAPI 3.1), and its page for people.
//!
//! Operations stand on their handlers, bodies on the structs that are read and written.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::CONTENT_SECURITY_POLICY;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;

use crate::app::App;
use crate::docs::Docs;
use crate::wire::problem::{Problem, ProblemBody};
use crate::wire::problem_schema;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The description of the whole.
const ABOUT: &str = "Takes mail in and sends it: a message that is answered with 200 is committed in the database and ends as \
    sent, failed, cancelled or unknown, whatever crashes. The API has the shape of Resend's, so that its clients work \
    when they are pointed here. All addresses stand at `/` and under `/api`.";

#[derive(OpenApi)]
#[openapi(
    info(title = "mailqueue", description = ABOUT),
    paths(
        crate::api::attachments::attachment,
        crate::api::attachments::attachments,
        crate::api::attachments::content,
        crate::api::batch::submit_batch,
        crate::api::change::cancel,
        crate::api::change::reschedule,
        crate::api::change::retry,
        crate::api::health::live,
        crate::api::health::metrics,
        crate::api::health::ready,
        crate::api::read::get,
        crate::api::read::list,
        crate::api::submit::submit,
        crate::pages::form::show,
        crate::pages::form::submit,
        crate::pages::login::log_in,
        crate::pages::login::log_out,
        crate::pages::login::show,
        crate::pages::message::change,
        crate::pages::message::show,
        crate::pages::messages::change,
        crate::pages::messages::list,
        crate::pages::parts::file,
        crate::pages::parts::show,
        docs,
        show,
    ),
    components(schemas(ProblemBody<'_>)),
    tags(
        (name = "Emails", description = "Messages in and out, for programs."),
        (name = "Attachments", description = "The files of messages that were handed in."),
        (name = "Page", description = "For people and plain forms; answers in HTML where Accept asks for it."),
        (name = "Operation", description = "For supervisors and readers of this document."),
    ),
)]
struct Document;

/// The document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch];
        operations.into_iter().flatten().for_each(add_refusals);
    }
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key."));
    if let Some(components) = &mut document.components {
        for status in problem_schema::STATUSES {
            components
                .responses
                .insert(problem_schema::name(status), problem_schema::response(status).into());
        }
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
    }
    let server = |url: &str| ServerBuilder::new().url(url).build();
    document.servers = Some(vec![server("/"), server("/api")]);
    document
}

/// Adds the problems that follow from the kind of an operation.
fn add_refusals(operation: &mut Operation) {
    let with_key = operation.security.as_ref().map_or(&[][..], |_| &problem_schema::WITH_KEY);
    let with_body = operation.request_body.as_ref().map_or(&[][..], |_| &problem_schema::WITH_BODY);
    for status in problem_schema::ALWAYS.iter().chain(with_key).chain(with_body) {
        operation.responses.responses.insert(status.to_string(), problem_schema::reference(*status));
    }
}

/// The document for programs and for people; neither depends on a request.
struct Published {
    json: Bytes,
    page: Docs,
}

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let json = serde_json::to_vec(&document()).expect("the document is JSON by its nature");
    let value = serde_json::from_slice(&json).expect("it was JSON a moment ago");
    Published { json: json.into(), page: Docs::of(&value) }
});

/// Renders both, so that no request waits for them.
pub(crate) fn load() {
    LazyLock::force(&PUBLISHED);
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "Operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1.", body = String, content_type = "application/json")),
)]
pub(crate) async fn show(_: &App, _: &Request) -> Result<Response, Problem> {
    Ok(response::of(StatusCode::OK, "application/json", PUBLISHED.json.clone()))
}

/// This document, for people
#[utoipa::path(
    get, path = "/docs", tag = "Operation", operation_id = "docs",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8")),
)]
pub(crate) async fn docs(_: &App, _: &Request) -> Result<Response, Problem> {
    let mut response = response::html(StatusCode::OK, PUBLISHED.page.html.clone());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PUBLISHED.page.policy.clone());
    Ok(response)
}

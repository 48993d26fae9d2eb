//! The document that says what this API reads and answers (OpenAPI 3.1).

mod operation;
mod operations;
mod schemas;

use hyper::StatusCode;
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;

use crate::app::App;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};
use schemas::{
    Accepted, Amended, Attachment, AttachmentList, Batch, Email, EmailList, Form, NewEmail, Reschedule,
};

/// What the whole of it is about.
const ABOUT: &str = "Takes mail in and sends it: a message that is answered with 200 is committed in the database and ends as \
    sent, failed, cancelled or unknown, whatever crashes. The API has the shape of Resend's, so that its clients work \
    when they are pointed here. All addresses stand at `/` and under `/api`.";

#[derive(OpenApi)]
#[openapi(
    info(title = "mailqueue", description = ABOUT),
    components(schemas(
        Accepted, Amended, Attachment, AttachmentList, Batch, Email, EmailList, Form, NewEmail, schemas::Problem, Reschedule,
    )),
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
    for described in operations::all() {
        let item = PathItem::new(described.method, described.operation);
        let paths = &mut document.paths.paths;
        match paths.get_mut(described.path) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.insert(described.path.to_owned(), item)),
        }
    }
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key."));
    if let Some(components) = &mut document.components {
        for status in operation::REFUSALS {
            components.responses.insert(operation::refused(status), operation::refusal(status).into());
        }
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
    }
    let server = |url: &str| ServerBuilder::new().url(url).build();
    document.servers = Some(vec![server("/"), server("/api")]);
    document
}

/// `GET /openapi.json`
pub(crate) async fn show(_: &App, _: &Request) -> Result<Response, Problem> {
    Ok(response::json(StatusCode::OK, &document()))
}

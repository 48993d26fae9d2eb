//! The form: what a person fills in, or a program that knows no JSON.

use hyper::StatusCode;
use mailqueue_core::domain::validation::FieldError;
use mailqueue_core::outbox::SubmitError;
use mailqueue_core::{Draft, MessageId, Outbox, telemetry};

use super::fields::{Field, Fields, Form};
use super::templates::{FormError, FormValues, FormView, PAGES};
use crate::access_log::Note;
use crate::app::App;
use crate::recipients::Recipients;
use crate::wire::deadline::in_time;
use crate::wire::problem::{Problem, VALIDATION_ERROR};
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The form
#[utoipa::path(
    get, path = "/", tag = "Page", operation_id = "show_form",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8")),
)]
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    let view = Rules::of(app, request).view();
    Ok(PAGES.form(request, StatusCode::OK, &view, &FormValues::default()))
}

/// Send the form
///
/// To the recipient that the form is set up for, or to one it may write to.
#[utoipa::path(
    post, path = "/", tag = "Page", operation_id = "send_form",
    request_body(content(
        (Form = "application/x-www-form-urlencoded"),
        (Form = "multipart/form-data"),
    )),
    responses(
        (
            status = 200, description = "It is kept.", body = String, content_type = "text/plain; charset=utf-8",
            headers(("Location" = String, description = "Where it can be looked up.")),
        ),
        (
            status = 303, description = "It is kept; for browsers.",
            headers(("Location" = String, description = "The message's page.")),
        ),
        Refused<403>, Refused<429>,
    ),
)]
pub(crate) async fn submit(app: &App, request: &mut Request) -> Result<Response, Problem> {
    if request.is_foreign() {
        return Err(Problem::foreign_origin());
    }
    // Before the body is read, which is what costs.
    app.count_form(request)?;
    let fields = Fields::read(request).await?;
    let outbox = app.open_outbox();
    if fields.trapped {
        // Only a bot fills in a field that people do not see. It is answered as if the mail was accepted.
        return Ok(accepted(request, MessageId::new(outbox.clock().now()), &fields));
    }
    let rules = Rules::of(app, request);
    let sender = app.sender().ok_or_else(closed)?;
    let errors = match rules.draft(sender, &fields) {
        Ok(draft) => match take(&outbox, draft).await? {
            Ok(id) => {
                let mut response = accepted(request, id, &fields);
                Note::accepted(&mut response, "", [id.to_string().as_str()]);
                return Ok(response);
            }
            Err(faults) => errors(&fields, faults),
        },
        Err(errors) => errors,
    };
    if request.accept.html {
        let filled = FormValues {
            subject: &fields.draft.subject,
            message: fields.message(),
            to: fields.to(),
            errors: &errors,
        };
        let mut page = PAGES.form(request, StatusCode::UNPROCESSABLE_ENTITY, &rules.view(), &filled);
        // A page that is shown again is no problem to the router.
        telemetry::rejected(VALIDATION_ERROR);
        Note::refused(&mut page, "", VALIDATION_ERROR);
        return Ok(page);
    }
    Err(Problem::invalid(errors.into_iter().map(|error| error.fault).collect()))
}

/// Hands a message to the outbox; the inner error is what is wrong with it.
async fn take(outbox: &Outbox, draft: Draft) -> Result<Result<MessageId, Vec<FieldError>>, Problem> {
    crate::api::submit::check_size(&draft, outbox)?;
    match in_time(outbox.submit(draft)).await? {
        Ok(receipt) => Ok(Ok(receipt.id)),
        Err(SubmitError::Invalid(invalid)) => Ok(Err(invalid.faults)),
        Err(error) => Err(error.into()),
    }
}

/// The response to a form that was accepted.
fn accepted(request: &Request, id: MessageId, fields: &Fields) -> Response {
    let location = format!("/messages/{id}");
    if request.accept.html {
        return response::see_other(&(location + &request.lang_query()));
    }
    let (subject, message) = (&fields.draft.subject, fields.message());
    let body = format!("Mensagem enfileirada! Assunto: {subject} Mensagem: {message}\n");
    let mut response = response::text(StatusCode::OK, body);
    response::locate(&mut response, &location);
    response
}

fn closed() -> Problem {
    Problem::unavailable("The form is not set up: MAILQUEUE_FROM has to name its sender.")
}

/// The errors in the form's fields for the faults of a message.
fn errors(fields: &Fields, faults: Vec<FieldError>) -> Vec<FormError> {
    let error = |fault: FieldError| {
        let (field, key) = match fault.pointer.as_str() {
            "/subject" => (Some(Field::Subject), "subject_wrong"),
            "/text" => (Some(Field::Message), "message_wrong"),
            "/to" | "/to/0" => (Some(Field::To), "to_wrong"),
            _ => (None, "message_wrong"),
        };
        let pointer = field.map_or_else(String::new, |field| format!("/{}", fields.name(field)));
        FormError { key, fault: FieldError { pointer, ..fault } }
    };
    faults.into_iter().map(error).collect()
}

/// The recipients of the form, for one request.
struct Rules<'a> {
    /// The recipient of a form that names nobody.
    default: Option<String>,
    /// The recipients that may be named.
    others: Others<'a>,
    sender: bool,
}

enum Others<'a> {
    Nobody,
    Anyone,
    Only(&'a Recipients),
}

impl<'a> Rules<'a> {
    fn of(app: &'a App, request: &Request) -> Self {
        let options = app.options();
        let others = match &options.form_recipients {
            Some(recipients) if recipients.is_empty() => Others::Nobody,
            Some(recipients) => Others::Only(recipients),
            None if request.local => Others::Anyone,
            None => Others::Nobody,
        };
        let default = options.form_to.as_ref().map(ToString::to_string);
        Self { default, others, sender: app.sender().is_some() }
    }

    fn view(&self) -> FormView {
        let to = !matches!(self.others, Others::Nobody);
        FormView {
            open: self.sender && (to || self.default.is_some()),
            to,
            to_required: self.default.is_none(),
        }
    }

    /// The message that the fields stand for, or all that is wrong with them.
    fn draft(&self, sender: &str, fields: &Fields) -> Result<Draft, Vec<FormError>> {
        let mut errors = Vec::new();
        let mut error = |field, key, detail: &str| {
            let pointer = format!("/{}", fields.name(field));
            errors.push(FormError { key, fault: FieldError::new(pointer, detail) });
        };
        if fields.draft.subject.trim().is_empty() {
            error(Field::Subject, "subject_missing", "must not be empty");
        }
        if fields.message().trim().is_empty() {
            error(Field::Message, "message_missing", "must not be empty");
        }
        let to = match self.recipient(fields.to().trim()) {
            Ok(to) => to,
            Err((key, detail)) => {
                error(Field::To, key, &detail);
                String::new()
            }
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Draft { from: sender.to_owned(), to: vec![to], ..fields.draft.clone() })
    }

    fn recipient(&self, to: &str) -> Result<String, (&'static str, String)> {
        use mailqueue_core::domain::address::{AddressError, Mailbox};
        if to.is_empty() {
            let missing = || ("to_missing", "must name a recipient".to_owned());
            return self.default.clone().ok_or_else(missing);
        }
        let mailbox: Mailbox = to.parse().map_err(|error: AddressError| ("to_wrong", error.to_string()))?;
        let allowed = match &self.others {
            Others::Nobody => false,
            Others::Anyone => true,
            Others::Only(recipients) => recipients.allow(&mailbox.address),
        };
        let refusal = || ("to_refused", "must name a recipient that this form may write to".to_owned());
        if allowed { Ok(to.to_owned()) } else { Err(refusal()) }
    }
}

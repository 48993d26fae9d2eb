//! The form: what a person fills in, or a program that knows no JSON.

mod fields;
mod recipients;

use hyper::StatusCode;
use mailqueue_core::domain::validation::FieldError;
use mailqueue_core::outbox::SubmitError;
use mailqueue_core::{Draft, MessageId, Outbox};

use crate::answer::{self, Answer};
use crate::app::{App, in_time};
use crate::page::{Filled, Flaw};
use crate::problem::Problem;
use crate::request::{Request, Taste};
use fields::{Field, Fields};
pub use recipients::{Recipients, RecipientsError};

/// `GET /`
pub(crate) fn show(app: &App, request: &Request) -> Answer {
    app.pages().form(request, StatusCode::OK, &Rules::of(app, request).invite(), &Filled::default())
}

/// `POST /`
pub(crate) async fn submit(app: &App, request: &mut Request, taste: Taste) -> Result<Answer, Problem> {
    if request.is_foreign() {
        return Err(Problem::foreign_origin());
    }
    app.count_form(request)?;
    let fields = Fields::read(request).await?;
    let outbox = app.open_outbox();
    if fields.trapped {
        // Whatever fills in what nobody sees is told what it would like to hear.
        return Ok(accepted(request, MessageId::new(outbox.clock().now()), &fields, taste));
    }
    let rules = Rules::of(app, request);
    let sender = app.sender().ok_or_else(closed)?;
    let flaws = match rules.draft(sender, &fields) {
        Ok(draft) => match take(&outbox, draft).await? {
            Ok(id) => return Ok(accepted(request, id, &fields, taste)),
            Err(faults) => flaws(&fields, faults),
        },
        Err(flaws) => flaws,
    };
    if taste.html {
        let filled =
            Filled { subject: &fields.subject, message: &fields.message, to: &fields.to, flaws: &flaws };
        return Ok(app.pages().form(request, StatusCode::UNPROCESSABLE_ENTITY, &rules.invite(), &filled));
    }
    Err(Problem::invalid(flaws.into_iter().map(|flaw| flaw.fault).collect()))
}

/// Hands a message to the outbox; the inner error is what is wrong with it.
async fn take(outbox: &Outbox, draft: Draft) -> Result<Result<MessageId, Vec<FieldError>>, Problem> {
    crate::emails::check_size(&draft, outbox)?;
    match in_time(outbox.submit(draft)).await? {
        Ok(receipt) => Ok(Ok(receipt.id)),
        Err(SubmitError::Invalid(invalid)) => Ok(Err(invalid.faults)),
        Err(error) => Err(error.into()),
    }
}

/// What whoever sent the form gets to see.
fn accepted(request: &Request, id: MessageId, fields: &Fields, taste: Taste) -> Answer {
    let location = format!("/messages/{id}");
    if taste.html {
        let tag = request.language.tag();
        let query = if request.asks_language() { format!("?lang={tag}") } else { String::new() };
        return answer::see_other(&(location + &query));
    }
    let Fields { subject, message, .. } = fields;
    let body = format!("Mensagem enfileirada! Assunto: {subject} Mensagem: {message}\n");
    let mut answer = answer::text(StatusCode::OK, body);
    answer::locate(&mut answer, &location);
    answer
}

fn closed() -> Problem {
    Problem::unavailable("The form is not set up: MAILQUEUE_FROM has to name its sender.")
}

/// What faults of a message mean for the form's fields.
fn flaws(fields: &Fields, faults: Vec<FieldError>) -> Vec<Flaw> {
    let flaw = |fault: FieldError| {
        let (field, key) = match fault.pointer.as_str() {
            "/subject" => (Some(Field::Subject), "subject_wrong"),
            "/text" => (Some(Field::Message), "message_wrong"),
            "/to" | "/to/0" => (Some(Field::To), "to_wrong"),
            _ => (None, "message_wrong"),
        };
        let pointer = field.map_or_else(String::new, |field| format!("/{}", fields.name(field)));
        Flaw { key, fault: FieldError { pointer, ..fault } }
    };
    faults.into_iter().map(flaw).collect()
}

/// Whom the form may write to, for one request.
struct Rules<'a> {
    /// Who gets what names nobody.
    default: Option<String>,
    /// Who else may be named.
    others: Others<'a>,
    sender: bool,
}

enum Others<'a> {
    Nobody,
    Anyone,
    Only(&'a Recipients),
}

/// How the page offers the form.
pub(crate) struct Invite {
    /// Whether there is a form at all.
    pub(crate) open: bool,
    /// Whether a recipient may be named.
    pub(crate) to: bool,
    /// Whether one must be named.
    pub(crate) to_required: bool,
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

    fn invite(&self) -> Invite {
        let to = !matches!(self.others, Others::Nobody);
        Invite {
            open: self.sender && (to || self.default.is_some()),
            to,
            to_required: self.default.is_none(),
        }
    }

    /// The message that the fields stand for, or all that is wrong with them.
    fn draft(&self, sender: &str, fields: &Fields) -> Result<Draft, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut flaw = |field, key, detail: &str| {
            let pointer = format!("/{}", fields.name(field));
            flaws.push(Flaw { key, fault: FieldError { pointer, detail: detail.to_owned() } });
        };
        if fields.subject.trim().is_empty() {
            flaw(Field::Subject, "subject_missing", "must not be empty");
        }
        if fields.message.trim().is_empty() {
            flaw(Field::Message, "message_missing", "must not be empty");
        }
        let to = match self.recipient(fields.to.trim()) {
            Ok(to) => to,
            Err((key, detail)) => {
                flaw(Field::To, key, &detail);
                String::new()
            }
        };
        if !flaws.is_empty() {
            return Err(flaws);
        }
        Ok(Draft::new(sender, to, fields.subject.as_str()).text(fields.message.as_str()))
    }

    fn recipient(&self, to: &str) -> Result<String, (&'static str, String)> {
        use mailqueue_core::domain::address::Mailbox;
        if to.is_empty() {
            let missing = || ("to_missing", "must name a recipient".to_owned());
            return self.default.clone().ok_or_else(missing);
        }
        let mailbox: Mailbox = to.parse().map_err(|detail| ("to_wrong", detail))?;
        let allowed = match &self.others {
            Others::Nobody => false,
            Others::Anyone => true,
            Others::Only(recipients) => recipients.allow(&mailbox.address),
        };
        let refusal = || ("to_refused", "must name a recipient that this form may write to".to_owned());
        if allowed { Ok(to.to_owned()) } else { Err(refusal()) }
    }
}

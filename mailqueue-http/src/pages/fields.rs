//! The fields of the form as they arrive.

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use mailqueue_core::Draft;
use utoipa::ToSchema;

use crate::wire::offload::offload;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::urlencoded;

/// The largest number of parts in a form.
const MAX_PARTS: usize = 100;

/// What is filled into the form. The English names `subject`, `message` and `to` are read as well.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used: a form has two names for each field")]
pub(super) struct Form {
    #[schema(example = "Pedido 7")]
    assunto: String,
    #[schema(example = "Está a caminho.")]
    mensagem: String,
    /// One recipient that this form may write to.
    para: Option<String>,
}

/// A field of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Subject,
    Message,
    To,
}

/// The names of the fields; the first one of each is ours.
const NAMES: [(&str, Field); 6] = [
    ("assunto", Field::Subject),
    ("mensagem", Field::Message),
    ("para", Field::To),
    ("subject", Field::Subject),
    ("message", Field::Message),
    ("to", Field::To),
];

/// The values of the fields.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// The message that they stand for, still without a sender; nobody is its recipient when none was named.
    pub(crate) draft: Draft,
    /// True where the field that people do not see was filled in.
    pub(crate) trapped: bool,
    /// The fields that were sent, each by the name that it had.
    sent: Vec<(&'static str, Field)>,
}

impl Fields {
    /// Reads the body of a request.
    pub(crate) async fn read(request: &mut Request) -> Result<Self, Problem> {
        let (media_type, content_type) = request.media_type()?;
        let boundary = match media_type.as_str() {
            "application/x-www-form-urlencoded" => None,
            "multipart/form-data" => Some(multer::parse_boundary(content_type).map_err(|_| unreadable())?),
            _ => {
                let detail =
                    "The form must be sent as application/x-www-form-urlencoded or multipart/form-data.";
                return Err(Problem::unsupported(detail));
            }
        };
        let body = request.payload.read().await?;
        let octets = body.len();
        let read = move || match boundary {
            None => pairs(&body),
            // All of it is there, so that nothing is waited for.
            Some(boundary) => parts(body, boundary).now_or_never().unwrap_or_else(|| Err(unreadable())),
        };
        let fields = offload(octets, read).await;
        request.payload.digested();
        fields?
    }

    /// Puts a value where it belongs. A name that is not known (a button has one) is no fault.
    fn put(&mut self, name: &str, value: String) -> Result<(), Problem> {
        // A trap for bots: a field that people do not see.
        if name == "website" {
            self.trapped |= !value.is_empty();
            return Ok(());
        }
        let Some((name, field)) = NAMES.into_iter().find(|(known, _)| *known == name) else { return Ok(()) };
        if self.sent.iter().any(|(_, other)| *other == field) {
            return Err(Problem::field(format!("/{name}"), "must stand there once"));
        }
        self.sent.push((name, field));
        match field {
            Field::Subject => self.draft.subject = value,
            Field::Message => self.draft.text = Some(value),
            Field::To => self.draft.to = vec![value],
        }
        Ok(())
    }

    /// The text of the message; empty when none was sent.
    pub(crate) fn message(&self) -> &str {
        self.draft.text.as_deref().unwrap_or_default()
    }

    /// The recipient; empty when none was named.
    pub(crate) fn to(&self) -> &str {
        self.draft.to.first().map_or("", String::as_str)
    }

    /// The name by which the sender knows a field.
    pub(crate) fn name(&self, field: Field) -> &'static str {
        let mut names = self.sent.iter().chain(&NAMES);
        names.find(|(_, other)| *other == field).map_or("", |(name, _)| name)
    }
}

/// The fields of a URL-encoded form.
fn pairs(body: &[u8]) -> Result<Fields, Problem> {
    let mut fields = Fields::default();
    for pair in urlencoded::pairs(body) {
        let (name, value) = pair?;
        fields.put(&name, value)?;
    }
    Ok(fields)
}

/// The fields of a multipart form.
async fn parts(body: Bytes, boundary: String) -> Result<Fields, Problem> {
    let whole = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut multipart = multer::Multipart::new(whole, boundary);
    let (mut fields, mut left) = (Fields::default(), MAX_PARTS);
    while let Some(part) = multipart.next_field().await.map_err(|_| unreadable())? {
        let too_many = || Problem::field("", format!("must have at most {MAX_PARTS} fields"));
        left = left.checked_sub(1).ok_or_else(too_many)?;
        let name = part.name().ok_or_else(unreadable)?.to_owned();
        // Browsers send an empty name for a file that was not chosen.
        if part.file_name().is_some_and(|file| !file.is_empty()) {
            return Err(Problem::field(
                crate::wire::json::member("", &name),
                "must be text: the form takes no files",
            ));
        }
        let value = part.bytes().await.map_err(|_| unreadable())?;
        let value = String::from_utf8(value.into());
        let value = value.map_err(|_| Problem::malformed("The fields must be encoded as UTF-8."))?;
        fields.put(&name, value)?;
    }
    Ok(fields)
}

fn unreadable() -> Problem {
    Problem::malformed("The form cannot be read.")
}

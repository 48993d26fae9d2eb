//! The fields of the form as they arrive.

use bytes::Bytes;
use futures_util::{FutureExt, stream};
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
    /// `assunto` or `subject`
    Subject,
    /// `mensagem` or `message`
    Message,
    /// `para` or `to`
    To,
}

/// The values of the fields.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// The subject.
    pub(crate) subject: String,
    /// The message.
    pub(crate) message: String,
    /// The recipient; empty when none was named.
    pub(crate) to: String,
    /// True where the field that people do not see was filled in.
    pub(crate) trapped: bool,
    /// The fields in the words of who sent them, where these are not ours.
    english: Vec<Field>,
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
            None => urlencoded::pairs(&body),
            // All of it is there, so that nothing is waited for.
            Some(boundary) => parts(body, boundary).now_or_never().unwrap_or_else(|| Err(unreadable())),
        };
        let pairs = offload(octets, read).await;
        request.payload.digested();
        Self::sort(pairs??)
    }

    /// Puts each value where it belongs. Names that are not known (a button has one) are no fault.
    fn sort(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut fields = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let field = match name.as_str() {
                "assunto" | "subject" => Field::Subject,
                "mensagem" | "message" => Field::Message,
                "para" | "to" => Field::To,
                // A trap for bots: a field that people do not see.
                "website" => {
                    fields.trapped |= !value.is_empty();
                    continue;
                }
                _ => continue,
            };
            if seen.contains(&field) {
                return Err(Problem::field(format!("/{name}"), "must stand there once"));
            }
            seen.push(field);
            if ["subject", "message", "to"].contains(&name.as_str()) {
                fields.english.push(field);
            }
            *fields.place(field) = value;
        }
        Ok(fields)
    }

    fn place(&mut self, field: Field) -> &mut String {
        match field {
            Field::Subject => &mut self.subject,
            Field::Message => &mut self.message,
            Field::To => &mut self.to,
        }
    }

    /// The name by which the sender knows a field.
    pub(crate) fn name(&self, field: Field) -> &'static str {
        match (field, self.english.contains(&field)) {
            (Field::Subject, false) => "assunto",
            (Field::Subject, true) => "subject",
            (Field::Message, false) => "mensagem",
            (Field::Message, true) => "message",
            (Field::To, false) => "para",
            (Field::To, true) => "to",
        }
    }
}

/// The parts of a multipart form.
async fn parts(body: Bytes, boundary: String) -> Result<Vec<(String, String)>, Problem> {
    let whole = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut multipart = multer::Multipart::new(whole, boundary);
    let mut pairs = Vec::new();
    while let Some(part) = multipart.next_field().await.map_err(|_| unreadable())? {
        if pairs.len() == MAX_PARTS {
            return Err(Problem::field("", format!("must have at most {MAX_PARTS} fields")));
        }
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
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn unreadable() -> Problem {
    Problem::malformed("The form cannot be read.")
}

//! A request on its way to its handler.

use std::net::IpAddr;
use std::sync::OnceLock;

use hyper::header::HeaderName;
use hyper::http::request::Parts;

use crate::wire::accept::Accept;
use crate::wire::access::Access;
use crate::wire::body::Payload;
use crate::wire::language::Language;
use crate::wire::origin::{is_foreign, is_own};
use crate::wire::problem::Problem;
use crate::wire::rate_limit_status::RateLimitStatus;
use crate::wire::urlencoded;

/// A request whose address is known.
pub(crate) struct Request {
    /// Its head.
    pub(crate) head: Parts,
    /// Its body, unread.
    pub(crate) payload: Payload,
    /// The prefix of the route: nothing or `/api`.
    pub(crate) base: &'static str,
    /// The address, or that of the form where nothing stands at the address: a page that is not there must not link to
    /// what somebody made up.
    pub(crate) path: String,
    /// The id that stood in the address; empty where none belongs.
    pub(crate) id: String,
    /// The id of a part that stood in the address; empty where none belongs.
    pub(crate) part: String,
    /// The right that its route asks of an API key; `None` where it asks for none.
    pub(crate) access: Option<Access>,
    /// The network address it comes from, as far as can be told.
    pub(crate) from: IpAddr,
    /// The rest of its sender's rate, once the request has been counted.
    pub(crate) rate_limit_status: OnceLock<RateLimitStatus>,
    /// The tenant that its key stands for, once that is known.
    pub(crate) tenant: OnceLock<String>,
    /// True for a person on this very machine.
    pub(crate) local: bool,
    /// The media types its sender reads.
    pub(crate) accept: Accept,
    /// The language its sender reads.
    pub(crate) language: Language,
}

/// The fields of a form by their names.
pub(crate) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// The first value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a field, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Request {
    /// The query, without its `?`.
    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// The tenant that it is from; empty where none is known.
    pub(crate) fn tenant(&self) -> &str {
        self.tenant.get().map_or("", String::as_str)
    }

    /// True where the address names a language; links then name it too.
    pub(crate) fn asks_language(&self) -> bool {
        self.query().split('&').any(|pair| pair.starts_with("lang="))
    }

    /// The query that keeps the language of a link, with its `?`; empty where the address names none.
    pub(crate) fn lang_query(&self) -> String {
        if self.asks_language() { format!("?lang={}", self.language.tag()) } else { String::new() }
    }

    /// A header field that may stand there once.
    pub(crate) fn single(&self, name: HeaderName) -> Result<Option<&[u8]>, Problem> {
        let mut values = self.head.headers.get_all(&name).iter();
        let first = values.next().map(hyper::header::HeaderValue::as_bytes);
        if values.next().is_some() {
            return Err(Problem::malformed(format!("The request must have one {name} at most.")));
        }
        Ok(first)
    }

    /// The media type of the body in lower case and its parameters.
    ///
    /// # Errors
    ///
    /// 415 when it names a charset other than UTF-8.
    pub(crate) fn media_type(&self) -> Result<(String, &str), Problem> {
        let content_type = self.single(hyper::header::CONTENT_TYPE)?.unwrap_or_default();
        // Bytes that are not UTF-8 are no known type either, so 415 follows.
        let content_type = std::str::from_utf8(content_type).unwrap_or_default();
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        for parameter in parameters.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let utf8 =
                ["utf-8", "utf8"].iter().any(|c| value.trim().trim_matches('"').eq_ignore_ascii_case(c));
            if name.trim().eq_ignore_ascii_case("charset") && !utf8 {
                return Err(Problem::unsupported("The body must be encoded as UTF-8."));
            }
        }
        Ok((essence.trim().to_ascii_lowercase(), content_type))
    }

    /// Refuses what no page of this site has sent.
    ///
    /// # Errors
    ///
    /// 403
    pub(crate) fn only_own(&self) -> Result<(), Problem> {
        if is_own(&self.head.headers) { Ok(()) } else { Err(Problem::foreign_origin()) }
    }

    /// The fields of a URL-encoded form.
    ///
    /// # Errors
    ///
    /// 415 for another media type; those of the body.
    pub(crate) async fn form(&mut self) -> Result<FormFields, Problem> {
        let (media_type, _) = self.media_type()?;
        if media_type != "application/x-www-form-urlencoded" {
            return Err(Problem::unsupported("The form must be sent as application/x-www-form-urlencoded."));
        }
        let body = self.payload.read().await?;
        let fields = urlencoded::pairs(&body).collect::<Result<_, _>>();
        self.payload.digested();
        fields.map(FormFields)
    }

    /// True for a request by a page of another site, as far as browsers tell.
    pub(crate) fn is_foreign(&self) -> bool {
        is_foreign(&self.head.headers)
    }
}

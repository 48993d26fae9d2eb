//! The one body that says what went wrong.

use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use mailqueue_core::contracts::store::StoreError;
use mailqueue_core::domain::validation::FieldError;
use mailqueue_core::outbox::SubmitError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::response::{self, Response};

/// The largest number of faults in one problem; a client that makes more learns of the rest later.
pub(crate) const MAX_FAULTS: usize = 50;

/// The seconds that a client is asked to wait while the store does not answer.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// The name of a problem with what was sent.
pub(crate) const VALIDATION_ERROR: &str = "validation_error";

/// The reason for which a request got no 2xx.
///
/// No text in it repeats what was sent, so it may be logged.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The word by which a program knows it: Resend's where there is one.
    pub(crate) name: &'static str,
    title: &'static str,
    /// A sentence that a person can act on.
    pub(crate) detail: String,
    /// What is wrong with which field.
    pub(crate) faults: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request got no 2xx: the members of RFC 9457 and those that Resend's clients read, side by side. Nothing is kept
/// then.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'p> {
    /// `urn:mailqueue:problem:` and the title in lower case.
    #[serde(rename = "type")]
    #[schema(example = "urn:mailqueue:problem:validation-failed")]
    kind: String,
    #[schema(example = "Validation failed")]
    title: &'static str,
    #[schema(example = 422)]
    status: u16,
    /// What a person can act on. It never repeats what was sent.
    #[schema(example = "`to/0` must be an address.")]
    detail: &'p str,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Fault>>)]
    errors: Option<&'p [FieldError]>,
    #[serde(rename = "statusCode")]
    #[schema(example = 422)]
    status_code: u16,
    /// The word by which a program knows it.
    #[schema(example = "validation_error")]
    name: &'static str,
    /// As `detail`.
    message: &'p str,
}

/// One fault in one field: the schema of [`FieldError`].
#[derive(ToSchema)]
#[schema(description = "One fault in one field.")]
#[expect(dead_code, reason = "only the schema is used: the core's type is what is written")]
pub(crate) struct Fault {
    /// A JSON pointer (RFC 6901) into what was sent.
    #[schema(example = "/to/0")]
    pointer: String,
    /// What would be right.
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, title, detail: detail.into(), faults: Vec::new(), headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, and the connection is closed after it.
    pub(crate) fn closing(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 400: it cannot be read at all.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, VALIDATION_ERROR, "Malformed request", detail)
    }

    /// 400: no usable idempotency key.
    pub(crate) fn idempotency_key() -> Self {
        let detail =
            "The Idempotency-Key must have 1 to 256 printable ASCII characters and stand there once.";
        Self::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", "Invalid idempotency key", detail)
    }

    /// 401: the request needs an API key.
    pub(crate) fn missing_key(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "missing_api_key", "API key missing", detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mailqueue\""))
    }

    /// 403: the key is none of ours. One text for every way a key can be wrong.
    pub(crate) fn invalid_key() -> Self {
        let challenge = "Bearer realm=\"mailqueue\", error=\"invalid_token\"";
        Self::new(StatusCode::FORBIDDEN, "invalid_api_key", "API key invalid", "The API key is not valid.")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 403: the key is right, but not for this. Resend says 401 under the same name; but 401 asks for another login
    /// (RFC 9110 section 15.5.2), and this key is known.
    pub(crate) fn restricted_key(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "restricted_api_key", "API key restricted", detail)
    }

    /// 403: the key is right, but not for mail from this domain. The name is what Resend says of domains that are
    /// not a client's.
    pub(crate) fn foreign_sender(faults: Vec<FieldError>) -> Self {
        let detail = "This API key is not allowed to send from the domain of the `from` address.";
        let problem = Self::new(StatusCode::FORBIDDEN, VALIDATION_ERROR, "Forbidden sender", detail);
        Self { faults, ..problem }
    }

    /// 403: this page's form was sent from somewhere else.
    pub(crate) fn foreign_origin() -> Self {
        let detail = "The form only takes what is sent from its own page.";
        Self::new(StatusCode::FORBIDDEN, "invalid_access", "Foreign origin", detail)
    }

    /// 404: no such thing, or not for this client.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    /// 404: no route has this address.
    pub(crate) fn no_such_address() -> Self {
        Self::not_found("There is nothing at this address.")
    }

    /// 405: the thing is there, the method is not.
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("This address answers to {allow}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
            .with(ALLOW, HeaderValue::from_str(allow).expect("names of methods are ASCII"))
    }

    /// 408: the body did not arrive in time.
    pub(crate) fn timeout() -> Self {
        let detail = "The body of the request did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout", detail).closing()
    }

    /// 409: the idempotency key stands for something else.
    pub(crate) fn key_reused() -> Self {
        let detail = "The Idempotency-Key was used with another body within the last 24 hours.";
        Self::new(StatusCode::CONFLICT, "invalid_idempotent_request", "Idempotency key reused", detail)
    }

    /// 409: the first request with this idempotency key has not been answered yet.
    pub(crate) fn key_in_use() -> Self {
        let detail =
            "A request with this Idempotency-Key is still in progress. Repeat it shortly to get its answer.";
        let title = "Idempotency key in use";
        Self::new(StatusCode::CONFLICT, "concurrent_idempotent_requests", title, detail)
            .with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// 409: where the message stands does not allow it.
    pub(crate) fn not_now(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "invalid_state", "Not possible any more", detail)
    }

    /// 413: too much of it.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "Payload too large", detail)
    }

    /// 414: the address is too long.
    pub(crate) fn uri_too_long(limit: usize) -> Self {
        let detail = format!("The address of the request must be at most {limit} octets long.");
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", "URI too long", detail).closing()
    }

    /// 415: not a format that is read here.
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Unsupported media type",
            detail,
        )
    }

    /// 422: readable, but some fields cannot be.
    pub(crate) fn invalid(mut faults: Vec<FieldError>) -> Self {
        faults.truncate(MAX_FAULTS);
        let detail = sentence(&faults);
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, VALIDATION_ERROR, "Validation failed", detail);
        Self { faults, ..problem }
    }

    /// 422 for one field.
    pub(crate) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// 429: too many requests.
    pub(crate) fn too_many(detail: impl Into<String>, wait: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "Rate limit exceeded", detail)
            .with(RETRY_AFTER, HeaderValue::from(wait))
    }

    /// 431: too many or too long header fields.
    pub(crate) fn head_too_large(limit: usize) -> Self {
        let detail = format!("The header fields must be at most {limit} octets long in all.");
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "header_fields_too_large",
            "Header fields too large",
            detail,
        )
        .closing()
    }

    /// 500: a fault of ours.
    pub(crate) fn broken() -> Self {
        let detail =
            "Something went wrong here. Nothing was accepted; the log says more under the request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "application_error", "Application error", detail)
    }

    /// 503: try again shortly.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "Service unavailable", detail)
            .with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// 503: so much is waiting that nothing more is taken in.
    pub(crate) fn full() -> Self {
        let detail = "So much mail is waiting to be sent that no more is taken in. Please try again later.";
        // Longer than elsewhere: a backlog does not drain in two seconds.
        let wait = HeaderValue::from_static("10");
        Self { headers: vec![(RETRY_AFTER, wait)], ..Self::unavailable(detail) }
    }

    /// The answer that carries it. `named` says whether the client's Accept names `application/problem+json`.
    pub(crate) fn into_response(self, named: bool) -> Response {
        let body = ProblemBody {
            kind: format!("urn:mailqueue:problem:{}", self.title.to_ascii_lowercase().replace(' ', "-")),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: Some(&*self.faults).filter(|faults| !faults.is_empty()),
            status_code: self.status.as_u16(),
            name: self.name,
            message: &self.detail,
        };
        let mut response = response::json(self.status, &body);
        if named {
            response::content_type(&mut response, "application/problem+json");
        }
        self.mark(&mut response);
        response
    }

    /// Gives an answer the header fields that belong to this problem.
    pub(crate) fn mark(&self, response: &mut Response) {
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
    }
}

/// The first fault as a sentence.
pub(crate) fn sentence(faults: &[FieldError]) -> String {
    match faults.first() {
        Some(first) if first.pointer.is_empty() => format!("The message {}.", first.detail),
        Some(first) => format!("`{}` {}.", first.pointer.trim_start_matches('/'), first.detail),
        None => "The message cannot be accepted.".to_owned(),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Unavailable(_) => "The message store is out of reach. Please try again shortly.",
            StoreError::Overloaded(_) => "More mail is coming in than can be kept. Please try again shortly.",
            StoreError::NoSpace(_) => "There is no space for new mail. Please try again later.",
            // What a store says about a row may quote the row, so only the kind of fault is logged.
            error => {
                let reason = match error {
                    StoreError::Refused(_) => ": the message store refused it",
                    StoreError::Unreadable(_) => ": the message store holds something unreadable",
                    _ => "",
                };
                tracing::error!(event = "request.failed", "a request could not be served{reason}");
                return Self::broken();
            }
        };
        tracing::warn!(event = "request.failed", %error, "a request could not be served");
        Self::unavailable(detail)
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(invalid) => Self::invalid(invalid.faults),
            SubmitError::Full => Self::full(),
            SubmitError::ForeignSender(faults) => Self::foreign_sender(faults),
            SubmitError::KeyReused => Self::key_reused(),
            // 422 and not 500, because the same message would be refused again.
            SubmitError::Store(StoreError::Refused(_)) => {
                tracing::error!(
                    event = "request.failed",
                    "a message was not accepted: the message store refused it"
                );
                Self::field("", "is refused by the message store, and would be again")
            }
            SubmitError::Store(error) => error.into(),
            SubmitError::Render(_) => Self::field("", "cannot be written as an e-mail"),
        }
    }
}

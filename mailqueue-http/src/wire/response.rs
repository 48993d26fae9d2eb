//! Responses of every kind, each with the header fields that keep a browser safe.

use std::convert::Infallible;
use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use serde::Serialize;

/// A response; its body may be whole or a stream.
pub(crate) type Response = hyper::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The fields of every response: nothing here is to be framed, guessed at, kept or run.
const GUARDS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: browsers would send `Origin: null` with the form, which is refused.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "no-store"),
];

/// The same as they are sent. Copied for each response, which costs a third of putting them together anew.
static GUARD_FIELDS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let fields = GUARDS.iter();
    fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
});

/// A response of some media type.
pub(crate) fn of(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = hyper::Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().clone_from(&GUARD_FIELDS);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("structs with string keys always serialize");
    of(status, "application/json", json)
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response {
    of(status, "text/plain; charset=utf-8", body.into())
}

/// A page.
pub(crate) fn html(status: StatusCode, body: String) -> Response {
    of(status, "text/html; charset=utf-8", body)
}

/// Sends a browser that has just submitted a form on to another page.
pub(crate) fn see_other(location: &str) -> Response {
    let mut response = text(StatusCode::SEE_OTHER, "");
    locate(&mut response, location);
    response
}

/// Says where the thing is that was made.
pub(crate) fn locate(response: &mut Response, location: &str) {
    let location = HeaderValue::from_str(location).expect("a path made of fixed words and an id is ASCII");
    response.headers_mut().insert(LOCATION, location);
}

/// Overrides the media type.
pub(crate) fn content_type(response: &mut Response, media_type: &'static str) {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
}

/// Lets a browser keep the answer for a day.
pub(crate) fn keep(response: &mut Response) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
}

//! Problems as the OpenAPI document describes them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Ref, RefOr, Response};

/// Every status of a problem.
pub(crate) const STATUSES: [u16; 14] = [400, 401, 403, 404, 408, 409, 413, 414, 415, 422, 429, 431, 500, 503];

/// The statuses that any operation can have.
pub(crate) const ALWAYS: [u16; 6] = [400, 414, 415, 431, 500, 503];

/// The statuses that an operation with an API key can have besides.
pub(crate) const WITH_KEY: [u16; 3] = [401, 403, 429];

/// The statuses that an operation with a body can have besides.
pub(crate) const WITH_BODY: [u16; 3] = [408, 413, 422];

/// A status that one operation can have besides.
pub(crate) struct Refused<const STATUS: u16>;

impl<const STATUS: u16> IntoResponses for Refused<STATUS> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([(STATUS.to_string(), reference(STATUS))])
    }
}

/// The name of the document's response for a status.
pub(crate) fn name(status: u16) -> String {
    format!("Refused{status}")
}

/// A reference to that response.
pub(crate) fn reference(status: u16) -> RefOr<Response> {
    Ref::from_response_name(name(status)).into()
}

/// That response.
pub(crate) fn response(status: u16) -> Response {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(meaning(status));
    response.content("application/json", content()).content("application/problem+json", content()).build()
}

/// The meaning of a status here, and the names that go with it.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "It cannot be read: `validation_error`, or `invalid_idempotency_key`.",
        401 => "An API key is needed: `missing_api_key`.",
        403 => {
            "The key is not valid or may not do this: `invalid_api_key`, `restricted_api_key`, `invalid_access`, \
             `validation_error` for a sender of another domain."
        }
        404 => "There is no such thing, or it is somebody else's: `not_found`.",
        408 => "The body did not come in time: `request_timeout`.",
        409 => {
            "`invalid_idempotent_request`: the key was used with another body. `concurrent_idempotent_requests`: the first \
             request with this key is still in progress; see Retry-After. `invalid_state`: where the message \
             stands does not allow it."
        }
        413 => "It is too large: `payload_too_large`.",
        414 => "The address is too long: `uri_too_long`.",
        415 => "It is not in a format that is read here: `unsupported_media_type`.",
        422 => "Fields are wrong; `errors` points at each: `validation_error`.",
        429 => "Too many requests; see Retry-After: `rate_limit_exceeded`.",
        431 => "The header fields are too large: `header_fields_too_large`.",
        503 => "Not now; see Retry-After: `service_unavailable`.",
        _ => "Something is wrong here; nothing was kept: `application_error`.",
    }
}

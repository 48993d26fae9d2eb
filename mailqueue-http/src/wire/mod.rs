//! Requests as they are read and responses as they are written. Nothing here calls the outbox or knows a route.

pub(crate) mod accept;
pub(crate) mod access;
pub(crate) mod base64;
pub(crate) mod body;
pub(crate) mod client_address;
pub(crate) mod cookie;
pub(crate) mod deadline;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod language;
pub(crate) mod memory;
pub(crate) mod offload;
pub(crate) mod origin;
pub(crate) mod parameter;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod problem_schema;
pub(crate) mod rate_limit_status;
pub(crate) mod request;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod urlencoded;

/// Header fields for unit tests.
#[cfg(test)]
fn headers(fields: &[(&'static str, &str)]) -> hyper::HeaderMap {
    let name = hyper::header::HeaderName::from_static;
    fields.iter().map(|(field, value)| (name(field), value.parse().unwrap())).collect()
}

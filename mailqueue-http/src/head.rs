//! What the head of a request must be like before anything else is looked at.

use hyper::Version;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;

use crate::problem::Problem;
use crate::request::Peer;

/// The longest address, in octets.
const URI_LIMIT: usize = 8 << 10;

/// The longest header fields in all, in octets.
const FIELDS_LIMIT: usize = 32 << 10;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Refuses heads that are ambiguous, oversized or compressed.
pub(crate) fn check(head: &Parts, peer: Peer) -> Result<(), Problem> {
    if peer.faulty {
        let detail = "The request says more than once how long it is.";
        return Err(Problem::malformed(detail).closing());
    }
    if head.uri.path_and_query().is_some_and(|address| address.as_str().len() > URI_LIMIT) {
        return Err(Problem::uri_too_long(URI_LIMIT));
    }
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > FIELDS_LIMIT {
        return Err(Problem::head_too_large(FIELDS_LIMIT));
    }
    check_host(head)?;
    check_singles(head)?;
    let plain = |coding: &hyper::header::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(Problem::unsupported("The body must be sent as it is, without a Content-Encoding."));
    }
    Ok(())
}

/// Fields that say who asks, from where, and for what. Where one stands there twice, a proxy in front may have gone by the
/// other one.
fn check_singles(head: &Parts) -> Result<(), Problem> {
    let singles = [AUTHORIZATION, CONTENT_TYPE, ORIGIN, SEC_FETCH_SITE, IDEMPOTENCY_KEY];
    let twice = singles.into_iter().find(|name| head.headers.get_all(name).iter().nth(1).is_some());
    match twice {
        None => Ok(()),
        Some(name) if name == IDEMPOTENCY_KEY => Err(Problem::idempotency_key()),
        Some(name) => Err(Problem::malformed(format!("The request must have one {name} at most."))),
    }
}

/// One Host, which HTTP/1.0 may leave out (RFC 9112 section 3.2).
fn check_host(head: &Parts) -> Result<(), Problem> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let fine = match (hosts.next(), hosts.next()) {
        (None, _) => head.version == Version::HTTP_10,
        (Some(host), None) => host.to_str().is_ok_and(is_host),
        _ => false,
    };
    if fine { Ok(()) } else { Err(Problem::malformed("The request must name its Host once.").closing()) }
}

fn is_host(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&b))
}

/// The host a client says it talks to, without its port and in lower case; empty when it says none.
pub(crate) fn host_name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    name_of(host).to_ascii_lowercase()
}

/// What stands in front of a path in an address that the client can use: the host it says it talks to, by the scheme that
/// a proxy in front says it speaks. Empty when the client names no host.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let scheme = if is_tls { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host.is_empty() { String::new() } else { format!("{scheme}://{host}") }
}

/// An authority without its port.
pub(crate) fn name_of(authority: &str) -> &str {
    if let Some(end) = authority.find(']') {
        return &authority[..=end];
    }
    authority.split(':').next().unwrap_or_default()
}

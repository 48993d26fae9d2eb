//! The rules for the head of a request, checked before anything else.

use hyper::Version;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;

use crate::wire::peer::Peer;
use crate::wire::problem::Problem;

/// The longest address, in octets.
const MAX_URI: usize = 8 << 10;

/// The longest header fields in all, in octets.
const MAX_FIELDS: usize = 32 << 10;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Refuses heads that are ambiguous, oversized or compressed.
pub(crate) fn check(head: &Parts, peer: Peer) -> Result<(), Problem> {
    if peer.faulty {
        let detail = "The request says more than once how long it is.";
        // Nobody can say where the next request begins, so the connection ends.
        return Err(Problem::malformed(detail).closing());
    }
    if head.uri.path_and_query().is_some_and(|address| address.as_str().len() > MAX_URI) {
        return Err(Problem::uri_too_long(MAX_URI));
    }
    // 4 octets are the colon, the space and the line end.
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > MAX_FIELDS {
        return Err(Problem::head_too_large(MAX_FIELDS));
    }
    check_host(head)?;
    check_unrepeated(head)?;
    let plain = |coding: &hyper::header::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(Problem::unsupported("The body must be sent as it is, without a Content-Encoding."));
    }
    Ok(())
}

/// Fields that say who asks, from where, and for what. Where one stands there twice, a proxy in front may have gone by the
/// other one.
fn check_unrepeated(head: &Parts) -> Result<(), Problem> {
    let fields = [AUTHORIZATION, CONTENT_TYPE, ORIGIN, SEC_FETCH_SITE, IDEMPOTENCY_KEY];
    let twice = fields.into_iter().find(|name| head.headers.get_all(name).iter().nth(1).is_some());
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

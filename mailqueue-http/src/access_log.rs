//! The access log, and the metric beside it.

use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use mailqueue_core::telemetry;

/// The header field with the id of a request, taken from a proxy and given to every response.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id a proxy has given the request, or a new one.
pub(crate) fn request_id(given: Option<&HeaderValue>) -> String {
    // The id stands in log lines and in the answer as it came, so only harmless characters pass.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let usable = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(allowed);
    let given = given.and_then(|id| id.to_str().ok()).filter(usable);
    given.map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned)
}

/// The metric label of a method. Labels are few: a client may send any method, and each would be a metric of its own.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Writes a response into the access log and into the histogram of durations.
pub(crate) fn write(method: &'static str, route: &'static str, status: u16, took: Duration, id: &str) {
    telemetry::http_answered(route, method, status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let routine = status < 400 && ["/livez", "/readyz", "/metrics"].contains(&route);
    if routine {
        // Supervisors ask every few seconds.
        tracing::debug!(method, route, status, duration_ms, request_id = id, "answered");
    } else {
        tracing::info!(method, route, status, duration_ms, request_id = id, "answered");
    }
}

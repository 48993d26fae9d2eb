//! The access log, and the metric beside it.

use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use mailqueue_core::telemetry;

use crate::wire::response::Response;

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

/// Facts about a response that its status does not tell. They travel among the response's extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    /// The messages that were accepted, comma separated; empty for every other request.
    message_ids: String,
    /// The name of the problem; empty where there was none.
    reason: &'static str,
    /// The tenant, by the name of its key; empty where none is known.
    tenant: String,
}

impl Note {
    /// Notes that messages were accepted.
    pub(crate) fn accepted<'i>(
        response: &mut Response,
        tenant: &str,
        ids: impl IntoIterator<Item = &'i str>,
    ) {
        let mut message_ids = String::new();
        for id in ids {
            if !message_ids.is_empty() {
                message_ids.push(',');
            }
            message_ids.push_str(id);
        }
        response.extensions_mut().insert(Self { message_ids, reason: "", tenant: tenant.to_owned() });
    }

    /// Notes that a request was refused.
    pub(crate) fn refused(response: &mut Response, tenant: &str, reason: &'static str) {
        response.extensions_mut().insert(Self {
            message_ids: String::new(),
            reason,
            tenant: tenant.to_owned(),
        });
    }
}

/// Writes a response into the access log and into the histogram of durations.
pub(crate) fn write(
    method: &'static str,
    route: &'static str,
    response: &Response,
    took: Duration,
    id: &str,
) {
    let status = response.status().as_u16();
    telemetry::http_answered(route, method, status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let routine = status < 400 && ["/livez", "/readyz", "/metrics"].contains(&route);
    macro_rules! line {
        ($level:ident, $event:literal, $text:literal $(, $field:ident)*) => {
            tracing::$level!(event = $event, method, route, status, duration_ms, request_id = id, $($field,)* $text)
        };
    }
    match response.extensions().get::<Note>() {
        // The line by which a request's id leads to its messages.
        Some(Note { message_ids: message_id, tenant, .. }) if !message_id.is_empty() => {
            line!(info, "message.accepted", "accepted", message_id, tenant);
        }
        Some(Note { reason, tenant, .. }) => line!(info, "request.refused", "answered", reason, tenant),
        // Supervisors ask every few seconds.
        None if routine => line!(debug, "request.answered", "answered"),
        None => line!(info, "request.answered", "answered"),
    }
}

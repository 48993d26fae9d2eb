//! The site that a request is for and the site that it comes from.

use hyper::header::{HOST, HeaderMap, ORIGIN};

/// Browsers say where a request comes from by Sec-Fetch-Site, which no page can forge, and older ones by Origin.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(hyper::header::HeaderValue::as_bytes) {
        Some(b"cross-site") => return true,
        Some(b"same-origin") => return false,
        // `same-site` and `none` say too little: Origin decides.
        _ => {}
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    // Ports are left out: a proxy in front may have another one than it says here.
    authority.is_none_or(|authority| !name_of(authority).eq_ignore_ascii_case(&host_name(headers)))
}

/// The host a client says it talks to, without its port and in lower case; empty when it says none.
pub(crate) fn host_name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    name_of(host).to_ascii_lowercase()
}

/// True where a proxy in front says that the client speaks TLS.
pub(crate) fn is_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https")
}

/// True for a request that a page of this very site has made, as browsers tell. Unlike [`is_foreign`] it takes no silence
/// for an answer.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(hyper::header::HeaderValue::as_bytes) {
        Some(site) => site == b"same-origin",
        // A browser that is too old to send it, or one that does not speak TLS.
        None => headers.contains_key(ORIGIN) && !is_foreign(headers) && is_same_port(headers),
    }
}

/// True where Origin has the port that Host names, or Host names none: then a proxy in front may have left it out.
fn is_same_port(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let names_port = host.len() > name_of(host).len();
    let authority = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    !names_port || authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// The prefix of a path in an address that the client can use: the host it says it talks to, by the scheme that
/// a proxy in front says it speaks. Empty when the client names no host.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let scheme = if is_tls(headers) { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host.is_empty() { String::new() } else { format!("{scheme}://{host}") }
}

/// An authority without its port.
fn name_of(authority: &str) -> &str {
    if let Some(end) = authority.find(']') {
        return &authority[..=end];
    }
    authority.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers;

    #[test]
    fn foreign_pages_are_told_from_our_own() {
        let from = |origin: &str| is_foreign(&headers(&[("host", "mq.example:8080"), ("origin", origin)]));
        assert!(!from("http://mq.example:8080"));
        assert!(!from("https://MQ.example"));
        assert!(from("http://evil.example"));
        assert!(from("http://mq.example.evil.example"));
        assert!(from("null"));
        assert!(!is_foreign(&headers(&[("host", "mq.example")])));
        let same =
            [("host", "upstream"), ("origin", "https://mq.example"), ("sec-fetch-site", "same-origin")];
        assert!(!is_foreign(&headers(&same)));
    }

    #[test]
    fn only_a_browser_that_says_so_is_on_our_own_page() {
        let own =
            |fields: &[(&'static str, &str)]| is_own(&headers(&[&[("host", "mq.example")], fields].concat()));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "http://mq.example")]));
        assert!(own(&[("origin", "http://mq.example"), ("sec-fetch-site", "same-origin")]));
        assert!(!own(&[]));
        assert!(!own(&[("sec-fetch-site", "none")]));
        assert!(!own(&[("sec-fetch-site", "same-site")]));
        assert!(!own(&[("sec-fetch-site", "same-site"), ("origin", "http://a.mq.example")]));
        assert!(!own(&[("sec-fetch-site", "cross-site"), ("origin", "http://mq.example")]));
        assert!(!own(&[("origin", "null")]));
        let at = |host: &str, origin: &str| is_own(&headers(&[("host", host), ("origin", origin)]));
        assert!(at("mq.example:8080", "http://mq.example:8080"));
        assert!(!at("mq.example:8080", "http://mq.example:9999"));
        assert!(!at("mq.example:8080", "http://mq.example"));
        assert!(at("mq.example", "https://mq.example:8443"));
    }
}

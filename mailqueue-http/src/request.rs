//! A request on its way to what answers it.

use std::net::IpAddr;
use std::sync::OnceLock;

use hyper::Method;
use hyper::header::{ACCEPT, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;

use crate::body::Payload;
use crate::head;
use crate::language::Language;
use crate::problem::Problem;
use crate::rate::Allowance;

/// What the port knows about who is asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The other end of the connection: the client, or a proxy.
    pub(crate) address: IpAddr,
    /// Whether the server listens on a loopback address.
    pub(crate) loopback: bool,
    /// Whether a request on this connection said more than once how long it is.
    pub(crate) faulty: bool,
}

/// A request whose address is known.
pub(crate) struct Request {
    /// Its head.
    pub(crate) head: Parts,
    /// Its body, unread.
    pub(crate) payload: Payload,
    /// What stood in front of the route: nothing or `/api`.
    pub(crate) base: &'static str,
    /// The address, or that of the form where nothing stands at the address: a page that is not there must not link to
    /// what somebody made up.
    pub(crate) path: String,
    /// The id that stood in the address; empty where none belongs.
    pub(crate) id: String,
    /// The id of a part that stood in the address; empty where none belongs.
    pub(crate) part: String,
    /// Whether a key that may only send may ask for it.
    pub(crate) hands_over: bool,
    /// The network address it comes from, as far as can be told.
    pub(crate) from: IpAddr,
    /// What its sender may still ask for, once that has been counted.
    pub(crate) allowance: OnceLock<Allowance>,
    /// Whether it comes from a person on this very machine.
    pub(crate) local: bool,
    /// The language its sender reads.
    pub(crate) language: Language,
}

impl Request {
    /// The method, `HEAD` taken for the `GET` it stands for.
    pub(crate) fn method(&self) -> &Method {
        if self.head.method == Method::HEAD { &Method::GET } else { &self.head.method }
    }

    /// The query, without its `?`.
    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// Whether the address says which language is wanted; links then say it too.
    pub(crate) fn asks_language(&self) -> bool {
        self.query().split('&').any(|pair| pair.starts_with("lang="))
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

    /// Whether it was sent by a page of another site, as far as browsers tell.
    pub(crate) fn is_foreign(&self) -> bool {
        is_foreign(&self.head.headers)
    }
}

/// Browsers say where a request comes from by Sec-Fetch-Site, which no page can forge, and older ones by Origin.
fn is_foreign(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(hyper::header::HeaderValue::as_bytes) {
        Some(b"cross-site") => return true,
        Some(b"same-origin") => return false,
        _ => {}
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    // Ports are left out: a proxy in front may have another one than it says here.
    authority
        .is_none_or(|authority| !head::name_of(authority).eq_ignore_ascii_case(&head::host_name(headers)))
}

/// Whether a request comes from this machine, not by way of a proxy on it and not from a page elsewhere that has
/// pointed its own name at this machine (DNS rebinding, which needs a name with a dot).
pub(crate) fn is_local(headers: &HeaderMap, peer: Peer) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    if !peer.loopback || proxied.iter().any(|name| headers.contains_key(*name)) || is_foreign(headers) {
        return false;
    }
    let host = head::host_name(headers);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => !host.contains('.') || host.ends_with(".localhost"),
    }
}

/// What a client would like to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taste {
    /// A page rather than data.
    pub(crate) html: bool,
    /// `application/problem+json` by name.
    pub(crate) problem: bool,
}

impl Taste {
    /// What the Accept header says. Only what is named counts, so a client that takes anything gets data.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (mut html, mut json, mut problem) = (0.0, 0.0, 0.0);
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for (name, weight) in values.flat_map(weighted) {
            match name.as_str() {
                "text/html" | "application/xhtml+xml" => html = weight.max(html),
                "application/json" => json = weight.max(json),
                "application/problem+json" => problem = weight.max(problem),
                _ => {}
            }
        }
        Self { html: html > 0.0 && html >= json && html >= problem, problem: problem > 0.0 }
    }
}

/// The entries of an Accept-like header in lower case with their weights (RFC 9110 section 12.4.2).
pub(crate) fn weighted(value: &str) -> impl Iterator<Item = (String, f32)> {
    value.split(',').map(|entry| {
        let mut parts = entry.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(|parameter| parameter.trim().strip_prefix("q=")?.trim().parse().ok());
        (name, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let parsed =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        parsed.collect()
    }

    #[test]
    fn only_a_plain_request_to_this_machine_is_local() {
        let peer = Peer { address: [127, 0, 0, 1].into(), loopback: true, faulty: false };
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:80", "[::1]:8080", "mq.localhost", "box"] {
            assert!(is_local(&headers(&[("host", host)]), peer), "{host}");
        }
        for host in ["evil.example", "192.0.2.1", "127.0.0.1.evil.example"] {
            assert!(!is_local(&headers(&[("host", host)]), peer), "{host}");
        }
        assert!(!is_local(&headers(&[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]), peer));
        assert!(!is_local(&headers(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]), peer));
        assert!(!is_local(&headers(&[("host", "localhost")]), Peer { loopback: false, ..peer }));
    }

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
    fn a_browser_gets_pages_and_a_program_data() {
        let taste = |accept: &str| Taste::of(&headers(&[("accept", accept)]));
        assert!(taste("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").html);
        assert!(!taste("*/*").html);
        assert!(!taste("application/json, text/html;q=0.5").html);
        assert!(!taste("text/html;q=0").html);
        assert!(taste("application/problem+json").problem);
        assert!(!taste("application/json").problem);
    }
}

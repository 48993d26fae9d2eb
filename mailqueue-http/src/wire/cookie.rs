//! The cookie of a login (RFC 6265).

use hyper::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use time::Duration;

use crate::wire::origin::is_tls;
use crate::wire::response::Response;

/// Its name behind TLS. Browsers take the prefix only from the host itself, over TLS, for all paths.
const SECURE_NAME: &str = "__Host-mq";

/// Its name without TLS, where browsers drop the other one.
const PLAIN_NAME: &str = "mq";

/// The value of the cookie; `None` where there is none, or more than one.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let name = name(headers);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(other, _)| *other == name).map(|(_, value)| value);
    // A second one was set by somebody else, a neighbouring host for instance.
    values.next().filter(|_| values.next().is_none())
}

/// Has the browser that asked keep `value` for a time, or forget it where that is zero. No script can read it, and it is
/// not sent along from other sites.
pub(crate) fn set_session(response: &mut Response, request: &HeaderMap, value: &str, lifetime: Duration) {
    let secure = if is_tls(request) { "; Secure" } else { "" };
    let (name, seconds) = (name(request), lifetime.whole_seconds());
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::from_str(&cookie).expect("a session is made of ASCII digits and letters");
    response.headers_mut().insert(SET_COOKIE, cookie);
}

fn name(headers: &HeaderMap) -> &'static str {
    if is_tls(headers) { SECURE_NAME } else { PLAIN_NAME }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers;

    #[test]
    fn the_cookie_is_found_among_others() {
        let read = |fields: &[(&'static str, &str)]| session(&headers(fields)).map(str::to_owned);
        assert_eq!(read(&[("cookie", "a=1; mq=value.x; b=2")]), Some("value.x".into()));
        assert_eq!(read(&[("cookie", "a=1"), ("cookie", "mq=2")]), Some("2".into()));
        assert_eq!(read(&[("cookie", "xmq=1; __Host-mq=2")]), None);
        assert_eq!(read(&[("cookie", "mq=1; mq=2")]), None);
        let tls = ("x-forwarded-proto", "https");
        assert_eq!(read(&[("cookie", "mq=1; __Host-mq=2"), tls]), Some("2".into()));
        assert_eq!(read(&[("cookie", "mq=1"), tls]), None);
        assert_eq!(read(&[]), None);
    }
}

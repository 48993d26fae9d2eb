//! The network address a request comes from.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};

/// The client's address: the last one that `header` names if there is such a header field, since that is what
/// the proxy next to this server has added, else that of the connection.
///
/// A client can make up all before the last, and the last one, too, unless a proxy sets it.
pub(crate) fn of(headers: &HeaderMap, header: Option<&HeaderName>, connection: IpAddr) -> IpAddr {
    let named = header.and_then(|name| headers.get_all(name).iter().next_back());
    let named = named.and_then(|value| value.to_str().ok()).and_then(|list| list.rsplit(',').next());
    named.and_then(|last| read(last.trim())).unwrap_or(connection)
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn read(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_the_last_field_counts() {
        let name = HeaderName::from_static("x-forwarded-for");
        let of = |values: &[&str]| {
            let fields = values.iter().map(|value| (name.clone(), value.parse().unwrap()));
            super::of(&fields.collect(), Some(&name), [127, 0, 0, 1].into()).to_string()
        };
        assert_eq!(of(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["198.51.100.7", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(of(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(of(&["2001:db8::1"]), "2001:db8::1");
        assert_eq!(of(&["[2001:db8::1]"]), "2001:db8::1");
        for nobody in [&[][..], &[""], &["192.0.2.1, "], &["unknown"], &["192.0.2.1,_hidden"]] {
            assert_eq!(of(nobody), "127.0.0.1");
        }
        let mut unasked = HeaderMap::new();
        unasked.insert(name, "192.0.2.1".parse().unwrap());
        assert_eq!(super::of(&unasked, None, [127, 0, 0, 1].into()).to_string(), "127.0.0.1");
    }
}

//! The one reader of the URLs in settings, as RFC 3986 has them.
//!
//! A `+` is a plus sign everywhere. That it stands for a space is a rule of HTML forms, which other readers, the crate
//! `url` among them, apply to every query.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// The octets that stand for themselves wherever they stand (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The error for a URL that cannot be read. It never shows any part of it, since it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    /// It is none, or not UTF-8 once it is decoded.
    #[error("is not a URL")]
    Syntax,
    /// A path followed by what it cannot have.
    #[error("takes no parameters and no #fragment (inside a path write ? as %3F and # as %23)")]
    Trailing,
}

/// A URL whose parameters are decoded.
pub(crate) struct Uri {
    url: Url,
    parameters: Vec<(String, String)>,
}

impl Uri {
    /// Reads a URL that names a host.
    pub(crate) fn parse(text: &str) -> Result<Self, UriError> {
        let mut url = Url::parse(text).map_err(|_| UriError::Syntax)?;
        let parameters = parameters(url.query())?;
        // Taken out, because the decoded parameters replace it and `Display` writes it anew.
        url.set_query(None);
        Ok(Self { url, parameters })
    }

    /// Takes a parameter away and gives the value that stood first.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let mut taken = self.parameters.extract_if(.., |(key, _)| key == name);
        let first = taken.next();
        // Drains the rest, because `extract_if` removes only what it has yielded.
        taken.for_each(drop);
        first.map(|(_, value)| value)
    }
}

/// Written so that every reader finds the same: what could be read in two ways is percent-encoded.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |text| utf8_percent_encode(text, UNRESERVED);
        let query: Vec<String> =
            self.parameters.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        let mut url = self.url.clone();
        // Some readers look for the @ before the host in all of the text.
        url.set_path(&self.url.path().replace('@', "%40"));
        url.set_query(Some(query.join("&").as_str()).filter(|query| !query.is_empty()));
        f.write_str(url.as_str())
    }
}

/// The parameters of a query, decoded, in their order. One without `=` has an empty value.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, UriError> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// A part of a URL with its percent-encoding undone. A `%` that encodes nothing stands for itself.
pub(crate) fn decode(part: &str) -> Result<String, UriError> {
    let decoded = percent_decode_str(part).decode_utf8().map_err(|_| UriError::Syntax)?;
    Ok(decoded.into_owned())
}

/// The path in a URL of the form `SCHEME://PATH`; empty where there is none. A path that does not begin with `/` is
/// relative to the working directory.
pub(crate) fn path(text: &str) -> Result<PathBuf, UriError> {
    let (_, path) = text.split_once("://").unwrap_or_default();
    match path.contains(['?', '#']) {
        true => Err(UriError::Trailing),
        false => Ok(PathBuf::from(decode(path)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        parameters(Some(query)).unwrap()
    }

    #[test]
    fn a_plus_is_a_plus_and_a_space_is_encoded() {
        let found = pairs("ca=/etc/a+b%20c.pem&d%2B=1=2&&e");
        let expected = [("ca", "/etc/a+b c.pem"), ("d+", "1=2"), ("e", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parameters(Some("a=%ff")), Err(UriError::Syntax));
        assert_eq!(parameters(None), Ok(Vec::new()));
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_kept() {
        assert_eq!(decode("100%25 or 100% or %zz").unwrap(), "100% or 100% or %zz");
    }

    #[test]
    fn an_encoded_url_has_one_reading() {
        let mut uri = Uri::parse("postgres://us%2Ber:p+%40@h:1/d@b?x=a+b%20c@d&tls=1&y=%26&tls=2").unwrap();
        assert_eq!(uri.take("tls").as_deref(), Some("1"));
        assert_eq!(uri.take("tls"), None);
        assert_eq!(uri.to_string(), "postgres://us%2Ber:p+%40@h:1/d%40b?x=a%2Bb%20c%40d&y=%26");
        uri.take("x");
        uri.take("y");
        assert_eq!(uri.to_string(), "postgres://us%2Ber:p+%40@h:1/d%40b");
    }

    #[test]
    fn a_path_is_decoded_and_has_nothing_behind_it() {
        assert_eq!(path("sqlite://mail%20box+1%3F.db"), Ok("mail box+1?.db".into()));
        assert_eq!(path("file:///var/%C3%A9"), Ok("/var/é".into()));
        assert_eq!(path("file://"), Ok(PathBuf::new()));
        for text in ["sqlite://mail.db?mode=ro", "file://out#box"] {
            assert_eq!(path(text), Err(UriError::Trailing));
        }
    }
}

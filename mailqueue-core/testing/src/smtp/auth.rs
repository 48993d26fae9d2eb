//! SASL PLAIN and LOGIN, the server's side.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The credentials of a login, or of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `PLAIN` or `LOGIN`.
    pub mechanism: String,
    /// The user, decoded.
    pub user: String,
    /// The password, decoded.
    pub password: String,
}

impl Credentials {
    /// From the one message of PLAIN: authorization identity, user, password, with NUL between them.
    pub(super) fn from_plain(encoded: &str) -> Option<Self> {
        let decoded = decode(encoded)?;
        let mut parts = decoded.split('\0').skip(1);
        let (user, password) = (parts.next()?, parts.next()?);
        Some(Self { mechanism: "PLAIN".to_owned(), user: user.to_owned(), password: password.to_owned() })
    }

    /// From the two answers of LOGIN.
    pub(super) fn from_login(user: &str, password: &str) -> Option<Self> {
        Some(Self { mechanism: "LOGIN".to_owned(), user: decode(user)?, password: decode(password)? })
    }
}

fn decode(encoded: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

//! Mail by SMTP (RFC 5321).

mod relay_url;
mod timeouts;

pub use self::relay_url::{Login, RelayUrl, RelayUrlError, TlsMode};
pub use self::timeouts::Timeouts;

//! The URL of a relay: its address and the way to speak to it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

use super::relay_url_error::RelayUrlError;
use super::timeout_overrides::TimeoutOverrides;
use crate::uri;

/// The use of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// Never.
    None,
    /// By STARTTLS (RFC 3207) if the relay offers it. An offer that then fails is a fault, never a reason to go on in
    /// plain text.
    Opportunistic,
    /// By STARTTLS, or not at all.
    Required,
    /// From the first byte (RFC 8314).
    Implicit,
}

/// The mechanism of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616.
    Plain,
    /// User and password, each asked for.
    Login,
}

/// The credentials of a login.
#[derive(Clone)]
pub(super) struct Login {
    /// The user, percent-decoded.
    pub(super) user: String,
    /// The password, percent-decoded.
    pub(super) password: SecretString,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// A relay, as `smtp://USER:PASSWORD@HOST:PORT?PARAMETERS` or `smtps://…` describes it.
///
/// Displayed as scheme, host and port, which is safe to log.
///
/// | parameter | default | meaning |
/// | --- | --- | --- |
/// | `tls=required\|opportunistic\|none` | `none` on loopback, else `required` | STARTTLS on `smtp://`; `smtps://` is always TLS |
/// | `ca=FILE` | none | PEM certificates trusted beside the system's; makes `required` the default |
/// | `connections=N` | 32 | how many connections are open at once, 1 to 1000 |
/// | `auth=plain\|login` | PLAIN, else LOGIN | the only mechanism to log in with |
/// | `slow_start=N` | 2 | how many more connections are used each second after the relay had trouble, 1 to 1000 |
/// | `rate=N` | unlimited | how many messages are begun a second, 1 to 100000 |
/// | `pipelining=on\|off` | `on` | `off`: one command at a time although PIPELINING is offered |
/// | `greeting_timeout=TIME` | 5m | how long its greeting may take, as `500ms`, `30s`, `5m` or `1h` |
/// | `mail_timeout=TIME`, `rcpt_timeout=TIME`, `data_timeout=TIME` | 5m, 5m, 2m | how long its replies to these may take |
/// | `block_timeout=TIME` | 3m | how long it may take to receive 64 KiB of the message |
/// | `dot_timeout=TIME` | 10m | how long its reply to the final dot may take; cut short, it makes copies |
/// | `connect_timeout=TIME`, `tls_timeout=TIME`, `command_timeout=TIME` | 10s, 30s, 5m | connecting, the TLS handshake, and replies to EHLO, STARTTLS and AUTH |
/// | `hello=NAME` | the local address | what EHLO says |
/// | `insecure_auth=true` | `false` | log in without TLS although the host is not this machine |
///
/// The default port is 25, for `smtps://` 465.
///
/// ```
/// use mailqueue_core::transport::smtp::RelayUrl;
///
/// let relay: RelayUrl = "smtps://user:secret@mail.example.com?connections=4".parse()?;
/// assert!(!relay.to_string().contains("secret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RelayUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: TlsMode,
    pub(super) login: Option<Login>,
    pub(super) auth: Option<Mechanism>,
    pub(super) ca: Option<PathBuf>,
    pub(super) connections: usize,
    pub(super) slow_start: u32,
    pub(super) rate: Option<u32>,
    pub(super) pipelining: bool,
    pub(super) hello: Option<String>,
    pub(super) insecure_auth: bool,
    pub(super) deadlines: TimeoutOverrides,
}

impl RelayUrl {
    /// True if the host is this machine by its very name: an address that loops back, or `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// The host, in brackets where it is an IPv6 address, and the port.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls == TlsMode::Implicit { "smtps" } else { "smtp" };
        write!(f, "{scheme}://{}", self.host_and_port())
    }
}

impl FromStr for RelayUrl {
    type Err = RelayUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| RelayUrlError::Syntax)?;
        let is_implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(RelayUrlError::Scheme),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(RelayUrlError::Trailing);
        }
        let host = host(&url)?;
        let port = url.port().unwrap_or(if is_implicit { 465 } else { 25 });
        if port == 0 {
            return Err(RelayUrlError::Port);
        }
        let mut relay = Self {
            host,
            port,
            tls: TlsMode::Required,
            login: None,
            auth: None,
            ca: None,
            connections: 32,
            slow_start: 2,
            rate: None,
            pipelining: true,
            hello: None,
            insecure_auth: false,
            deadlines: TimeoutOverrides::default(),
        };
        let tls = relay.read_parameters(&url)?;
        relay.tls = relay.tls_mode(is_implicit, tls)?;
        relay.login = login(&url)?;
        let is_exposed = relay.tls == TlsMode::None && !relay.is_loopback() && !relay.insecure_auth;
        if relay.login.is_some() && is_exposed {
            return Err(RelayUrlError::InsecureAuth);
        }
        Ok(relay)
    }
}

fn host(url: &Url) -> Result<String, RelayUrlError> {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            // The crate `url` leaves hosts of schemes it does not know encoded, so both steps are ours.
            let name = uri::decode(name).map_err(|_| RelayUrlError::Host)?;
            let ascii = idna::domain_to_ascii(&name).map_err(|_| RelayUrlError::Host)?;
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            Some(ascii)
                .filter(|ascii| !ascii.is_empty() && ascii.bytes().all(fits))
                .ok_or(RelayUrlError::Host)
        }
        Some(url::Host::Ipv4(address)) => Ok(address.to_string()),
        Some(url::Host::Ipv6(address)) => Ok(address.to_string()),
        None => Err(RelayUrlError::Host),
    }
}

fn login(url: &Url) -> Result<Option<Login>, RelayUrlError> {
    let decode = |text: &str| {
        let decoded = uri::decode(text).map_err(|_| RelayUrlError::Login)?;
        // RFC 4616: neither may hold a NUL, nor be empty.
        match decoded.is_empty() || decoded.contains('\0') {
            true => Err(RelayUrlError::Login),
            false => Ok(decoded),
        }
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, password) => {
            let (user, password) = (decode(user)?, decode(password.unwrap_or_default())?);
            Ok(Some(Login { user, password: password.into() }))
        }
    }
}

/// The parameters but those of [`TimeoutOverrides`].
const NAMES: [&str; 9] =
    ["tls", "auth", "ca", "connections", "slow_start", "rate", "pipelining", "hello", "insecure_auth"];

impl RelayUrl {
    /// Sets what the parameters behind the `?` say, each once, and gives back the value of `tls`.
    fn read_parameters(&mut self, url: &Url) -> Result<Option<TlsMode>, RelayUrlError> {
        let (mut tls, mut seen) = (None, Vec::new());
        for (name, value) in uri::parameters(url.query()).map_err(|_| RelayUrlError::Syntax)? {
            if self.deadlines.take(&name, &value)? {
                continue;
            }
            let known = NAMES.into_iter().find(|known| *known == name);
            let name = known.ok_or(RelayUrlError::UnknownParameter)?;
            if seen.contains(&name) {
                return Err(RelayUrlError::Repeated(name));
            }
            seen.push(name);
            let set = self.set(name, &value, &mut tls);
            set.map_err(|expected| RelayUrlError::Value { parameter: name, expected })?;
        }
        Ok(tls)
    }

    /// Sets one parameter, or says what its value must be.
    fn set(&mut self, name: &str, value: &str, tls: &mut Option<TlsMode>) -> Result<(), &'static str> {
        match name {
            "tls" => {
                *tls = Some(match value {
                    "required" => TlsMode::Required,
                    "opportunistic" => TlsMode::Opportunistic,
                    "none" => TlsMode::None,
                    _ => return Err("required, opportunistic or none"),
                });
            }
            "auth" => {
                self.auth = Some(match value {
                    "plain" => Mechanism::Plain,
                    "login" => Mechanism::Login,
                    _ => return Err("plain or login"),
                });
            }
            "ca" if value.is_empty() => return Err("a file"),
            "ca" => self.ca = Some(value.into()),
            "connections" => {
                self.connections = up_to(1000, value).ok_or("a number from 1 to 1000")? as usize;
            }
            "slow_start" => self.slow_start = up_to(1000, value).ok_or("a number from 1 to 1000")?,
            "rate" => self.rate = Some(up_to(100_000, value).ok_or("a number from 1 to 100000")?),
            "pipelining" => {
                self.pipelining = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err("on or off"),
                };
            }
            "hello" if !is_hello(value) => return Err("a host name or an address in brackets"),
            "hello" => self.hello = Some(value.to_owned()),
            _ => self.insecure_auth = value.parse().map_err(|_| "true or false")?,
        }
        Ok(())
    }

    fn tls_mode(&self, is_implicit: bool, asked: Option<TlsMode>) -> Result<TlsMode, RelayUrlError> {
        match (is_implicit, asked) {
            (true, None | Some(TlsMode::Required)) => Ok(TlsMode::Implicit),
            (true, Some(_)) => Err(RelayUrlError::Contradiction),
            (false, Some(tls)) => Ok(tls),
            // A named certificate shows that TLS is expected, even on loopback.
            (false, None) if self.is_loopback() && self.ca.is_none() => Ok(TlsMode::None),
            (false, None) => Ok(TlsMode::Required),
        }
    }
}

fn up_to(most: u32, value: &str) -> Option<u32> {
    value.parse().ok().filter(|n| (1..=most).contains(n))
}

/// Neither space nor control character, because the name goes into a command as it is.
fn is_hello(value: &str) -> bool {
    !value.is_empty() && value.len() <= 255 && value.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> Result<RelayUrl, RelayUrlError> {
        text.parse()
    }

    #[test]
    fn the_defaults_depend_on_where_the_host_is() {
        for (text, shown, tls) in [
            ("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525", TlsMode::None),
            ("smtp://LOCALHOST", "smtp://localhost:25", TlsMode::None),
            ("smtp://[::1]/", "smtp://[::1]:25", TlsMode::None),
            ("smtp://[::ffff:127.0.0.1]:26", "smtp://[::ffff:127.0.0.1]:26", TlsMode::None),
            ("smtp://localhost?ca=/a.pem", "smtp://localhost:25", TlsMode::Required),
            ("smtp://mail.example.com:587", "smtp://mail.example.com:587", TlsMode::Required),
            ("smtp://10.0.0.1?tls=opportunistic", "smtp://10.0.0.1:25", TlsMode::Opportunistic),
            ("smtp://10.0.0.1?tls=none", "smtp://10.0.0.1:25", TlsMode::None),
            ("smtps://mail.example.com", "smtps://mail.example.com:465", TlsMode::Implicit),
            ("smtps://пример.рф", "smtps://xn--e1afmkfd.xn--p1ai:465", TlsMode::Implicit),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.tls), (shown, tls), "{text}");
            assert_eq!((url.connections, url.rate, url.pipelining), (32, None, true));
        }
    }

    #[test]
    fn parameters_and_credentials_are_decoded() {
        let url = parse(
            "smtp://an%40a:p%2F%23s+s%25@h.example:25?connections=4&slow_start=9&rate=7&pipelining=off&hello=[::1]&ca=/a%20b+c",
        );
        let url = url.unwrap();
        let login = url.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.expose_secret()), ("an@a", "p/#s+s%"));
        assert_eq!((url.connections, url.slow_start, url.rate, url.pipelining), (4, 9, Some(7), false));
        assert_eq!((url.hello.as_deref(), url.ca), (Some("[::1]"), Some("/a b+c".into())));
    }

    #[test]
    fn a_fault_is_named_and_nothing_of_the_url_shown() {
        let value = |parameter, expected| RelayUrlError::Value { parameter, expected };
        for (text, error) in [
            ("sekret", RelayUrlError::Syntax),
            ("smtp://u:sekret@h:port", RelayUrlError::Syntax),
            ("http://u:sekret@h", RelayUrlError::Scheme),
            ("smtp:sekret", RelayUrlError::Trailing),
            ("smtp:///sekret", RelayUrlError::Trailing),
            ("smtp://", RelayUrlError::Host),
            ("smtp://u:sekret@h%20h", RelayUrlError::Host),
            ("smtp://u:12#sekret@h", RelayUrlError::Trailing),
            ("smtp://u:12/sekret@h", RelayUrlError::Trailing),
            ("smtp://u:12?sekret@h", RelayUrlError::UnknownParameter),
            ("smtp://h:0", RelayUrlError::Port),
            ("smtp://sekret@h", RelayUrlError::Login),
            ("smtp://:sekret@h", RelayUrlError::Login),
            ("smtp://u:sekret%00@h", RelayUrlError::Login),
            ("smtp://u:sekret%ff@h", RelayUrlError::Login),
            ("smtp://u:sekret@h?tls=none", RelayUrlError::InsecureAuth),
            ("smtps://u:sekret@h?tls=none", RelayUrlError::Contradiction),
            ("smtp://h?tls=none&tls=none", RelayUrlError::Repeated("tls")),
            ("smtp://h?tls=sekret", value("tls", "required, opportunistic or none")),
            ("smtp://h?connections=0", value("connections", "a number from 1 to 1000")),
            ("smtp://h?dot_timeout=1m&dot_timeout=1m", RelayUrlError::Repeated("dot_timeout")),
            (
                "smtp://h?mail_timeout=sekret",
                value("mail_timeout", "a time such as 500ms, 30s, 5m or 1h, at most 24h"),
            ),
            ("smtp://h?auth=sekret", value("auth", "plain or login")),
            ("smtp://h?slow_start=0", value("slow_start", "a number from 1 to 1000")),
            ("smtp://h?rate=-1", value("rate", "a number from 1 to 100000")),
            ("smtp://h?hello=a%0d%0ab", value("hello", "a host name or an address in brackets")),
        ] {
            let found = parse(text).map(|url| url.to_string()).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!format!("{found} {found:?}").contains("sekret"), "{found}");
        }
    }

    #[test]
    fn a_password_in_plain_text_takes_a_loopback_host_or_a_word() {
        for text in ["smtp://u:sekret@127.0.0.1", "smtp://u:sekret@10.0.0.1?tls=none&insecure_auth=true"] {
            let url = parse(text).unwrap();
            assert_eq!(url.tls, TlsMode::None);
            assert!(!format!("{url} {url:?}").contains("sekret"));
            assert!(!format!("{url:?}").contains("\"u\""), "{url:?}");
        }
    }
}

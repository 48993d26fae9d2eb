//! Faults of a relay URL.

/// A fault of a relay's URL. Never shows any part of it, since it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayUrlError {
    /// It does not parse.
    #[error(
        "must be a URL such as smtp://user:password@mail.example.com:587, special characters percent-encoded"
    )]
    Syntax,
    /// Neither `smtp` nor `smtps`.
    #[error("must begin with smtp:// or smtps://")]
    Scheme,
    /// The host is missing or is none.
    #[error("must name a host after the @")]
    Host,
    /// The port is 0.
    #[error("must have a port from 1 to 65535")]
    Port,
    /// Something follows the host.
    #[error("must not have a path or a #fragment (inside a password write # as %23 and / as %2F)")]
    Trailing,
    /// A user without a password, or the other way round, or octets that no login can have.
    #[error("must have a user and a password, or neither, in UTF-8 and without NUL")]
    Login,
    /// A parameter that does not exist.
    #[error(
        "has an unknown parameter; there are tls, auth, ca, connections, slow_start, rate, pipelining, hello, \
         insecure_auth, and connect_, tls_, greeting_, command_, mail_, rcpt_, data_, block_ and dot_timeout"
    )]
    UnknownParameter,
    /// A parameter twice.
    #[error("has the parameter {0} twice")]
    Repeated(&'static str),
    /// A parameter with a value that it cannot have.
    #[error("has a wrong value for {parameter}, which must be {expected}")]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// The values that it takes.
        expected: &'static str,
    },
    /// `smtps://` with a `tls` other than `required`.
    #[error("must not turn TLS off: smtps:// is TLS from the first byte")]
    Contradiction,
    /// Credentials for another machine, and no TLS.
    #[error(
        "would send the password in plain text: use tls=required, or insecure_auth=true if that is meant"
    )]
    InsecureAuth,
}

//! Logging in (RFC 4954).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::relay_url::Login;
use super::reply::Answer;
use super::session::{Fault, Session};
use super::stream::Stream;
use super::timeouts::Timeouts;
use crate::domain::report::RelayFault;

/// Logs in with PLAIN (RFC 4616), or with LOGIN where that is all there is. That the connection may carry a
/// password has been checked.
pub(super) async fn log_in(
    session: &mut Session<Stream>,
    login: &Login,
    timeouts: &Timeouts,
) -> Result<(), Fault> {
    let answer = if session.offered.auth_plain {
        let response = STANDARD.encode(format!("\0{}\0{}", login.user, login.password.expose_secret()));
        session.ask(&format!("AUTH PLAIN {response}\r\n"), timeouts).await?
    } else if session.offered.auth_login {
        expect_challenge(session.ask("AUTH LOGIN\r\n", timeouts).await?)?;
        let user = STANDARD.encode(&login.user);
        expect_challenge(session.ask(&format!("{user}\r\n"), timeouts).await?)?;
        let password = STANDARD.encode(login.password.expose_secret());
        session.ask(&format!("{password}\r\n"), timeouts).await?
    } else {
        return Err(Fault::new(RelayFault::Auth, "the relay offers neither AUTH PLAIN nor AUTH LOGIN"));
    };
    match answer.code {
        235 => Ok(()),
        _ => Err(Fault::refused(RelayFault::Auth, answer)),
    }
}

fn expect_challenge(answer: Answer) -> Result<(), Fault> {
    match answer.code {
        334 => Ok(()),
        _ => Err(Fault::refused(RelayFault::Auth, answer)),
    }
}

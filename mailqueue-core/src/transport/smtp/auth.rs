//! Logging in (RFC 4954).

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::fault::Fault;
use super::quirks::Quirks;
use super::relay_url::{Login, Mechanism};
use super::reply::Answer;
use super::session::Session;
use super::stream::Stream;
use super::timeouts::Timeouts;
use crate::domain::report::RelayFault;

/// Logs in with the mechanism that is set; else with PLAIN (RFC 4616), or with LOGIN where PLAIN is not offered or turns
/// out not to be had. That the connection may carry a password has been checked.
pub(super) async fn log_in(
    session: &mut Session<Stream>,
    login: &Login,
    wanted: Option<Mechanism>,
    quirks: &Quirks,
    timeouts: &Timeouts,
) -> Result<(), Fault> {
    let by_plain = session.offered.auth_plain && wanted != Some(Mechanism::Login);
    let by_login = session.offered.auth_login && wanted != Some(Mechanism::Plain);
    // A stale flag (`Relaxed`) costs one refused AUTH; PLAIN alone is tried whatever it says.
    if by_plain && !(by_login && quirks.no_plain.load(Ordering::Relaxed)) {
        let answer = plain(session, login, by_login, timeouts).await?;
        // A mechanism that is too weak, or not there although it is offered; 334 as if no response had come with it.
        if !(by_login && matches!(answer.code, 334 | 504 | 534)) {
            return expect(235, answer);
        }
        quirks.no_plain.store(true, Ordering::Relaxed);
    }
    if by_login {
        return expect(235, by_challenges(session, login, timeouts).await?);
    }
    Err(Fault::new(RelayFault::Auth, "the relay offers none of the AUTH mechanisms that are to be used"))
}

/// With the response in the first line; again in a second one, if that is asked for and there is no other mechanism.
async fn plain(
    session: &mut Session<Stream>,
    login: &Login,
    has_other: bool,
    timeouts: &Timeouts,
) -> Result<Answer, Fault> {
    // Leaves the authorization identity empty (RFC 4616): the server derives it from the user.
    let response = STANDARD.encode(format!("\0{}\0{}", login.user, login.password.expose_secret()));
    let answer = session.ask(&format!("AUTH PLAIN {response}\r\n"), timeouts).await?;
    match answer.code {
        334 if has_other => {
            // A lone * cancels the exchange (RFC 4954 section 4), so that another mechanism can begin.
            session.ask("*\r\n", timeouts).await?;
            Ok(answer)
        }
        334 => Ok(session.ask(&format!("{response}\r\n"), timeouts).await?),
        _ => Ok(answer),
    }
}

async fn by_challenges(
    session: &mut Session<Stream>,
    login: &Login,
    timeouts: &Timeouts,
) -> Result<Answer, Fault> {
    // Does not read the challenges: servers word them differently and ask in this order.
    expect(334, session.ask("AUTH LOGIN\r\n", timeouts).await?)?;
    let user = STANDARD.encode(&login.user);
    expect(334, session.ask(&format!("{user}\r\n"), timeouts).await?)?;
    let password = STANDARD.encode(login.password.expose_secret());
    Ok(session.ask(&format!("{password}\r\n"), timeouts).await?)
}

fn expect(code: u16, answer: Answer) -> Result<(), Fault> {
    if answer.code == code { Ok(()) } else { Err(Fault::refused(RelayFault::Auth, answer)) }
}

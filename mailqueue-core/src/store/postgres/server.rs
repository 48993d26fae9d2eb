//! Whether a server can be trusted with mail.

use super::error;
use super::session::Session;
use crate::contracts::store::StoreError;

const SETTINGS: &str = "SELECT current_setting('server_encoding')";

/// Refuses a database that has not every character.
pub(super) async fn check(session: &mut Session) -> Result<(), StoreError> {
    let answer = session.simply(SETTINGS).await.map_err(error::outcome)?;
    let values: Vec<&str> = answer.iter().flatten().map(|value| value.as_deref().unwrap_or("")).collect();
    let [encoding, ..] = values[..] else {
        return Err(StoreError::Unavailable("the server does not tell its settings".to_owned()));
    };
    if encoding != "UTF8" {
        let words = format!("the database's encoding is {encoding}; mail needs one whose encoding is UTF8");
        return Err(StoreError::Refused(words));
    }
    Ok(())
}

//! The settings of a server that mail depends on.

use super::error;
use super::session::Session;
use crate::contracts::store::StoreError;
use crate::telemetry;

const SETTINGS: &str = "SELECT current_setting('server_encoding'), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('synchronous_commit')";

/// Refuses a database that has not every character, and one that forgets what it has committed when the power fails.
/// With `allow_unsafe` the latter is said once and shown by a gauge.
pub(super) async fn check(session: &mut Session, allow_unsafe: bool) -> Result<(), StoreError> {
    let answer = session.simple_query(SETTINGS).await.map_err(error::outcome)?;
    let values: Vec<&str> = answer.iter().flatten().map(|value| value.as_deref().unwrap_or("")).collect();
    let [encoding, durable @ ..] = &values[..] else {
        return Err(StoreError::Unavailable("the server does not tell its settings".into()));
    };
    if *encoding != "UTF8" {
        let words = format!("the database's encoding is {encoding}; mail needs one whose encoding is UTF8");
        return Err(StoreError::Refused(words.into()));
    }
    let names = ["fsync", "full_page_writes", "synchronous_commit"];
    let off: Vec<&str> =
        // Every other value of synchronous_commit waits for the local disk.
        names.into_iter().zip(durable).filter(|(_, value)| **value == "off").map(|(name, _)| name).collect();
    telemetry::database_checked(off.is_empty());
    if off.is_empty() {
        return Ok(());
    }
    let off = off.join(" and ");
    if !allow_unsafe {
        return Err(StoreError::Refused(format!(
            "the database server has {off} off and may lose accepted mail in a crash; switch it on, or set \
             `allow_unsafe`"
        ).into()));
    }
    tracing::warn!(
        event = "store.unsafe",
        off,
        "the database server may lose accepted mail in a crash, which is allowed by the settings"
    );
    Ok(())
}

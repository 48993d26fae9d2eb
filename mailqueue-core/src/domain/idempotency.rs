//! The key that makes handing something in again harmless.

/// Whether a text can be an idempotency key, for one message as for many: 1 to 256 printable ASCII characters.
///
/// # Errors
///
/// A sentence that says what would be right.
pub fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > 256 || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err("must have 1 to 256 printable ASCII characters".into());
    }
    Ok(())
}

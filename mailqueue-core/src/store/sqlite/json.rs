//! Lists and small structs in a column, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::unreadable;
use crate::contracts::store::StoreError;

/// A column's text.
pub(super) fn write<T: Serialize + ?Sized>(column: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|_| StoreError::Refused(format!("{column} cannot be written as JSON").into()))
}

/// The value of a column's text.
pub(super) fn read<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable::json(column, &error))
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use crate::domain::recipient::Recipient;

    #[test]
    fn an_error_repeats_nothing_of_the_text() {
        let fault = read::<Vec<Recipient>>("recipients", r#"[{"address":"ana@","status":"queued"}]"#);
        let text = fault.expect_err("no address").to_string();
        assert!(text.contains("recipients") && !text.contains("ana"), "{text}");
    }

    #[test]
    fn written_json_can_be_read() {
        let recipients = vec![Recipient::new("ana@example.org".parse().expect("an address"))];
        let text = write("recipients", &recipients).expect("it can be written");
        assert_eq!(read::<Vec<Recipient>>("recipients", &text).expect("it can be read"), recipients);
    }
}

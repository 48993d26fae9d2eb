//! The bodies of a message: kept in its rendered bytes, and in rows of the first versions beside them as well.

use crate::contracts::store::StoreError;
use crate::domain::rendered_text::{Bodies, bodies};

/// The columns that hold the bodies of a message.
#[derive(Debug, Default)]
pub(super) struct BodyColumns {
    /// The columns of rows that the first versions wrote: `emails.body_text` and `emails.body_html`.
    pub(super) kept_apart: Bodies,
    /// `emails.raw`; `None` where retention has taken it or where it was not read.
    pub(super) raw: Option<Vec<u8>>,
    /// `emails.line_ends`.
    pub(super) line_ends: Option<String>,
}

impl BodyColumns {
    /// The size of what has to be gone through to read the bodies.
    #[cfg(feature = "postgres")]
    pub(super) fn octets(&self) -> usize {
        self.raw.as_ref().map_or(0, Vec::len)
    }

    /// The text and the HTML as they were submitted, and the rendered message.
    pub(super) fn read(self) -> Result<(Bodies, Option<Vec<u8>>), StoreError> {
        let read = match &self.raw {
            Some(raw) if self.kept_apart == Bodies::default() => {
                let told = bodies(raw, self.line_ends.as_deref());
                told.ok_or_else(|| StoreError::Unreadable("emails.raw: no text and no HTML".into()))?
            }
            _ => self.kept_apart,
        };
        Ok((read, self.raw))
    }
}

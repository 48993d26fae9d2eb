//! The words and the cause of an error.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The message of an error, and the error of a driver that it comes of, where there is one.
///
/// The message never holds message data. `Debug` leaves the source out, since a log may be written with it.
#[derive(Clone)]
pub struct ErrorDetail {
    message: Box<str>,
    // Shared, since one error answers every caller of a batch.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ErrorDetail {
    /// The text of an error that cannot quote a row, with that error as the source.
    #[must_use]
    pub fn of(source: impl Error + Send + Sync + 'static) -> Self {
        Self::from(source.to_string()).with_source(source)
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same message with the error it comes of. A source that can quote a row does not belong here.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// The error it comes of, in the shape of [`Error::source`].
    pub(crate) fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<String> for ErrorDetail {
    fn from(message: String) -> Self {
        Self { message: message.into(), source: None }
    }
}

impl From<&str> for ErrorDetail {
    fn from(message: &str) -> Self {
        Self { message: message.into(), source: None }
    }
}

impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.message, f)
    }
}

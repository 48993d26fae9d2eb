//! The faults of a message that was handed in.

use std::fmt;

use serde::Serialize;

/// One fault in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The place of the fault, as a JSON pointer (RFC 6901) into the submitted message: `/to/0`.
    pub pointer: String,
    /// A sentence that says what would be right. It never repeats what was sent.
    pub detail: String,
}

impl FieldError {
    /// A fault at a pointer.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The same fault, of the `n`-th of several messages.
    #[must_use]
    pub fn within(mut self, n: usize) -> Self {
        self.pointer.insert_str(0, &format!("/{n}"));
        self
    }
}

/// A message that cannot be accepted, with every fault that was found in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ValidationError {
    /// At least one fault, in the order of the fields.
    pub faults: Vec<FieldError>,
}

impl From<FieldError> for ValidationError {
    fn from(fault: FieldError) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", fault.pointer, fault.detail)?;
        }
        Ok(())
    }
}

/// Collects faults while a message is checked, so that all are named at once.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes a fault.
    pub(crate) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// Takes the value, or notes the error in its place.
    pub(crate) fn take<T>(
        &mut self,
        pointer: impl FnOnce() -> String,
        value: Result<T, impl ToString>,
    ) -> Option<T> {
        value.map_err(|detail| self.add(pointer(), detail.to_string())).ok()
    }

    /// `Ok` iff nothing was noted.
    pub(crate) fn into_result(self) -> Result<(), ValidationError> {
        if self.0.is_empty() { Ok(()) } else { Err(ValidationError { faults: self.0 }) }
    }
}

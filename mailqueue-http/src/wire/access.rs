//! Rights that operations ask for.

/// The right that an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To hand mail over.
    Send,
    /// To see mail.
    Read,
    /// To change what becomes of mail.
    Change,
}

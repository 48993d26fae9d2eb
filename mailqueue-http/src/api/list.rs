//! A page of a list.

use serde::Serialize;

/// The body of a response that lists something.
#[derive(Serialize)]
pub(super) struct List<T> {
    object: &'static str,
    has_more: bool,
    data: Vec<T>,
}

impl<T> List<T> {
    /// A page; `has_more` says whether entries follow in the direction that was asked for.
    pub(super) fn new(has_more: bool, data: Vec<T>) -> Self {
        Self { object: "list", has_more, data }
    }
}

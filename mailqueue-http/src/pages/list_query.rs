//! The list that an address asks for.

use mailqueue_core::MessageId;
use mailqueue_core::domain::search::{Search, SearchError};
use serde::Serialize;
use time::OffsetDateTime;

use crate::api::query::parse_id;
use crate::wire::urlencoded;

/// The number of messages on a page that names none.
const DEFAULT_LISTED: usize = 50;

/// The largest number of messages on a page.
pub(super) const MAX_LISTED: usize = 100;

/// The list that an address asks for.
pub(super) struct Query {
    /// The search as it was typed.
    pub(super) text: String,
    /// The search, or what is wrong with it.
    pub(super) search: Result<Search, SearchError>,
    /// The message after which it begins.
    pub(super) after: Option<MessageId>,
    /// The number of messages on a page.
    pub(super) limit: usize,
    /// What a change before has led to.
    pub(super) changed: Option<ChangedView>,
}

/// The result of a change of several messages.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct ChangedView {
    pub(super) changed: usize,
    pub(super) refused: usize,
}

impl Query {
    /// True for a search by what stands in the header of a message.
    pub(super) fn asks_headers(&self) -> bool {
        self.search.as_ref().is_ok_and(|search| {
            search.to.is_some() || search.from.is_some() || search.subject.is_some() || search.tag.is_some()
        })
    }

    /// Reads a query leniently: a person may have typed it, and a page helps better than an error does.
    pub(super) fn read(query: &str, now: OffsetDateTime) -> Self {
        let pairs: Vec<_> = urlencoded::pairs(query.as_bytes()).filter_map(Result::ok).collect();
        let value =
            |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let number = |name: &str| value(name).and_then(|value| value.parse::<usize>().ok());
        let mut text = value("q").unwrap_or_default().trim().to_owned();
        // Links that name a field alone are read as the search that says the same.
        for name in ["status", "to"] {
            if let Some(value) = value(name).filter(|value| !value.is_empty()) {
                text = format!("{text} {name}:{value}").trim().to_owned();
            }
        }
        let changed = number("changed").zip(number("refused"));
        Self {
            search: Search::parse(&text, now),
            text,
            after: value("after").and_then(parse_id),
            limit: number("limit").map_or(DEFAULT_LISTED, |limit| limit.clamp(1, MAX_LISTED)),
            changed: changed.map(|(changed, refused)| ChangedView { changed, refused }),
        }
    }
}

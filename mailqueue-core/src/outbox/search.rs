//! Finding messages by what people write.

use super::Outbox;
use crate::contracts::store::{Cursor, Filter, Listed, StoreError};
use crate::domain::id::MessageId;
use crate::domain::search::Search;

/// The messages that one page of a search asks the store for at once.
const PAGE: usize = 200;

/// The most messages that one page of a search looks at.
const MAX_SEARCHED: usize = 50_000;

/// A page of what was found, newest first.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The messages. One that cannot be read is among them where its status fits and nothing else is asked for.
    pub records: Vec<Listed>,
    /// Where to go on; `None` when there are no more. A page can be short or empty although there are more.
    pub next: Option<MessageId>,
}

impl Outbox {
    /// The next at most `limit` messages that `search` chooses, older than `after`, newest first. It looks at 50,000
    /// messages at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn search(
        &self,
        search: &Search,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        if let Some(id) = search.id {
            return self.search_one(search, id, after).await;
        }
        let (mut found, mut searched) = (Found::default(), 0);
        let mut cursor = after.map_or(Cursor::Newest, Cursor::After);
        let asked = if looks_once_more(search) { PAGE } else { limit.clamp(1, PAGE) };
        loop {
            let filter = filter(search, cursor, asked);
            // A page for which the store looks at each message has looked at its own limit.
            searched += filter.searched().unwrap_or(asked);
            let page = self.list(filter).await?;
            for listed in page.records {
                let (id, fits) = judge(search, &listed);
                if fits {
                    found.records.push(listed);
                }
                if found.records.len() >= limit {
                    return Ok(Found { next: Some(id), ..found });
                }
            }
            match page.next.filter(|_| page.has_more) {
                Some(next) if searched < MAX_SEARCHED => cursor = Cursor::After(next),
                next => return Ok(Found { next, ..found }),
            }
        }
    }

    async fn search_one(
        &self,
        search: &Search,
        id: MessageId,
        after: Option<MessageId>,
    ) -> Result<Found, StoreError> {
        if after.is_some_and(|after| id >= after) {
            return Ok(Found::default());
        }
        let record = self.get(id).await?.filter(|record| search.matches(record));
        Ok(Found { records: record.into_iter().map(Ok).collect(), next: None })
    }
}

/// True if the store chooses more than the search does.
fn looks_once_more(search: &Search) -> bool {
    let is_domain = |wanted: &Option<String>| wanted.as_ref().is_some_and(|wanted| wanted.starts_with('@'));
    search.reason.is_some() || is_domain(&search.to) || is_domain(&search.from)
}

/// The part of a search that the store does. It may choose more than the search: that looks at each message once more.
fn filter(search: &Search, cursor: Cursor, limit: usize) -> Filter {
    // A domain is looked for message by message.
    let address = |wanted: &Option<String>| wanted.clone().filter(|wanted| !wanted.starts_with('@'));
    Filter {
        status: search.status,
        to: address(&search.to),
        from: address(&search.from),
        subject: search.subject.clone(),
        tag: search.tag.clone(),
        lane: search.lane,
        accepted_from: search.after.map(|after| after.saturating_sub(CLOCK_SLACK)),
        accepted_before: search.before.map(|before| before.saturating_add(CLOCK_SLACK)),
        cursor,
        limit,
        ..Filter::default()
    }
}

/// The id of a message, and whether it is chosen.
fn judge(search: &Search, listed: &Listed) -> (MessageId, bool) {
    match listed {
        Ok(record) => (record.id, search.matches(record)),
        Err((partial, _)) => {
            let only_status = Search { status: search.status, ..Search::default() };
            (
                partial.id,
                *search == only_status && search.status.is_none_or(|status| status == partial.status),
            )
        }
    }
}

/// How far the time in an id, which is of the submitter's clock, is off the store's at most.
const CLOCK_SLACK: time::Duration = time::Duration::seconds(2);

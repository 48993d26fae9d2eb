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
        let mut cursor =
            after.or_else(|| search.before.map(newest_before)).map_or(Cursor::Newest, Cursor::After);
        loop {
            let page = self.list(filter(search, cursor)).await?;
            // A page for which the store looks at each message has looked at its own limit.
            searched += if page.records.len() < PAGE { Filter::SEARCHED } else { PAGE };
            for listed in page.records {
                let (id, fits) = judge(search, &listed);
                if is_older(search, id) {
                    return Ok(Found { next: None, ..found });
                }
                if fits {
                    found.records.push(listed);
                }
                if found.records.len() >= limit {
                    return Ok(Found { next: Some(id), ..found });
                }
            }
            let next = page.next.filter(|&next| page.has_more && !is_older(search, next));
            match next {
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

/// The part of a search that the store does.
fn filter(search: &Search, cursor: Cursor) -> Filter {
    Filter {
        status: search.status,
        // A domain is looked for message by message.
        to: search.to.clone().filter(|to| !to.starts_with('@')),
        subject: search.subject.clone(),
        cursor,
        limit: PAGE,
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

/// An id after which, in the order of a list, all messages are that were accepted before `time`.
fn newest_before(time: time::OffsetDateTime) -> MessageId {
    MessageId::first_at(time + CLOCK_SLACK)
}

/// True if a message was accepted before all that is asked for, as far as its id tells.
fn is_older(search: &Search, id: MessageId) -> bool {
    let Some(after) = search.after else { return false };
    id.made_at().is_some_and(|made_at| made_at < after - CLOCK_SLACK)
}

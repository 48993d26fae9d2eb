//! Lists of messages.
//!
//! The cost of a page does not grow with the number of messages. A status that few have is found by an index. For
//! anything else the page looks at the next messages, a bounded number of them.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Binary;

use super::delivery;
use super::error::outcome;
use super::job::Transaction;
use super::read::{BY_TENANT, COLUMNS, TABLES};
use super::record::RecordRow;
use super::statement::{Statement, sql};
use crate::contracts::store::{Cursor, Filter, Page, StoreError};
use crate::domain::address::Address;
use crate::domain::status::Status;

const NO_BODIES: &str = ", NULL AS body_text, NULL AS body_html, NULL AS raw, NULL AS line_ends";
/// As it stands in the index: SQLite uses a partial index only where its condition is written alike.
const SENDING: &str = " AND d.status = 'sending'";
/// Likewise.
const ENDED: &str = " AND d.status IN ('failed', 'cancelled', 'unknown') AND d.status = ?";
const OLDER: &str = " AND d.email_id < ?";
const NEWER: &str = " AND d.email_id > ?";
const NEWEST_FIRST: &str = " ORDER BY d.email_id DESC LIMIT ?";
const OLDEST_FIRST: &str = " ORDER BY d.email_id LIMIT ?";

const AMONG: &str = "SELECT * FROM (";
const THOSE: &str = ") AS s WHERE TRUE";
const BY_STATUS: &str = " AND s.status = ?";
const BY_RECIPIENT: &str =
    " AND EXISTS (SELECT 1 FROM json_each(s.recipients) r WHERE r.value ->> '$.address' = ?)";
const BY_SUBJECT: &str = " AND contains_folded(s.subject, ?)";
const FIRST: &str = " LIMIT ?";

const ID: &str = "SELECT d.email_id";
const LAST: &str = " OFFSET ?";

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Binary)]
    email_id: Vec<u8>,
}

/// A page of messages.
pub(super) fn list(transaction: &mut Transaction<'_>, filter: &Filter) -> Result<Page, StoreError> {
    let limit = Page::rows_for(filter.limit);
    let Some((sieve, is_search)) = sieve(filter) else { return Ok(Page::default()) };
    if !is_search {
        return Ok(page(transaction, filter, sieve, limit)?.0);
    }
    // Both statements see the same messages: `next` is wrong otherwise.
    transaction.connection.batch_execute("BEGIN").map_err(outcome)?;
    let searched = search(transaction, filter, sieve);
    transaction.connection.batch_execute("COMMIT").map_err(outcome)?;
    searched
}

/// A page out of the next messages, and where the search has come to.
fn search(
    transaction: &mut Transaction<'_>,
    filter: &Filter,
    sieve: Statement<'_>,
) -> Result<Page, StoreError> {
    let searched = Filter::SEARCHED.max(Page::rows_for(filter.limit));
    let (page, is_full) = page(transaction, filter, sieve, searched)?;
    if is_full {
        return Ok(page);
    }
    let last = candidates(sql!(ID), filter, 1).then(sql!(LAST, searched - 1));
    let last: Option<Last> = last.get_result(transaction.connection).optional().map_err(outcome)?;
    let last = last.map(|row| delivery::id(&row.email_id)).transpose()?;
    Ok(page.searched_to(last))
}

/// A page out of the next `searched` messages, and whether it is full.
fn page(
    transaction: &mut Transaction<'_>,
    filter: &Filter,
    sieve: Statement<'_>,
    searched: usize,
) -> Result<(Page, bool), StoreError> {
    let limit = Page::rows_for(filter.limit);
    let next = candidates(sql!(COLUMNS).then(sql!(NO_BODIES)), filter, searched);
    let select = sql!(AMONG).then(next).then(sieve).then(sql!(FIRST, limit));
    let rows: Vec<RecordRow> = select.load(transaction.connection).map_err(outcome)?;
    let is_full = rows.len() >= limit;
    Ok((Page::from_rows(rows, filter.cursor, filter.limit, RecordRow::listed)?, is_full))
}

/// The next messages in the direction of the page.
fn candidates<'f>(columns: Statement<'f>, filter: &'f Filter, most: usize) -> Statement<'f> {
    let mut select = columns.then(sql!(TABLES));
    if let Some(tenant) = &filter.tenant {
        select = select.then(sql!(BY_TENANT, tenant.as_str()));
    }
    select = match filter.rare_status() {
        None => select,
        Some(Status::Sending) => select.then(sql!(SENDING)),
        Some(status) => select.then(sql!(ENDED, status.as_str())),
    };
    match filter.cursor {
        Cursor::Newest => select.then(sql!(NEWEST_FIRST, most)),
        Cursor::After(id) => select.then(sql!(OLDER, id)).then(sql!(NEWEST_FIRST, most)),
        Cursor::Before(id) => select.then(sql!(NEWER, id)).then(sql!(OLDEST_FIRST, most)),
    }
}

/// The conditions that no index tells, and whether there are any; `None` when no message can meet them.
fn sieve(filter: &Filter) -> Option<(Statement<'_>, bool)> {
    let mut sieve = sql!(THOSE);
    if let Some(status) = filter.common_status() {
        sieve = sieve.then(sql!(BY_STATUS, status.as_str()));
    }
    if let Some(to) = &filter.to {
        // As it is kept: the domain in lower case, as A-labels.
        let address: Address = to.parse().ok()?;
        sieve = sieve.then(sql!(BY_RECIPIENT, String::from(address)));
    }
    if let Some(subject) = &filter.subject {
        sieve = sieve.then(sql!(BY_SUBJECT, subject.to_lowercase()));
    }
    let is_search = filter.common_status().is_some() || filter.to.is_some() || filter.subject.is_some();
    Some((sieve, is_search))
}

//! Lists of messages.
//!
//! The cost of a page does not grow with the number of messages. A status that few have and a recipient are found by an
//! index. For anything else the page looks at the next messages, a bounded number of them.

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
use crate::domain::status::Status;

const NO_BODIES: &str = ", NULL AS body_text, NULL AS body_html, NULL AS raw, NULL AS line_ends";
/// As it stands in the index: SQLite uses a partial index only where its condition is written alike.
const SENDING: &str = " AND d.status = 'sending'";
/// Likewise.
const ENDED: &str = " AND d.status IN ('failed', 'cancelled', 'unknown') AND d.status = ?";
/// Read in the order of `addressees`, from which the planner would otherwise stray.
const TO: &str = " FROM addressees a CROSS JOIN emails e ON e.id = a.email_id
    CROSS JOIN deliveries d ON d.email_id = a.email_id WHERE a.address = ?";
const AND: &str = " AND ";
const OLDER: &str = " < ?";
const FROM: &str = " >= ?";
const NEWER: &str = " > ?";
const ORDER: &str = " ORDER BY ";
const NEWEST_FIRST: &str = " DESC LIMIT ?";
const OLDEST_FIRST: &str = " ASC LIMIT ?";

const AMONG: &str = "SELECT * FROM (";
const THOSE: &str = ") AS s WHERE TRUE";
const OF_TENANT: &str = " AND s.tenant = ?";
const BY_STATUS: &str = " AND s.status = ?";
const BY_SUBJECT: &str = " AND contains_folded(s.subject, ?)";
/// A row that somebody has edited, so that its JSON cannot be read, has no sender and no tags: an error would end the page.
/// CASE alone says in which order its parts are looked at.
const BY_SENDER: &str = " AND instr(
    '<' || (CASE WHEN json_valid(s.people) THEN s.people ->> '$.from' END) || '>', '<' || ? || '>') > 0";
const BY_TAG: &str = " AND EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(s.tags) THEN s.tags ELSE '[]' END) t
    WHERE CASE t.type WHEN 'object' THEN t.value ->> '$.name' END = ?)";
const BY_TAG_AND_VALUE: &str = " AND EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(s.tags) THEN s.tags ELSE '[]' END) t
    WHERE CASE t.type WHEN 'object' THEN t.value ->> '$.name' END = ?
        AND CASE t.type WHEN 'object' THEN t.value ->> '$.value' END = ?)";
const BY_LANE: &str = " AND s.lane = ?";
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
    let Some(filter) = filter.clone().as_kept() else { return Ok(Page::default()) };
    let list = List { filter: &filter };
    let Some(searched) = filter.searched() else {
        return list.page(transaction, Page::rows_for(filter.limit));
    };
    // Both statements see the same messages: `next` is wrong otherwise.
    transaction.connection.batch_execute("BEGIN").map_err(outcome)?;
    let page = list.search(transaction, searched);
    transaction.connection.batch_execute("COMMIT").map_err(outcome)?;
    page
}

/// A list by a filter whose addresses are as they are kept.
struct List<'f> {
    filter: &'f Filter,
}

impl List<'_> {
    /// A page out of the next `searched` messages, and where the search has come to.
    fn search(&self, transaction: &mut Transaction<'_>, searched: usize) -> Result<Page, StoreError> {
        let page = self.page(transaction, searched)?;
        if page.has_more {
            return Ok(page);
        }
        let last = self.candidates(sql!(ID), 1).then(sql!(LAST, searched - 1));
        let last: Option<Last> = last.get_result(transaction.connection).optional().map_err(outcome)?;
        let last = last.map(|row| delivery::id(&row.email_id)).transpose()?;
        Ok(page.searched_to(last))
    }

    /// A page out of the next `most` messages.
    fn page(&self, transaction: &mut Transaction<'_>, most: usize) -> Result<Page, StoreError> {
        let Filter { cursor, limit, .. } = *self.filter;
        let next = self.candidates(sql!(COLUMNS).then(sql!(NO_BODIES)), most);
        let first = sql!(FIRST, Page::rows_for(limit));
        let select = sql!(AMONG).then(next).then(self.sieve()).then(first);
        let rows: Vec<RecordRow> = select.load(transaction.connection).map_err(outcome)?;
        Page::from_rows(rows, cursor, limit, RecordRow::listed)
    }

    /// The next messages in the direction of the page.
    fn candidates<'s>(&'s self, columns: Statement<'s>, most: usize) -> Statement<'s> {
        let (mut select, id) = self.source(columns);
        let id = || Statement::of(id, Vec::new());
        let (lowest, highest) = self.filter.ids();
        if let Some(lowest) = lowest {
            select = select.then(sql!(AND)).then(id()).then(sql!(FROM, lowest));
        }
        if let Some(highest) = highest {
            select = select.then(sql!(AND)).then(id()).then(sql!(OLDER, highest));
        }
        let select = match self.filter.cursor {
            Cursor::Newest => select,
            Cursor::After(last) => select.then(sql!(AND)).then(id()).then(sql!(OLDER, last)),
            Cursor::Before(first) => select.then(sql!(AND)).then(id()).then(sql!(NEWER, first)),
        };
        let select = select.then(sql!(ORDER)).then(id());
        select.then(match self.filter.cursor.is_backwards() {
            false => sql!(NEWEST_FIRST, most),
            true => sql!(OLDEST_FIRST, most),
        })
    }

    /// The messages that one index finds, and the id of that index: in the order of another table's, all of them would be
    /// sorted.
    fn source<'s>(&'s self, columns: Statement<'s>) -> (Statement<'s>, &'static str) {
        match (&self.filter.to, self.filter.rare_status(), &self.filter.tenant) {
            (Some(to), ..) => (columns.then(sql!(TO, to.as_str())), "a.email_id"),
            (None, Some(Status::Sending), _) => {
                (columns.then(sql!(TABLES)).then(sql!(SENDING)), "d.email_id")
            }
            (None, Some(status), _) => {
                (columns.then(sql!(TABLES)).then(sql!(ENDED, status.as_str())), "d.email_id")
            }
            (None, None, Some(tenant)) => {
                (columns.then(sql!(TABLES)).then(sql!(BY_TENANT, tenant.as_str())), "e.id")
            }
            (None, None, None) => (columns.then(sql!(TABLES)), "d.email_id"),
        }
    }

    /// The conditions that no index tells.
    fn sieve(&self) -> Statement<'_> {
        let mut sieve = sql!(THOSE);
        if let (Some(tenant), Some(_)) = (&self.filter.tenant, &self.filter.to) {
            sieve = sieve.then(sql!(OF_TENANT, tenant.as_str()));
        }
        if let Some(status) = self.filter.common_status() {
            sieve = sieve.then(sql!(BY_STATUS, status.as_str()));
        }
        if let Some(from) = &self.filter.from {
            sieve = sieve.then(sql!(BY_SENDER, from.as_str()));
        }
        if let Some(subject) = &self.filter.subject {
            sieve = sieve.then(sql!(BY_SUBJECT, subject.to_lowercase()));
        }
        match &self.filter.tag {
            None => {}
            Some((name, None)) => sieve = sieve.then(sql!(BY_TAG, name.as_str())),
            Some((name, Some(value))) => {
                sieve = sieve.then(sql!(BY_TAG_AND_VALUE, name.as_str(), value.as_str()));
            }
        }
        if let Some(lane) = self.filter.lane {
            sieve = sieve.then(sql!(BY_LANE, lane.as_str()));
        }
        sieve
    }
}

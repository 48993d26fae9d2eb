//! Lists of messages.
//!
//! The cost of a page does not grow with the number of messages. A status that few have and a recipient are found by an
//! index. For anything else the page looks at the next messages, a bounded number of them.
//!
//! A page reads ids in their order from one index, and each message by its id. The server is kept from any other plan: to
//! read two tables in the order of the ids is cheaper on paper and reads all messages that are newer than the page.

use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use serde_json::json;
use uuid::Uuid;

use super::super::bodies::BodyColumns;
use super::delivery::{DeliveryColumns, DeliveryRow, delivery_columns};
use super::error::Failure;
use super::record::{RecordColumns, RecordRow, record_columns};
use super::session::Session;
use super::statement::{Bind, Select, rows};
use crate::contracts::store::{Cursor, Filter, Page};
use crate::domain::id::MessageId;

/// Both statements of a search see the same messages: `next` is wrong otherwise. Without sorting, ids are read in the order
/// of their index, also where the server expects few: its statistics do not know every recipient, nor a table that has
/// just been filled.
const SETTINGS: &str =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL enable_sort = off";

const EMAIL: &str = " CROSS JOIN LATERAL (SELECT * FROM emails WHERE id = next.id LIMIT 1) AS e";
const DELIVERY: &str = " CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE email_id = next.id LIMIT 1) AS d";

/// A page of messages, newest first.
pub(super) async fn list(connection: &mut Session, filter: Filter) -> Result<Page, Failure> {
    let Some(filter) = filter.as_kept() else { return Ok(Page::default()) };
    let list = List { filter };
    connection
        .transaction(async move |connection| {
            connection.batch_execute(SETTINGS).await?;
            list.read(connection).await
        })
        .await
}

/// A list by a filter whose addresses are as they are kept.
struct List {
    filter: Filter,
}

impl List {
    /// A page and, where it may not show all that it looks at, the place that it has come to.
    async fn read(&self, connection: &mut Session) -> Result<Page, Failure> {
        let Some(searched) = self.filter.searched() else {
            return self.page(connection, Page::rows_for(self.filter.limit)).await;
        };
        let page = self.page(connection, searched).await?;
        if page.has_more {
            return Ok(page);
        }
        let last = self.next(Select::new(), 1).then(" OFFSET ?", Bind::Number(rows(searched) - 1));
        let last: Vec<Uuid> = last.returning::<SqlUuid>().load(connection).await?;
        Ok(page.searched_to(last.into_iter().next().map(MessageId::from)))
    }

    /// A page out of the next `most` messages.
    async fn page(&self, connection: &mut Session, most: usize) -> Result<Page, Failure> {
        let Filter { cursor, limit, .. } = self.filter;
        let select =
            Select::new().and(concat!("SELECT ", record_columns!(), ", ", delivery_columns!(), " FROM ("));
        // What the sieve needs comes first: the rest is read of the messages alone that pass.
        let [first, then] = if self.filter.subject.is_some() { [EMAIL, DELIVERY] } else { [DELIVERY, EMAIL] };
        let select = self.next(select, most).and(") AS next").and(first).and(then).and(" WHERE TRUE");
        let select = self.sieve(select).and(" ORDER BY next.id").and(self.order());
        let select = select.then(" LIMIT ?", Bind::Number(rows(Page::rows_for(limit))));
        let found: Vec<(RecordRow, DeliveryRow)> =
            select.returning::<(RecordColumns, DeliveryColumns)>().load(connection).await?;
        Page::from_rows(found, cursor, limit, |(row, state)| {
            let partial = row.partial(&state);
            Ok(row.into_record(state, BodyColumns::default()).map_err(|error| (partial, error)))
        })
    }

    /// The ids of the next messages in the direction of the page, as many as `most`.
    fn next(&self, select: Select, most: usize) -> Select {
        let (mut select, id) = self.source(select);
        let (lowest, highest) = self.filter.ids();
        if let Some(lowest) = lowest {
            select = select.and(" AND ").and(id).then(" >= ?", Bind::Id(lowest.as_uuid()));
        }
        if let Some(highest) = highest {
            select = select.and(" AND ").and(id).then(" < ?", Bind::Id(highest.as_uuid()));
        }
        let select = match self.filter.cursor {
            Cursor::Newest => select,
            Cursor::After(last) => select.and(" AND ").and(id).then(" < ?", Bind::Id(last.as_uuid())),
            Cursor::Before(first) => select.and(" AND ").and(id).then(" > ?", Bind::Id(first.as_uuid())),
        };
        select.and(" ORDER BY ").and(id).and(self.order()).then(" LIMIT ?", Bind::Number(rows(most)))
    }

    /// The ids that one index finds, and the name of its column.
    fn source(&self, select: Select) -> (Select, &'static str) {
        match (&self.filter.to, self.filter.rare_status(), &self.filter.tenant) {
            (Some(to), ..) => {
                let those = "SELECT email_id AS id FROM addressees WHERE address = ?";
                (select.then(those, Bind::Text(to.clone())), "email_id")
            }
            (None, Some(status), _) => {
                let those = "SELECT email_id AS id FROM deliveries WHERE status = ?";
                (select.then(those, Bind::Text(status.as_str().to_owned())), "email_id")
            }
            (None, None, Some(tenant)) => {
                (select.then("SELECT id FROM emails WHERE tenant = ?", Bind::Text(tenant.clone())), "id")
            }
            (None, None, None) => (select.and("SELECT id FROM emails WHERE TRUE"), "id"),
        }
    }

    /// The conditions that the index does not tell.
    fn sieve(&self, mut select: Select) -> Select {
        if let (Some(tenant), Some(_)) = (&self.filter.tenant, &self.filter.to) {
            select = select.then(" AND e.tenant = ?", Bind::Text(tenant.clone()));
        }
        if let Some(status) = self.filter.common_status() {
            select = select.then(" AND d.status = ?", Bind::Text(status.as_str().to_owned()));
        }
        if let Some(from) = &self.filter.from {
            // A mailbox is kept as its address, or as a name and the address in angle brackets.
            let sender = " AND strpos('<' || (e.people ->> 'from') || '>', '<' || ? || '>') > 0";
            select = select.then(sender, Bind::Text(from.clone()));
        }
        if let Some(lane) = self.filter.lane {
            select = select.then(" AND d.lane = ?", Bind::Text(lane.as_str().to_owned()));
        }
        if let Some((name, value)) = &self.filter.tag {
            let tag = match value {
                Some(value) => json!([{ "name": name, "value": value }]),
                None => json!([{ "name": name }]),
            };
            select = select.then(" AND e.tags @> ?::jsonb", Bind::Text(tag.to_string()));
        }
        if let Some(subject) = &self.filter.subject {
            select = select.then(" AND strpos(lower(e.subject), lower(?)) > 0", Bind::Text(subject.clone()));
        }
        select
    }

    fn order(&self) -> &'static str {
        if self.filter.cursor.is_backwards() { " ASC" } else { " DESC" }
    }
}

//! Keeping what is submitted.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use futures_util::future::join_all;

use super::error::outcome;
use super::job::Transaction;
use super::json;
use super::space::Space;
use super::statement::sql;
use super::thread::ConnectionThread;
use super::time::{later, micros};
use crate::contracts::store::{Idempotency, Inserted, NewMessage, StoreError, Submission};
use crate::domain::delivery::Delivery;
use crate::domain::id::MessageId;
use crate::domain::record::Participants;
use crate::domain::rendered_text::line_ends;

/// What a message's columns hold as JSON: written by the caller, so that the one thread that writes need not.
struct Columns {
    people: String,
    headers: String,
    tags: String,
    attachments: String,
    recipients: String,
    line_ends: Option<String>,
}

impl Columns {
    fn of(new: &NewMessage) -> Result<Self, StoreError> {
        let message = &new.message;
        let attachments: Vec<_> = message.attachments.iter().map(|file| file.summary()).collect();
        Ok(Self {
            people: json::write("emails.people", &Participants::of(message))?,
            headers: json::write("emails.headers", &message.headers)?,
            tags: json::write("emails.tags", &message.tags)?,
            attachments: json::write("emails.attachments", &attachments)?,
            recipients: json::write("deliveries.recipients", &Delivery::new(message.envelope()).recipients)?,
            line_ends: line_ends(message),
        })
    }
}

/// Inserts submissions, each in a part of a transaction of its own; none while the file system has no space for them.
pub(super) async fn insert(
    writer: &ConnectionThread,
    space: &Space,
    submissions: Vec<Arc<Submission>>,
) -> Vec<Result<Inserted, StoreError>> {
    let octets = submissions.iter().map(|submission| submission.size()).sum();
    // Measured for all together: each alone could fit where all do not.
    if !space.admits(octets) {
        let full = StoreError::NoSpace("its file system is nearly full".into());
        return vec![Err(full); submissions.len()];
    }
    join_all(submissions.into_iter().map(|submission| {
        let octets = submission.size();
        let columns: Result<Vec<_>, _> = submission.messages.iter().map(Columns::of).collect();
        // In the queue now, not when polled, so that the writer finds them together.
        let waiting =
            columns.map(|columns| writer.bring(octets, move |t| insert_on(t, &submission, &columns)));
        async { waiting?.await }
    }))
    .await
}

/// Keeps a submission, unless its key says that it is kept already.
fn insert_on(
    transaction: &mut Transaction<'_>,
    submission: &Submission,
    columns: &[Columns],
) -> Result<Inserted, StoreError> {
    if let Some(key) = &submission.idempotency {
        if let Some(earlier) = earlier(transaction, key)? {
            return Ok(earlier);
        }
        remember(transaction, key, submission)?;
    }
    for (new, columns) in submission.messages.iter().zip(columns) {
        insert_email(transaction, new, columns)?;
        insert_delivery(transaction, new, columns)?;
    }
    Ok(Inserted::Stored)
}

const EARLIER: &str = "SELECT fingerprint, email_ids FROM idempotency_keys
    WHERE tenant = ? AND key = ? AND expires_at >= ?";

#[derive(QueryableByName)]
struct Earlier {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = Text)]
    email_ids: String,
}

fn earlier(transaction: &mut Transaction<'_>, key: &Idempotency) -> Result<Option<Inserted>, StoreError> {
    let found: Option<Earlier> = sql!(EARLIER, &*key.tenant, &*key.key, transaction.now)
        .get_result(transaction.connection)
        .optional()
        .map_err(outcome)?;
    let Some(found) = found else { return Ok(None) };
    if found.fingerprint != key.fingerprint {
        return Ok(Some(Inserted::KeyReused));
    }
    let ids: Vec<MessageId> = json::read("idempotency_keys.email_ids", &found.email_ids)?;
    Ok(Some(Inserted::Replayed(ids)))
}

/// The ids that were kept under a key, if it was the same.
pub(super) fn find_by_key(
    transaction: &mut Transaction<'_>,
    key: &Idempotency,
) -> Result<Option<Vec<MessageId>>, StoreError> {
    Ok(match earlier(transaction, key)? {
        Some(Inserted::Replayed(ids)) => Some(ids),
        _ => None,
    })
}

/// An earlier use of the key is over by now, or it would have been found.
const REMEMBER: &str = "INSERT OR REPLACE INTO idempotency_keys
    (tenant, key, fingerprint, email_ids, expires_at) VALUES (?, ?, ?, ?, ?)";

fn remember(
    transaction: &mut Transaction<'_>,
    key: &Idempotency,
    submission: &Submission,
) -> Result<(), StoreError> {
    let from = submission.latest_schedule().map_or(transaction.now, |at| micros(at).max(transaction.now));
    sql!(
        REMEMBER,
        &*key.tenant,
        &*key.key,
        key.fingerprint.as_slice(),
        json::write("idempotency_keys.email_ids", &submission.ids())?,
        later(from, key.keep)
    )
    .execute(transaction.connection)
    .map_err(outcome)?;
    Ok(())
}

const INSERT_EMAIL: &str =
    "INSERT INTO emails (id, tenant, created_at, scheduled_at, subject, sender, people,
    headers, tags, attachments, smtputf8, line_ends, raw)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn insert_email(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
    columns: &Columns,
) -> Result<(), StoreError> {
    let message = &new.message;
    sql!(
        INSERT_EMAIL,
        new.id,
        &*new.tenant,
        transaction.now,
        message.scheduled_at.map(micros),
        &*message.subject,
        message.from.address.as_str(),
        &*columns.people,
        &*columns.headers,
        &*columns.tags,
        &*columns.attachments,
        message.needs_smtputf8(),
        columns.line_ends.as_deref(),
        &*new.raw
    )
    .execute(transaction.connection)
    .map_err(outcome)?;
    Ok(())
}

const INSERT_DELIVERY: &str =
    "INSERT INTO deliveries (email_id, status, lane, due_at, due_since, recipients, octets)
    VALUES (?, 'queued', ?, ?, ?, ?, ?)";

fn insert_delivery(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
    columns: &Columns,
) -> Result<(), StoreError> {
    let due_at = new.message.scheduled_at.map_or(transaction.now, |at| micros(at).max(transaction.now));
    sql!(
        INSERT_DELIVERY,
        new.id,
        new.message.lane.as_str(),
        due_at,
        due_at,
        &*columns.recipients,
        new.raw.len()
    )
    .execute(transaction.connection)
    .map_err(outcome)?;
    Ok(())
}

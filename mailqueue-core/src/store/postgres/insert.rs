//! Keeping submissions.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncConnectionCore, RunQueryDsl};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::microseconds;
use super::bisect::bisect;
use super::error::Failure;
use super::json::Json;
use super::run::{Purpose, Runner};
use super::session::Session;
use super::space::SpaceCheck;
use super::statement::statement;
use super::{probe, reserve};
use crate::contracts::store::{Idempotency, Inserted, NewMessage, StoreError, Submission};
use crate::domain::attachment::{Attachment, AttachmentSummary};
use crate::domain::delivery::Delivery;
use crate::domain::header::Header;
use crate::domain::id::MessageId;
use crate::domain::message::Tag;
use crate::domain::recipient::Recipient;
use crate::domain::record::Participants;
use crate::domain::rendered_text::line_ends;

statement! {
    /// Both rows of every message, in one statement and so in one transaction. Lists that are empty, as most are, come as
    /// NULL: the server need not read them.
    InsertMessages {
        ids: Array<SqlUuid> => Vec<Uuid>,
        tenants: Array<Text> => Vec<String>,
        scheduled: Array<Nullable<Timestamptz>> => Vec<Option<OffsetDateTime>>,
        subjects: Array<Text> => Vec<String>,
        senders: Array<Text> => Vec<String>,
        people: Array<Jsonb> => Vec<Json<Participants>>,
        headers: Array<Nullable<Jsonb>> => Vec<Option<Json<Vec<Header>>>>,
        tags: Array<Nullable<Jsonb>> => Vec<Option<Json<Vec<Tag>>>>,
        attachments: Array<Nullable<Jsonb>> => Vec<Option<Json<Vec<AttachmentSummary>>>>,
        smtputf8: Array<Bool> => Vec<bool>,
        line_ends: Array<Nullable<Text>> => Vec<Option<String>>,
        raws: Array<Binary> => Vec<SharedBytes>,
        lanes: Array<Text> => Vec<&'static str>,
        recipients: Array<Jsonb> => Vec<Json<Vec<Recipient>>>,
    } -> Bool = "
        WITH n AS (
            SELECT * FROM UNNEST(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                AS n (id, tenant, scheduled_at, subject, sender, people, headers, tags, attachments, smtputf8,
                      line_ends, raw, lane, recipients)
        ), record AS (
            INSERT INTO emails (id, tenant, scheduled_at, subject, sender, people, headers, tags, attachments,
                                smtputf8, line_ends, raw)
            SELECT id, tenant, scheduled_at, subject, sender, people, COALESCE(headers, '[]'), COALESCE(tags, '[]'),
                   COALESCE(attachments, '[]'), smtputf8, line_ends, raw FROM n
        )
        INSERT INTO deliveries (email_id, status, lane, due_at, due_since, recipients, octets)
        SELECT id, 'queued', lane, GREATEST(now(), scheduled_at), GREATEST(now(), scheduled_at), recipients,
               octet_length(raw)
        FROM n"
}

statement! {
    /// Takes keys that are free or have run out. A key that another transaction is taking is waited for, so its
    /// outcome is known afterwards. Lists of ids come as text: UNNEST would flatten an array of arrays.
    ReserveKeys {
        tenants: Array<Text> => Vec<String>,
        keys: Array<Text> => Vec<String>,
        fingerprints: Array<Binary> => Vec<Vec<u8>>,
        email_ids: Array<Text> => Vec<String>,
        scheduled: Array<Nullable<Timestamptz>> => Vec<Option<OffsetDateTime>>,
        keep: Array<BigInt> => Vec<i64>,
    } -> (Text, Text) = "
        INSERT INTO idempotency_keys AS k (tenant, key, fingerprint, email_ids, expires_at)
        SELECT tenant, key, fingerprint, email_ids::uuid[],
               GREATEST(now(), scheduled_at) + keep * interval '1 microsecond'
        FROM UNNEST(?, ?, ?, ?, ?, ?) AS n (tenant, key, fingerprint, email_ids, scheduled_at, keep)
        ON CONFLICT (tenant, key) DO UPDATE
            SET fingerprint = excluded.fingerprint, email_ids = excluded.email_ids, expires_at = excluded.expires_at
            WHERE k.expires_at < now()
        RETURNING tenant, key"
}

statement! {
    /// The submissions that keys stand for.
    ReadKeys { tenants: Array<Text> => Vec<String>, keys: Array<Text> => Vec<String> }
        -> (Text, Text, Binary, Array<SqlUuid>) = "
        SELECT tenant, key, fingerprint, email_ids FROM idempotency_keys
        WHERE (tenant, key) IN (SELECT * FROM UNNEST(?, ?))"
}

statement! {
    /// The submission that a key stands for, unless the key has run out.
    FindByKey { tenant: Text => String, key: Text => String, fingerprint: Binary => Vec<u8> } -> (Array<SqlUuid>,) = "
        SELECT email_ids FROM idempotency_keys
        WHERE tenant = ? AND key = ? AND fingerprint = ? AND expires_at >= now()"
}

/// A value kept as bytea, whose octets are shared rather than copied.
pub(super) struct SharedBytes(Bytes);

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

impl ToSql<Binary, Pg> for SharedBytes {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&self.0)?;
        Ok(IsNull::No)
    }
}

type KeyRow = (String, String, Vec<u8>, Vec<Uuid>);

/// Inserts submissions together, and apart what cannot be inserted together; none while the server has no space for
/// them.
pub(super) async fn insert(
    runner: &Runner,
    reserve: u64,
    submissions: Vec<Arc<Submission>>,
) -> Vec<Result<Inserted, StoreError>> {
    if !has_space(runner, reserve).await {
        let full = StoreError::NoSpace("the server had none a moment ago".into());
        return vec![Err(full); submissions.len()];
    }
    let results = bisect(submissions, |part| {
        let runner = runner.clone();
        Box::pin(async move { insert_together(&runner, part).await })
    })
    .await;
    note_space(runner, &results).await;
    results
}

/// Tells whether new messages may be inserted. After a shortage they may when the reserve is kept again; a role that
/// may not keep one has to try.
async fn has_space(runner: &Runner, reserve: u64) -> bool {
    match runner.space.check() {
        SpaceCheck::Yes => true,
        SpaceCheck::No => false,
        SpaceCheck::Probe => !matches!(keep_reserve(runner, reserve).await, Err(StoreError::NoSpace(_))),
    }
}

/// Takes `octets` of space for results, unless they are taken.
pub(super) async fn keep_reserve(runner: &Runner, octets: u64) -> Result<(), StoreError> {
    if octets == 0 {
        return Ok(());
    }
    runner.run_for(Purpose::NewMail, move |connection| Box::pin(reserve::keep(connection, octets))).await
}

/// Notes whether inserts found space, for this process and for the others.
async fn note_space(runner: &Runner, results: &[Result<Inserted, StoreError>]) {
    let refused = results.iter().any(|result| matches!(result, Err(StoreError::NoSpace(_))));
    if (refused || results.iter().any(Result::is_ok)) && runner.space.note(refused) {
        let prober = runner.prober;
        let told =
            runner.run(move |connection| Box::pin(probe::note_refusal(connection, prober, refused))).await;
        // Ignored: the others find out by inserts of their own.
        if let Err(error) = told {
            tracing::debug!(event = "store.space_not_told", %error, refused, "other processes are not told of the space");
        }
    }
}

async fn insert_together(
    runner: &Runner,
    submissions: Vec<Arc<Submission>>,
) -> Result<Vec<Inserted>, StoreError> {
    runner
        .run_for(Purpose::NewMail, move |connection| {
            // Cloned for each try, since the database may undo one in favour of others.
            let submissions = submissions.clone();
            Box::pin(async move {
                let octets = submissions.iter().map(|submission| submission.size()).sum();
                let inserted = insert_on(connection, submissions).await?;
                connection.close_if_larger_than(octets);
                Ok(inserted)
            })
        })
        .await
}

/// Keeps all of the submissions that are new, in one transaction.
async fn insert_on(
    connection: &mut Session,
    submissions: Vec<Arc<Submission>>,
) -> Result<Vec<Inserted>, Failure> {
    if submissions.iter().all(|submission| submission.idempotency.is_none()) {
        // One statement is a transaction by itself, which saves two round trips.
        insert_messages(connection, submissions.iter().flat_map(|submission| &submission.messages)).await?;
        return Ok(vec![Inserted::Stored; submissions.len()]);
    }
    connection.transaction(async move |connection| insert_within(connection, submissions).await).await
}

/// Keeps the submissions in the transaction that the connection is in.
pub(super) async fn insert_within<C: AsyncConnectionCore<Backend = Pg>>(
    connection: &mut C,
    submissions: Vec<Arc<Submission>>,
) -> Result<Vec<Inserted>, Failure> {
    let keys = reserve_keys(connection, &submissions).await?;
    let results: Vec<Inserted> =
        submissions.iter().enumerate().map(|(n, one)| keys.outcome(n, one)).collect();
    let stored = submissions.iter().zip(&results).filter(|(_, result)| **result == Inserted::Stored);
    insert_messages(connection, stored.flat_map(|(submission, _)| &submission.messages)).await?;
    Ok(results)
}

/// The ids that were kept under a key, if it was the same.
pub(super) async fn find_by_key(
    connection: &mut Session,
    Idempotency { tenant, key, fingerprint, .. }: Idempotency,
) -> Result<Option<Vec<MessageId>>, Failure> {
    let statement = FindByKey { tenant, key, fingerprint: fingerprint.to_vec() };
    let rows: Vec<(Vec<Uuid>,)> = statement.load(connection).await?;
    Ok(rows.into_iter().next().map(|(ids,)| ids.into_iter().map(Into::into).collect()))
}

type Key = (String, String);

/// The keys of a batch, taken or found.
struct Keys {
    /// The submission that has taken a key.
    taken: HashMap<Key, usize>,
    /// The submission that each key stands for now.
    known: HashMap<Key, (Vec<u8>, Vec<Uuid>)>,
}

impl Keys {
    fn outcome(&self, n: usize, submission: &Submission) -> Inserted {
        let Some(Idempotency { tenant, key, fingerprint, .. }) = &submission.idempotency else {
            return Inserted::Stored;
        };
        let key = (tenant.clone(), key.clone());
        match self.known.get(&key) {
            _ if self.taken.get(&key) == Some(&n) => Inserted::Stored,
            Some((print, ids)) if print == fingerprint => {
                Inserted::Replayed(ids.iter().copied().map(Into::into).collect())
            }
            _ => Inserted::KeyReused,
        }
    }
}

/// Takes what keys are free.
async fn reserve_keys<C: AsyncConnectionCore<Backend = Pg>>(
    connection: &mut C,
    submissions: &[Arc<Submission>],
) -> Result<Keys, Failure> {
    // Sorted, so that two batches never wait for each other's keys crosswise; the first of equal keys is tried.
    let mut wanted: BTreeMap<Key, (usize, &Idempotency, &Submission)> = BTreeMap::new();
    for (n, submission) in submissions.iter().enumerate() {
        if let Some(key) = &submission.idempotency {
            wanted.entry((key.tenant.clone(), key.key.clone())).or_insert((n, key, submission));
        }
    }
    let (tenants, keys): (Vec<String>, Vec<String>) = wanted.keys().cloned().unzip();
    let reserve = ReserveKeys {
        tenants: tenants.clone(),
        keys: keys.clone(),
        fingerprints: wanted.values().map(|(_, key, _)| key.fingerprint.to_vec()).collect(),
        email_ids: wanted.values().map(|(_, _, submission)| id_list(submission)).collect(),
        scheduled: wanted.values().map(|(_, _, submission)| submission.latest_schedule()).collect(),
        keep: wanted.values().map(|(_, key, _)| microseconds::of(key.keep)).collect(),
    };
    let taken: Vec<Key> = reserve.load(connection).await?;
    let taken =
        taken.into_iter().filter_map(|key| wanted.get(&key).map(|(n, ..)| (key.clone(), *n))).collect();
    // A second statement has a new snapshot: it sees the keys that others committed while the first one waited.
    let rows: Vec<KeyRow> = ReadKeys { tenants, keys }.load(connection).await?;
    let known = rows.into_iter().map(|(tenant, key, print, ids)| ((tenant, key), (print, ids))).collect();
    Ok(Keys { taken, known })
}

/// An array literal.
fn id_list(submission: &Submission) -> String {
    let ids: Vec<String> = submission.messages.iter().map(|new| new.id.to_string()).collect();
    // Needs no quotes, as ids are hexadecimal digits and hyphens.
    format!("{{{}}}", ids.join(","))
}

async fn insert_messages<C: AsyncConnectionCore<Backend = Pg>>(
    connection: &mut C,
    messages: impl Iterator<Item = &NewMessage>,
) -> Result<(), Failure> {
    let batch = batch(messages);
    if !batch.ids.is_empty() {
        batch.execute(connection).await?;
    }
    Ok(())
}

fn batch<'a>(messages: impl Iterator<Item = &'a NewMessage>) -> InsertMessages {
    let mut batch = InsertMessages {
        ids: Vec::new(),
        tenants: Vec::new(),
        scheduled: Vec::new(),
        subjects: Vec::new(),
        senders: Vec::new(),
        people: Vec::new(),
        headers: Vec::new(),
        tags: Vec::new(),
        attachments: Vec::new(),
        smtputf8: Vec::new(),
        line_ends: Vec::new(),
        raws: Vec::new(),
        lanes: Vec::new(),
        recipients: Vec::new(),
    };
    for NewMessage { id, tenant, message, raw } in messages {
        batch.ids.push(id.as_uuid());
        batch.tenants.push(tenant.clone());
        batch.scheduled.push(message.scheduled_at);
        batch.subjects.push(message.subject.clone());
        batch.senders.push(message.from.address.to_string());
        batch.people.push(Json(Participants::of(message)));
        batch.headers.push(unless_empty(message.headers.clone()));
        batch.tags.push(unless_empty(message.tags.clone()));
        batch.attachments.push(unless_empty(message.attachments.iter().map(Attachment::summary).collect()));
        batch.smtputf8.push(message.needs_smtputf8());
        batch.line_ends.push(line_ends(message));
        // Shares the content, which is by far the largest part.
        batch.raws.push(SharedBytes(raw.clone()));
        batch.lanes.push(message.lane.as_str());
        batch.recipients.push(Json(Delivery::new(message.envelope()).recipients));
    }
    batch
}

fn unless_empty<T: std::fmt::Debug>(list: Vec<T>) -> Option<Json<Vec<T>>> {
    (!list.is_empty()).then_some(Json(list))
}

//! Whether the server takes writes, and has space for new messages.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Failure;
use super::session::Session;
use super::statement::statement;
use crate::contracts::store::Probe;

/// How long no message is inserted after there was no space for one, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

statement! {
    /// Writes to a row that nobody else writes to, so that no prober waits for another. A process that is refused says
    /// so again and again; one that ended does not.
    WriteProbe { prober: SqlUuid => Uuid } -> (Timestamptz, Bool) = "
        INSERT INTO store_probes (prober, written_at) VALUES (?, now())
        ON CONFLICT (prober) DO UPDATE SET written_at = EXCLUDED.written_at
        RETURNING written_at,
            NOT EXISTS (SELECT FROM store_probes WHERE refused_at > now() - interval '1 minute')"
}

/// Writes something, and tells the time.
pub(super) async fn probe(connection: &mut Session, prober: Uuid) -> Result<Probe, Failure> {
    let (now, has_space): (OffsetDateTime, bool) = WriteProbe { prober }.get_result(connection).await?;
    Ok(Probe { now, has_space })
}

statement! {
    /// Notes for other processes whether there was space for a message.
    WriteRefusal { prober: SqlUuid => Uuid, refused: Bool => bool } -> Bool = "
        INSERT INTO store_probes AS p (prober, written_at, refused_at)
        SELECT prober, now(), CASE WHEN refused THEN now() END FROM (SELECT ? AS prober, ? AS refused) AS told
        ON CONFLICT (prober) DO UPDATE SET refused_at = EXCLUDED.refused_at"
}

/// Notes whether there was space for a message.
pub(super) async fn note_refusal(
    connection: &mut Session,
    prober: Uuid,
    refused: bool,
) -> Result<(), Failure> {
    WriteRefusal { prober, refused }.execute(connection).await?;
    Ok(())
}

statement! {
    /// Forgets those who have not probed for a day.
    PruneProbes {} -> Bool = "DELETE FROM store_probes WHERE written_at < now() - interval '1 day'"
}

/// Forgets processes that have ended.
pub(super) async fn prune(connection: &mut Session) -> Result<(), Failure> {
    PruneProbes {}.execute(connection).await?;
    Ok(())
}

/// Whether there is space for new messages, as far as the last inserts have shown. What space there is left is for
/// results: while there was none for a message, one is tried now and then.
#[derive(Default)]
pub(super) struct Space {
    shortage: Mutex<Option<Shortage>>,
}

/// Whether an insert may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// There was space.
    Yes,
    /// There was none, and it is time to look again.
    Perhaps,
    /// There was none a moment ago.
    No,
}

struct Shortage {
    pause: Duration,
    until: Instant,
}

impl Space {
    /// Whether an insert may be tried now.
    pub(super) fn admits(&self) -> Admission {
        let mut shortage = self.lock();
        let Some(short) = shortage.as_mut() else { return Admission::Yes };
        if Instant::now() < short.until {
            return Admission::No;
        }
        // This one finds out; the others wait for what it finds.
        short.pause = (short.pause * 2).min(LONGEST_PAUSE);
        short.until = Instant::now() + short.pause;
        Admission::Perhaps
    }

    /// Notes whether there was space for a message that was tried. `true`: others should be told.
    pub(super) fn note(&self, refused: bool) -> bool {
        let mut shortage = self.lock();
        if !refused {
            return shortage.take().is_some();
        }
        if shortage.is_none() {
            tracing::error!("new mail is refused: the database has no space left; what waits is sent");
        }
        let pause = shortage.as_ref().map_or(FIRST_PAUSE, |short| short.pause);
        *shortage = Some(Shortage { pause, until: Instant::now() + pause });
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shortage>> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

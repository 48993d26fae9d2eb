//! Proof that the server takes writes, and notes among processes about its space.

use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::Failure;
use super::session::Session;
use super::statement::statement;
use crate::contracts::store::Probe;

statement! {
    /// Writes to a row that nobody else writes to, so that no prober waits for another. A process that is refused says
    /// so again and again; one that ended does not.
    WriteProbe { prober: SqlUuid => Uuid } -> (Timestamptz, Bool, Bool) = "
        INSERT INTO store_probes (prober, written_at) VALUES (?, now())
        ON CONFLICT (prober) DO UPDATE SET written_at = EXCLUDED.written_at
        RETURNING written_at,
            NOT EXISTS (SELECT FROM store_probes WHERE refused_at > now() - interval '1 minute'),
            EXISTS (SELECT FROM deliveries WHERE status = 'sending' AND lease_until < now())"
}

/// Writes a row and returns the time.
pub(super) async fn probe(connection: &mut Session, prober: Uuid) -> Result<Probe, Failure> {
    let row: (OffsetDateTime, bool, bool) = WriteProbe { prober }.get_result(connection).await?;
    let (now, has_space, has_lapsed_lease) = row;
    Ok(Probe { now, has_space, has_lapsed_lease })
}

statement! {
    /// The time of this statement's transaction.
    ReadClock {} -> Timestamptz = "SELECT now()"
}

/// The server's time.
pub(super) async fn now(connection: &mut Session) -> Result<OffsetDateTime, Failure> {
    Ok(ReadClock {}.get_result(connection).await?)
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

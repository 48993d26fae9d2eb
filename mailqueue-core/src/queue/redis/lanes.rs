//! The lanes as sorted sets: the commands to Redis, and the removal of foreign contents.

use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, cmd, pipe};
use time::OffsetDateTime;

use super::connections::Connections;
use super::depth_cache::DepthCache;
use super::fault::Fault;
use super::keys::Keys;
use super::members::{Member, Members, Popped};
use super::refusals::Operation;
use crate::contracts::queue::{Entry, Pulled};
use crate::domain::lane::Lane;
use crate::queue::micros;

/// The number of members that a command adds at most, so that Redis gets round to others in between.
const MAX_MEMBERS_PER_COMMAND: usize = 1_000;

/// The number of pages of garbage that are removed before a lane's head is taken to be nothing.
const MAX_GARBAGE_PAGES: usize = 8;

/// The number of members that are looked at in a lane that starts with garbage.
const GARBAGE_PAGE_LEN: usize = 1_000;

/// The sorted sets of one queue. The caller bounds the time of every call.
#[derive(Debug)]
pub(super) struct Lanes {
    keys: Keys,
    connections: Connections,
    depths: DepthCache,
}

impl Lanes {
    /// Lanes that are full at `cap` entries.
    pub(super) fn new(keys: Keys, connections: Connections, cap: u64) -> Self {
        Self { keys, connections, depths: DepthCache::new(cap) }
    }

    /// Asks Redis for a sign of life, on a new connection.
    pub(super) async fn probe(&self) -> Result<String, Fault> {
        let reader = self.connections.new_reader().await?;
        self.connections.read(reader, &cmd("PING")).await
    }

    /// Trusts no connection that there is.
    pub(super) fn discard_connections(&self) {
        self.connections.discard_all();
    }

    /// Adds entries to the lanes that are not full; returns how many the fullest of the named lanes holds.
    pub(super) async fn push(&self, entries: &[Entry]) -> Result<u64, Fault> {
        let touched: Vec<Lane> =
            Lane::ALL.into_iter().filter(|lane| entries.iter().any(|entry| entry.lane == *lane)).collect();
        let (full, mut open): (Vec<Lane>, Vec<Lane>) =
            touched.iter().partition(|lane| self.depths.is_full(**lane));
        let now = Instant::now();
        let asked: Vec<Lane> = full.into_iter().filter(|lane| self.depths.is_stale(*lane, now)).collect();
        if !asked.is_empty() {
            // Without entries: a lane that turns out to be full still must not grow.
            self.push_and_measure(Operation::Push, &asked, &[]).await?;
            open.extend(asked.into_iter().filter(|lane| !self.depths.is_full(*lane)));
        }
        if !open.is_empty() {
            self.push_and_measure(Operation::Push, &open, entries).await?;
        }
        Ok(touched.into_iter().map(|lane| self.depths.seen(lane)).max().unwrap_or(0))
    }

    /// Adds those of `entries` that belong to `lanes`, and notes the depth of these.
    async fn push_and_measure(
        &self,
        operation: Operation,
        lanes: &[Lane],
        entries: &[Entry],
    ) -> Result<(), Fault> {
        let question = self.addition(lanes, entries);
        let depths: Vec<u64> = match self.connections.ask(&question).await {
            Err(Fault::WrongType) => {
                self.clear_wrong_types(operation, lanes).await?;
                // Once only: a key that is foreign again at once is an error to report.
                self.connections.ask(&question).await?
            }
            told => told?,
        };
        let now = Instant::now();
        for (lane, depth) in lanes.iter().zip(depths) {
            self.depths.note(*lane, depth, now);
        }
        Ok(())
    }

    /// The commands that add entries to their lanes; the answer is the depth of each lane.
    fn addition(&self, lanes: &[Lane], entries: &[Entry]) -> Pipeline {
        let mut question = pipe();
        for lane in lanes {
            let key = self.keys.lane(*lane);
            let members: Vec<_> = entries
                .iter()
                .filter(|entry| entry.lane == *lane)
                .map(|entry| (micros::from_time(entry.due_at), entry.id.to_string()))
                .collect();
            for some in members.chunks(MAX_MEMBERS_PER_COMMAND) {
                question.cmd("ZADD").arg(key).arg(some).ignore();
            }
        }
        for lane in lanes {
            question.cmd("ZCARD").arg(self.keys.lane(*lane));
        }
        question
    }

    /// Takes entries of the first of `lanes` that holds any, waiting for them up to `wait`.
    pub(super) async fn pull(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Pulled, Fault> {
        let begun = tokio::time::Instant::now();
        let mut reader = self.connections.kept_reader();
        let mut second_try = false;
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            let connected = match reader.take() {
                Some(kept) => kept,
                None => self.connections.new_reader().await?,
            };
            match self.connections.read(connected, &self.pop(lanes, most, left)).await {
                Ok(page) => {
                    let pulled = self.sort(page);
                    // A page of garbage only is no reason to come back early.
                    if !pulled.ids.is_empty() || begun.elapsed() >= wait {
                        return Ok(pulled);
                    }
                    reader = self.connections.kept_reader();
                }
                Err(Fault::WrongType) => {
                    self.clear_wrong_types(Operation::Pull, lanes).await?;
                    // Comes back early instead of waiting on: the next pull finds clean keys.
                    return Ok(Pulled::default());
                }
                // Closed by the server, perhaps long ago: a new connection shows whether Redis is out of reach.
                Err(Fault::OutOfReach(_)) if !second_try => second_try = true,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The ids that were popped, and their lane.
    fn sort(&self, popped: Popped) -> Pulled {
        let lane = popped.as_ref().and_then(|(key, _)| self.keys.lane_of(key));
        Pulled::new(lane, Members::ids(popped))
    }

    /// The command that takes entries, waiting for them up to `wait`.
    fn pop(&self, lanes: &[Lane], most: usize, wait: Duration) -> Cmd {
        // Zero would be for ever.
        let mut command = if wait < Duration::from_millis(1) {
            cmd("ZMPOP")
        } else {
            let mut waiting = cmd("BZMPOP");
            waiting.arg(format!("{:.3}", wait.as_secs_f64()));
            waiting
        };
        command.arg(lanes.len());
        for lane in lanes {
            command.arg(self.keys.lane(*lane));
        }
        // Redis counts in a signed 64-bit number.
        command.arg("MIN").arg("COUNT").arg(i64::try_from(most.max(1)).unwrap_or(i64::MAX));
        command
    }

    /// The smallest due time in a lane. Removes what stands before it and is no entry.
    pub(super) async fn head(&self, lane: Lane) -> Result<Option<OffsetDateTime>, Fault> {
        let key = self.keys.lane(lane);
        let mut width = 1;
        // One round more than pages, as the first looks at a single member.
        for _ in 0..=MAX_GARBAGE_PAGES {
            let first = pipe().cmd("ZRANGE").arg(key).arg(0).arg(width - 1).arg("WITHSCORES").to_owned();
            let (members,): (Vec<Member>,) = match self.connections.ask(&first).await {
                Err(Fault::WrongType) => {
                    self.clear_wrong_types(Operation::Head, &[lane]).await?;
                    return Ok(None);
                }
                told => told?,
            };
            let page = Members::partition(members);
            if !page.garbage.is_empty() {
                // Left in place it would hide that everything behind it is missing.
                let removal = pipe().cmd("ZREM").arg(key).arg(page.garbage).to_owned();
                let _: (u64,) = self.connections.ask(&removal).await?;
                width = GARBAGE_PAGE_LEN;
            } else if page.head.is_none() {
                return Ok(None);
            }
            if page.head.is_some() {
                return Ok(page.head);
            }
        }
        // Still garbage. That of an empty lane is the safe answer: it makes the sweep push all that is due.
        Ok(None)
    }

    /// The number of members of a lane.
    pub(super) async fn depth(&self, lane: Lane) -> Result<u64, Fault> {
        self.push_and_measure(Operation::Depth, &[lane], &[]).await?;
        Ok(self.depths.seen(lane))
    }

    /// Deletes those keys of `lanes` that are no sorted sets: somebody else wrote them, or garbage was restored. Counts
    /// as an error of the operation that found them.
    async fn clear_wrong_types(&self, operation: Operation, lanes: &[Lane]) -> Result<(), Fault> {
        operation.count_error();
        let mut question = pipe();
        for lane in lanes {
            question.cmd("TYPE").arg(self.keys.lane(*lane));
        }
        // A set that somebody pushes after this answer is deleted too; the sweep brings its entries back.
        let types: Vec<String> = self.connections.ask(&question).await?;
        let mut removal = pipe();
        for (lane, of_type) in lanes.iter().zip(&types) {
            if !["zset", "none"].contains(&of_type.as_str()) {
                tracing::warn!(
                    event = "queue.foreign_key",
                    key = self.keys.lane(*lane),
                    of_type,
                    "removed a key of the queue that is no sorted set"
                );
                removal.cmd("DEL").arg(self.keys.lane(*lane)).ignore();
            }
        }
        if removal.is_empty() { Ok(()) } else { self.connections.ask(&removal).await }
    }
}

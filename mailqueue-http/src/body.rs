//! The body of a request, read within limits of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT};
use hyper::http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::problem::Problem;

/// The largest body, in octets: 10 MiB of attachments as base64, broken into lines, and some.
pub(crate) const LIMIT: usize = 15 << 20;

/// How long a body may take: this, and a second more for each [`PACE`] octets that have come.
const PATIENCE: Duration = Duration::from_secs(15);

/// The slowest pace at which a large body may come, in octets a second.
const PACE: usize = 64 << 10;

/// How much memory all bodies together may take, in KiB.
const ROOM: usize = 128 << 10;

/// How much of a body that nobody wants is still taken, so that the client gets to read why.
const DISCARD_LIMIT: usize = 128 << 20;

/// How long that may take.
const DISCARD_PATIENCE: Duration = Duration::from_secs(10);

/// Memory for the bodies of all requests that are under way.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// The body of one request. What it takes in memory is given back when it is dropped.
pub(crate) struct Payload {
    body: Incoming,
    declared: Option<u64>,
    waits: bool,
    room: Room,
    taken: Option<OwnedSemaphorePermit>,
}

impl Payload {
    /// The body that goes with a head.
    pub(crate) fn new(head: &Parts, body: Incoming, room: Room) -> Self {
        let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { body, declared, waits: head.headers.contains_key(EXPECT), room, taken: None }
    }

    /// Reads all of it.
    pub(crate) async fn read(&mut self) -> Result<Bytes, Problem> {
        let too_large =
            || Problem::too_large(format!("The request must be at most {LIMIT} octets long.")).closing();
        if self.declared.is_some_and(|length| length > LIMIT as u64) {
            return Err(too_large());
        }
        let begun = Instant::now();
        let mut read = BytesMut::new();
        loop {
            // A fraction of 15 MiB at the slowest pace is a few minutes: no overflow.
            let deadline = begun + PATIENCE + Duration::from_secs((read.len() / PACE) as u64);
            let frame = match tokio::time::timeout_at(deadline, self.body.frame()).await {
                Err(_) => return Err(Problem::timeout()),
                Ok(None) => return Ok(read.freeze()),
                Ok(Some(Err(_))) => {
                    return Err(Problem::malformed(
                        "The body of the request broke off or is not framed right.",
                    )
                    .closing());
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > LIMIT {
                return Err(too_large());
            }
            self.take_room(data.len())?;
            read.extend_from_slice(&data);
        }
    }

    /// Takes memory, which has to be there at once: waiting for it while holding some could last for ever.
    fn take_room(&mut self, octets: usize) -> Result<(), Problem> {
        // A chunk is at most as large as the read buffer, far below u32::MAX KiB.
        let kib = u32::try_from(octets.div_ceil(1024)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room.0).try_acquire_many_owned(kib) else {
            let detail = "Too many large requests are under way. Please try again shortly.";
            return Err(Problem::unavailable(detail).closing());
        };
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
        Ok(())
    }

    /// Lets what has not been read come and go in the background: a connection that is closed on a client in mid-send
    /// is reset, and the client never sees the answer. One that waits for a go-ahead has sent nothing.
    pub(crate) fn discard(mut self) {
        if self.body.is_end_stream() || self.waits {
            return;
        }
        tokio::spawn(async move {
            let mut left = DISCARD_LIMIT;
            let drained = async {
                while let Some(Ok(frame)) = self.body.frame().await {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    let Some(rest) = left.checked_sub(length) else { return };
                    left = rest;
                }
            };
            // A client that is still sending after this has had its time.
            let _ = tokio::time::timeout(DISCARD_PATIENCE, drained).await;
        });
    }
}

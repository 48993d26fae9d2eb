//! The body of a request, read within limits of size, time and memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT};
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::wire::memory::{MAX_SMALL, Memory, Taken};
use crate::wire::problem::Problem;

/// The largest body, in octets: 10 MiB of attachments as base64, broken into lines, and some.
pub(crate) const MAX_BODY: usize = 15 << 20;

/// The time for a body: this, and a second more for each [`MIN_OCTETS_PER_SECOND`] octets that have come.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The slowest pace at which a large body may come, in octets a second.
const MIN_OCTETS_PER_SECOND: usize = 64 << 10;

/// The most that is read and dropped of an unwanted body, in octets, so that the client gets to read the response.
const MAX_DISCARDED: usize = 128 << 20;

/// The time for that.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of one request. The memory for it is given back when it is dropped.
pub(crate) struct Payload {
    body: Incoming,
    declared: Option<u64>,
    /// True once nothing more can be read from it.
    spent: bool,
    memory: Memory,
    /// For what comes in.
    coming: Option<Taken>,
    /// For what is made of it.
    processing: Option<Taken>,
}

impl Payload {
    /// The body that goes with a head.
    pub(crate) fn new(head: &Parts, body: Incoming, memory: Memory) -> Self {
        let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // A client that waits for a go-ahead has sent nothing that would have to be read.
        let spent = head.headers.contains_key(EXPECT);
        Self { body, declared, spent, memory, coming: None, processing: None }
    }

    /// Reads all of it, once there is memory for it, and waits until there is memory for what is made of it. Call
    /// [`digested`](Self::digested) once it is dropped.
    pub(crate) async fn read(&mut self) -> Result<Bytes, Problem> {
        let too_large =
            || Problem::too_large(format!("The request must be at most {MAX_BODY} octets long.")).closing();
        let declared = self.declared.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if declared.is_some_and(|length| length > MAX_BODY) {
            return Err(too_large());
        }
        // What says that it is large has its room before it comes. What is small has it as it comes, so that to fill all
        // of it takes more than promises; what does not say and turns out to be large may become the largest.
        let mut is_large = declared.is_some_and(|length| length > MAX_SMALL);
        if is_large {
            self.make_room(declared.unwrap_or(MAX_BODY)).await?;
        }
        let begun = Instant::now();
        // Allocates ahead only what has its room; a small body's promise allocates nothing.
        let mut read = BytesMut::with_capacity(if is_large { declared.unwrap_or_default() } else { 0 });
        loop {
            // A fraction of 15 MiB at the slowest pace is a few minutes: no overflow.
            let deadline =
                begun + BODY_TIMEOUT + Duration::from_secs((read.len() / MIN_OCTETS_PER_SECOND) as u64);
            let frame = match tokio::time::timeout_at(deadline, self.body.frame()).await {
                Err(_) => {
                    self.spent = true;
                    return Err(Problem::timeout());
                }
                Ok(None) => break,
                Ok(Some(Err(_))) => {
                    return Err(Problem::malformed(
                        "The body of the request broke off or is not framed right.",
                    )
                    .closing());
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers are not used here.
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > MAX_BODY {
                return Err(too_large());
            }
            if !is_large {
                is_large = read.len() + data.len() > MAX_SMALL;
                self.make_room(if is_large { MAX_BODY } else { data.len() }).await?;
            }
            read.extend_from_slice(&data);
        }
        if read.len() > MAX_SMALL {
            self.processing = Some(self.memory.processing(read.len()).await.map_err(Problem::closing)?);
        }
        Ok(read.freeze())
    }

    async fn make_room(&mut self, octets: usize) -> Result<(), Problem> {
        let taken = if octets > MAX_SMALL {
            self.memory.transfer(octets).await
        } else {
            self.memory.small(octets).await
        };
        let taken = taken.map_err(Problem::closing)?;
        match &mut self.coming {
            Some(coming) if octets <= MAX_SMALL => coming.merge(taken),
            // The small room goes back only now, in the order that `Memory` asks for.
            _ => self.coming = Some(taken),
        }
        Ok(())
    }

    /// Notes that a large body is not there any more, only what was made of it.
    pub(crate) fn digested(&mut self) {
        if self.processing.is_some() {
            self.coming = None;
        }
    }

    /// Lets what has not been read come and go in the background: a connection that is closed on a client in mid-send
    /// is reset, and the client never sees the answer. One that waits for a go-ahead has sent nothing, and one that was
    /// too slow has had its time.
    pub(crate) fn discard(mut self) {
        (self.coming, self.processing) = (None, None);
        if self.body.is_end_stream() || self.spent {
            return;
        }
        tokio::spawn(async move {
            let mut left = MAX_DISCARDED;
            let drained = async {
                while let Some(Ok(frame)) = self.body.frame().await {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    let Some(rest) = left.checked_sub(length) else { return };
                    left = rest;
                }
            };
            // A client that is still sending after this has had its time.
            let _ = tokio::time::timeout(DISCARD_TIMEOUT, drained).await;
        });
    }
}

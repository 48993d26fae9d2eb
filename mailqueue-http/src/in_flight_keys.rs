//! The idempotency keys of requests that have not been answered yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mailqueue_core::{IdempotencyKey, Outbox};

use crate::wire::deadline::in_time;
use crate::wire::problem::Problem;

/// The time that a repeat waits for the first request before it gets a 409.
const REPEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// A tenant and its key.
type Key = (Option<String>, IdempotencyKey);

/// The keys in use, each with the numbers of the requests that use it.
///
/// The store alone decides who is first; this only tells a repeat that waits in vain apart from a store that is slow.
#[derive(Default)]
pub(crate) struct InFlightKeys(Mutex<State>);

#[derive(Default)]
struct State {
    entered: u64,
    keys: HashMap<Key, Vec<u64>>,
}

/// A request's place among those that use its key; given back when it is dropped.
pub(crate) struct Entry<'k> {
    keys: &'k InFlightKeys,
    taken: Option<(Key, u64)>,
}

impl InFlightKeys {
    /// Takes a place for a request, which needs none when it has no key.
    pub(crate) fn enter(&self, outbox: &Outbox, key: Option<&IdempotencyKey>) -> Entry<'_> {
        let taken = key.map(|key| {
            let key = (outbox.tenant().map(str::to_owned), key.clone());
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.entered += 1;
            let number = state.entered;
            state.keys.entry(key.clone()).or_default().push(number);
            (key, number)
        });
        Entry { keys: self, taken }
    }
}

impl Entry<'_> {
    /// The result of a call to the outbox. A repeat gets 409 when an earlier request with its key is still in progress after a
    /// while, and whatever takes too long otherwise 503.
    pub(crate) async fn wait<T>(&self, asked: impl Future<Output = T>) -> Result<T, Problem> {
        let asked = in_time(asked);
        if !self.is_repeat() {
            return asked.await;
        }
        // Pinned, so that the same call goes on after the first timeout.
        let mut asked = std::pin::pin!(asked);
        match tokio::time::timeout(REPEAT_TIMEOUT, asked.as_mut()).await {
            Ok(answered) => answered,
            Err(_) if self.is_repeat() => Err(Problem::key_in_use()),
            // The earlier request has ended meanwhile, so the store decides soon.
            Err(_) => asked.await,
        }
    }

    /// True where an earlier request uses the same key.
    fn is_repeat(&self) -> bool {
        let Some((key, number)) = &self.taken else { return false };
        let state = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.keys.get(key).is_some_and(|numbers| numbers.iter().any(|other| other < number))
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Some((key, number)) = self.taken.take() else { return };
        let mut state = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = state.keys.get_mut(&key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                state.keys.remove(&key);
            }
        }
    }
}

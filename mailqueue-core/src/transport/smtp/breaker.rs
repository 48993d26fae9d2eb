//! Whether a relay may be tried, and by how many at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How many transactions in a row may break before the relay is left alone.
const BROKEN_LIMIT: u32 = 3;

/// How long a bound on the connections that was learnt from a refusal holds before one more is tried.
const CEILING_STEP: Duration = Duration::from_secs(20);

/// How a use of the relay went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered as a relay does, whatever it thought of the message.
    Well,
    /// The transaction broke.
    Broken,
    /// It takes no message.
    Faulty,
    /// It refused a connection, which may be one too many.
    Full,
}

/// Why a relay cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    /// It is left alone for this long.
    Resting(Duration),
    /// Others use it, and none of them was done in time.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Used by as many as are allowed.
    Working,
    /// Left alone until then; afterwards one may try.
    Resting { until: Instant },
    /// One tries, the others wait for what comes of it.
    Probing,
}

/// A circuit breaker with a bounded number of slots and a slow start.
///
/// It opens at a fault, and after three broken transactions in a row. While it is open nobody gets in; then one, whose
/// success opens the way for one at a time, and each further success for one more, up to the cap. A relay that refuses
/// a connection while it is used on others does not open it, but is given no more than those for a while.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// One waiter for each free slot.
    slot: Notify,
    /// All who wait for the relay to be ready.
    ready: Notify,
    backoff_first: Duration,
    backoff_cap: Duration,
    cap: usize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Counts the rests. What was begun before the last one says nothing new about the relay.
    rests: u64,
    in_use: usize,
    allowed: usize,
    /// As many as the relay was seen to bear, and when that was.
    ceiling: usize,
    ceiling_since: Instant,
    broken: u32,
    backoff: Duration,
}

impl Breaker {
    pub(super) fn new(cap: usize, backoff_first: Duration, backoff_cap: Duration) -> Self {
        let state = State {
            phase: Phase::Working,
            rests: 0,
            in_use: 0,
            allowed: cap,
            ceiling: cap,
            ceiling_since: Instant::now(),
            broken: 0,
            backoff: backoff_first,
        };
        Self {
            state: Mutex::new(state),
            slot: Notify::new(),
            ready: Notify::new(),
            backoff_first,
            backoff_cap,
            cap,
        }
    }

    /// A slot, as soon as there is one; an error when the relay is left alone, or when it took until `by`.
    pub(super) async fn enter(self: &Arc<Self>, by: Instant) -> Result<Permit, NotNow> {
        loop {
            let freed = self.slot.notified();
            if let Some(entered) = self.try_enter() {
                return entered;
            }
            timeout_at(by, freed).await.map_err(|_| NotNow::Busy)?;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Result<Permit, NotNow>> {
        let (mut state, now) = (self.state(), Instant::now());
        match state.phase {
            Phase::Working if state.in_use < state.allowed => {}
            Phase::Resting { until } if now < until => return Some(Err(NotNow::Resting(until - now))),
            Phase::Resting { .. } => state.phase = Phase::Probing,
            Phase::Working | Phase::Probing => return None,
        }
        state.in_use += 1;
        let probing = state.phase == Phase::Probing;
        Some(Ok(Permit { breaker: Arc::clone(self), rests: state.rests, probing, told: false }))
    }

    /// Returns when there is a slot, without taking it.
    pub(super) async fn ready(&self) {
        loop {
            let changed = self.ready.notified();
            let until = {
                let (state, now) = (self.state(), Instant::now());
                match state.phase {
                    Phase::Working if state.in_use < state.allowed => return,
                    Phase::Resting { until } if until <= now => return,
                    Phase::Resting { until } => Some(until),
                    Phase::Working | Phase::Probing => None,
                }
            };
            match until {
                Some(until) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
                None => changed.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who may find a slot now. A rest wakes all, since there is nothing left to wait for.
    fn wake(&self, state: &State) {
        match state.phase {
            Phase::Working => (state.in_use..state.allowed).take(2).for_each(|_| self.slot.notify_one()),
            Phase::Resting { .. } => self.slot.notify_waiters(),
            Phase::Probing => {}
        }
        self.ready.notify_waiters();
    }

    fn rest(&self, state: &mut State) {
        let jittered = state.backoff.mul_f64(0.8 + 0.4 * fastrand::f64());
        state.phase = Phase::Resting { until: Instant::now() + jittered };
        state.backoff = (state.backoff * 2).min(self.backoff_cap);
        state.rests += 1;
        state.broken = 0;
    }
}

impl State {
    fn well(&mut self, probing: bool, breaker: &Breaker) {
        self.broken = 0;
        if probing {
            self.phase = Phase::Working;
            self.allowed = 1;
            self.backoff = breaker.backoff_first;
            return;
        }
        if self.ceiling < breaker.cap && self.ceiling_since.elapsed() >= CEILING_STEP {
            self.ceiling += 1;
            self.ceiling_since = Instant::now();
        }
        self.allowed = self.ceiling.min(self.allowed + 1);
    }

    fn full(&mut self) {
        self.ceiling = self.in_use;
        self.ceiling_since = Instant::now();
        self.allowed = self.allowed.min(self.ceiling);
    }
}

/// A slot of a relay, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    rests: u64,
    probing: bool,
    told: bool,
}

impl Permit {
    /// Whether this is the one that tries while the others wait.
    pub(super) fn is_probe(&self) -> bool {
        self.probing
    }

    /// Gives the slot back and says how it went. Returns how long the relay is left alone from now on: zero, if it may
    /// be tried again at once.
    pub(super) fn finish(mut self, health: Health) -> Duration {
        self.told = true;
        let mut state = self.breaker.state();
        state.in_use -= 1;
        if state.rests == self.rests {
            match health {
                Health::Well => state.well(self.probing, &self.breaker),
                Health::Broken if !self.probing && state.broken + 1 < BROKEN_LIMIT => state.broken += 1,
                // It bears the others, as far as is known; if not, the last of them will open the breaker.
                Health::Full if state.in_use > 0 => state.full(),
                Health::Broken | Health::Faulty | Health::Full => self.breaker.rest(&mut state),
            }
        }
        self.breaker.wake(&state);
        match state.phase {
            Phase::Resting { until } => until.saturating_duration_since(Instant::now()),
            Phase::Working | Phase::Probing => Duration::ZERO,
        }
    }
}

impl Drop for Permit {
    /// Nothing is known when a message was given up half-way. If it was the one that tried, another one may.
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut state = self.breaker.state();
        state.in_use -= 1;
        if self.probing && state.phase == Phase::Probing {
            state.phase = Phase::Resting { until: Instant::now() };
        }
        self.breaker.wake(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(cap: usize) -> Arc<Breaker> {
        Arc::new(Breaker::new(cap, Duration::from_secs(1), Duration::from_secs(60)))
    }

    async fn enter(breaker: &Arc<Breaker>) -> Result<Permit, NotNow> {
        breaker.enter(Instant::now() + Duration::from_millis(1)).await
    }

    async fn rested(breaker: &Arc<Breaker>) -> Duration {
        let started = Instant::now();
        breaker.ready().await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_opens_it_and_each_failed_probe_doubles_the_rest() {
        let breaker = breaker(8);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let rest = enter(&breaker).await.unwrap().finish(Health::Faulty).as_secs_f64();
            assert!((expected * 0.8..=expected * 1.2).contains(&rest), "{rest} for {expected}");
            assert!(matches!(enter(&breaker).await, Err(NotNow::Resting(_))));
            let waited = rested(&breaker).await.as_secs_f64();
            assert!((waited - rest).abs() < 0.01, "{waited} for {rest}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn three_broken_transactions_in_a_row_open_it() {
        let breaker = breaker(8);
        for health in [Health::Broken, Health::Broken, Health::Well, Health::Broken, Health::Broken] {
            assert_eq!(enter(&breaker).await.unwrap().finish(health), Duration::ZERO);
        }
        assert!(enter(&breaker).await.unwrap().finish(Health::Broken) > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probes_while_the_others_wait_and_then_it_starts_slowly() {
        let breaker = breaker(3);
        enter(&breaker).await.unwrap().finish(Health::Faulty);
        rested(&breaker).await;
        let probe = enter(&breaker).await.unwrap();
        assert_eq!(enter(&breaker).await.unwrap_err(), NotNow::Busy);
        probe.finish(Health::Well);
        for allowed in [1, 2, 3, 3] {
            let mut permits = Vec::new();
            for _ in 0..allowed {
                permits.push(enter(&breaker).await.unwrap());
            }
            assert_eq!(enter(&breaker).await.unwrap_err(), NotNow::Busy, "{allowed} are allowed");
            permits.pop().unwrap().finish(Health::Well);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_slot_hears_of_it_and_of_a_rest() {
        let breaker = breaker(1);
        let first = enter(&breaker).await.unwrap();
        let waiting = |breaker: &Arc<Breaker>| {
            let breaker = Arc::clone(breaker);
            tokio::spawn(async move { breaker.enter(Instant::now() + Duration::from_secs(900)).await })
        };
        let (second, third) = (waiting(&breaker), waiting(&breaker));
        tokio::task::yield_now().await;
        first.finish(Health::Well);
        second.await.unwrap().unwrap().finish(Health::Faulty);
        assert!(matches!(third.await.unwrap(), Err(NotNow::Resting(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_what_was_begun_before_a_rest_do_not_lengthen_it() {
        let breaker = breaker(8);
        let (first, second) = (enter(&breaker).await.unwrap(), enter(&breaker).await.unwrap());
        let rest = first.finish(Health::Faulty);
        assert!(second.finish(Health::Faulty) <= rest);
        assert_eq!(breaker.state().backoff, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_probe_lets_another_try() {
        let breaker = breaker(8);
        enter(&breaker).await.unwrap().finish(Health::Faulty);
        rested(&breaker).await;
        drop(enter(&breaker).await.unwrap());
        assert_eq!(rested(&breaker).await, Duration::ZERO);
        enter(&breaker).await.unwrap().finish(Health::Well);
        assert_eq!(breaker.state().phase, Phase::Working);
        assert_eq!(breaker.state().in_use, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_refuses_one_too_many_is_not_left_alone_but_given_fewer() {
        let breaker = breaker(8);
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(enter(&breaker).await.unwrap());
        }
        assert_eq!(permits.pop().unwrap().finish(Health::Full), Duration::ZERO);
        assert_eq!(enter(&breaker).await.unwrap_err(), NotNow::Busy);
        for permit in permits {
            permit.finish(Health::Well);
        }
        assert_eq!(breaker.state().allowed, 3);
        tokio::time::advance(CEILING_STEP).await;
        enter(&breaker).await.unwrap().finish(Health::Well);
        assert_eq!(breaker.state().allowed, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_refuses_all_is_left_alone_once_the_last_was_refused() {
        let breaker = breaker(8);
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(enter(&breaker).await.unwrap());
        }
        let last = permits.pop().unwrap();
        for permit in permits {
            assert_eq!(permit.finish(Health::Full), Duration::ZERO);
            assert_eq!(enter(&breaker).await.unwrap_err(), NotNow::Busy);
        }
        assert!(last.finish(Health::Full) > Duration::ZERO);
    }
}

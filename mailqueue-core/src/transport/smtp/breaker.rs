//! A state breaker with a bounded number of slots and a slow start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::breaker_state::{BreakerState, Health, Phase, Unavailable, Usage};
use crate::contracts::relay_health::RelayPhase;

/// Decides whether a relay is used, and by how many messages at once.
///
/// It trips at a fault, and after three broken transactions in a row. While it is open nobody gets in; then it is half
/// open for one, whose success closes it for one at a time, and further successes for one more each, no faster than the
/// slope allows. A relay that refuses a connection while it is used on others does not trip it, but is given no more than
/// those for a while; one that asks for patience in the middle of a message is given half as many.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<BreakerState>,
    /// One waiter for each free slot.
    slot: Notify,
    /// All who wait for the relay to be ready.
    ready: Notify,
}

impl Breaker {
    /// A closed breaker. `slope` is how many more may use the relay after a second of success.
    pub(super) fn new(cap: usize, slope: u32, backoff_first: Duration, backoff_cap: Duration) -> Self {
        let state = BreakerState::new(cap, slope, backoff_first, backoff_cap);
        Self { state: Mutex::new(state), slot: Notify::new(), ready: Notify::new() }
    }

    /// A slot, as soon as there is one; an error when the breaker is open, or when it took until `by`.
    pub(super) async fn enter(self: &Arc<Self>, by: Instant) -> Result<Permit, Unavailable> {
        loop {
            // Made before the look at the state: `notify_waiters` leaves no permit for a later waiter.
            let freed = self.slot.notified();
            match self.try_enter() {
                Err(Unavailable::Busy) => timeout_at(by, freed).await.map_err(|_| Unavailable::Busy)?,
                entered => return entered,
            }
        }
    }

    /// A slot. Waits for one only at a relay that is used as much as it may ever be: while it is being tried, or given
    /// less than that, others are better.
    pub(super) async fn enter_unless_troubled(self: &Arc<Self>, by: Instant) -> Result<Permit, Unavailable> {
        loop {
            let freed = self.slot.notified();
            match self.try_enter() {
                Err(Unavailable::Busy) if self.state().is_untroubled() => {
                    timeout_at(by, freed).await.map_err(|_| Unavailable::Busy)?;
                }
                entered => return entered,
            }
        }
    }

    /// A slot, if there is one.
    pub(super) fn try_enter(self: &Arc<Self>) -> Result<Permit, Unavailable> {
        let usage = self.state().enter(Instant::now())?;
        Ok(Permit { breaker: Arc::clone(self), usage, finished: false })
    }

    /// Returns when there is a slot, without taking it.
    pub(super) async fn ready(&self) {
        loop {
            // Made before the look at the state, so that no change in between is missed.
            let changed = self.ready.notified();
            let until = {
                let (state, now) = (self.state(), Instant::now());
                match state.phase {
                    _ if state.room(now) > 0 => return,
                    Phase::Open { until } => Some(until),
                    Phase::Closed | Phase::HalfOpen => None,
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

    /// The number of messages that may be begun now; any number, while nothing is known against it.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        match state.room(Instant::now()) {
            // Not bounded by the free slots, because a message without one waits for it in `enter`.
            1.. if state.is_untroubled() => usize::MAX,
            room => room,
        }
    }

    /// The phase, the number of slots in use, and the number of slots that there are now.
    pub(super) fn usage(&self) -> (RelayPhase, usize, usize) {
        let state = self.state();
        match state.phase {
            Phase::Closed => (RelayPhase::Closed, state.in_use, state.limit.now()),
            Phase::Open { .. } => (RelayPhase::Open, state.in_use, 0),
            Phase::HalfOpen => (RelayPhase::HalfOpen, state.in_use, 1),
        }
    }

    /// True while nothing is known against the relay.
    pub(super) fn is_untroubled(&self) -> bool {
        self.state().is_untroubled()
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those that may find a slot now, and everybody when there is trouble: some may go elsewhere then.
    fn wake(&self, state: &BreakerState) {
        if !state.is_untroubled() {
            self.slot.notify_waiters();
        }
        if state.phase == Phase::Closed {
            // Two at most: one slot was given back, and a success adds no more than one.
            (state.in_use..state.limit.now()).take(2).for_each(|_| self.slot.notify_one());
        }
        // All of them, because they only look: none takes a slot from the others.
        self.ready.notify_waiters();
    }
}

/// A slot of a relay, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    usage: Usage,
    finished: bool,
}

impl Permit {
    /// True for the one that tries while the others wait.
    pub(super) fn is_probe(&self) -> bool {
        self.usage.is_probe()
    }

    /// Gives the slot back, but goes on to find out whether the relay can be used: it takes long to open a connection.
    pub(super) fn suspend(&mut self) {
        let mut state = self.breaker.state();
        state.suspend(&mut self.usage);
        self.breaker.wake(&state);
    }

    /// Gives the slot back and reports the result. Returns how long the relay is left alone from now on: zero, if it may
    /// be tried again at once.
    pub(super) fn finish(mut self, health: Health) -> Duration {
        self.finished = true;
        let mut state = self.breaker.state();
        state.finish(&self.usage, health);
        self.breaker.wake(&state);
        match state.phase {
            Phase::Open { until } => until.saturating_duration_since(Instant::now()),
            Phase::Closed | Phase::HalfOpen => Duration::ZERO,
        }
    }
}

impl Drop for Permit {
    /// Nothing is known when a message was given up half-way.
    fn drop(&mut self) {
        if !self.finished {
            let mut state = self.breaker.state();
            state.abandon(&self.usage);
            self.breaker.wake(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(cap: usize) -> Arc<Breaker> {
        Arc::new(Breaker::new(cap, 2, Duration::from_secs(1), Duration::from_secs(60)))
    }

    async fn enter(breaker: &Arc<Breaker>) -> Result<Permit, Unavailable> {
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
            assert!(matches!(enter(&breaker).await, Err(Unavailable::Open(_))));
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
        assert_eq!(enter(&breaker).await.unwrap_err(), Unavailable::Busy);
        probe.finish(Health::Well);
        for allowed in [1, 2, 3, 3] {
            // As the slope has it: one more after each half second.
            assert_eq!(breaker.state().limit.now(), allowed);
            tokio::time::advance(Duration::from_millis(500)).await;
            let mut permits = Vec::new();
            for _ in 0..allowed {
                permits.push(enter(&breaker).await.unwrap());
            }
            assert_eq!(enter(&breaker).await.unwrap_err(), Unavailable::Busy, "{allowed} are allowed");
            permits.pop().unwrap().finish(Health::Well);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_hears_of_a_free_slot_and_of_a_trip() {
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
        assert!(matches!(third.await.unwrap(), Err(Unavailable::Open(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_uses_from_before_a_trip_do_not_lengthen_it() {
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
        assert_eq!(breaker.state().phase, Phase::Closed);
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
        assert_eq!(enter(&breaker).await.unwrap_err(), Unavailable::Busy);
        for permit in permits {
            permit.finish(Health::Well);
        }
        assert_eq!(breaker.state().limit.now(), 3);
        tokio::time::advance(super::super::concurrency_limit::BOUND_INTERVAL).await;
        enter(&breaker).await.unwrap().finish(Health::Well);
        assert_eq!(breaker.state().limit.now(), 4);
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
            assert_eq!(enter(&breaker).await.unwrap_err(), Unavailable::Busy);
        }
        assert!(last.finish(Health::Full) > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_halves_what_it_is_given_once_for_all_that_were_under_way() {
        let breaker = breaker(32);
        let mut permits = Vec::new();
        for _ in 0..32 {
            permits.push(enter(&breaker).await.unwrap());
        }
        for permit in permits {
            assert_eq!(permit.finish(Health::Pressed), Duration::ZERO);
        }
        assert_eq!(breaker.state().limit.now(), 16);
        for expected in [17, 18, 19] {
            tokio::time::advance(Duration::from_millis(500)).await;
            enter(&breaker).await.unwrap().finish(Health::Well);
            enter(&breaker).await.unwrap().finish(Health::Well);
            assert_eq!(breaker.state().limit.now(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_on_one_at_a_time_opens_it() {
        let breaker = breaker(32);
        assert_eq!(enter(&breaker).await.unwrap().finish(Health::Pressed), Duration::ZERO);
        assert!(enter(&breaker).await.unwrap().finish(Health::Pressed) > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_tries_while_all_that_do_take_long() {
        let breaker = breaker(8);
        let (mut first, mut second) = (enter(&breaker).await.unwrap(), enter(&breaker).await.unwrap());
        first.suspend();
        assert!(breaker.try_enter().is_err(), "the second one may have opened the only connection it bears");
        second.suspend();
        assert_eq!(breaker.room(), 0);
        assert_eq!(breaker.try_enter().unwrap_err(), Unavailable::Busy);
        second.finish(Health::Well);
        assert_eq!((breaker.room(), breaker.state().in_use), (1, 0));
        first.finish(Health::Faulty);
        assert_eq!(breaker.room(), 1, "it works on the other connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_failure_opens_it() {
        let breaker = breaker(8);
        let mut only = enter(&breaker).await.unwrap();
        only.suspend();
        assert!(only.finish(Health::Faulty) > Duration::ZERO);
        rested(&breaker).await;
        let mut probe = enter(&breaker).await.unwrap();
        probe.suspend();
        assert_eq!(breaker.room(), 0);
        drop(probe);
        assert_eq!(breaker.room(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_could_go_elsewhere_waits_only_at_a_relay_without_trouble() {
        let breaker = breaker(1);
        let elsewhere = |breaker: &Arc<Breaker>| {
            let breaker = Arc::clone(breaker);
            tokio::spawn(async move {
                breaker.enter_unless_troubled(Instant::now() + Duration::from_secs(900)).await
            })
        };
        let mut first = enter(&breaker).await.unwrap();
        let waiting = elsewhere(&breaker);
        tokio::task::yield_now().await;
        first.suspend();
        assert_eq!(waiting.await.unwrap().unwrap_err(), Unavailable::Busy);
        assert_eq!(elsewhere(&breaker).await.unwrap().unwrap_err(), Unavailable::Busy);
    }
}

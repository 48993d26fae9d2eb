//! Whether a relay is used, and by how many messages at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::allowance::Allowance;

/// How many transactions in a row may break before the relay is left alone.
const BROKEN_LIMIT: u32 = 3;

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
    /// It asked for patience with everybody in the middle of a message.
    Pressed,
}

/// Why a relay cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    /// It is left alone for this long.
    Resting(Duration),
    /// Others use it, or one of them finds out whether it can be used.
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
/// success opens the way for one at a time, and further successes for one more each, no faster than the slope allows. A
/// relay that refuses a connection while it is used on others does not open it, but is given no more than those for a
/// while; one that asks for patience in the middle of a message is given half as many.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// One waiter for each free slot.
    slot: Notify,
    /// All who wait for the relay to be ready.
    ready: Notify,
    backoff_first: Duration,
    backoff_cap: Duration,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Counts the rests. What was begun before the last one says nothing new about the relay.
    rests: u64,
    in_use: usize,
    allowance: Allowance,
    broken: u32,
    backoff: Duration,
}

impl Breaker {
    /// `slope` is how many more may use the relay after a second of success.
    pub(super) fn new(cap: usize, slope: u32, backoff_first: Duration, backoff_cap: Duration) -> Self {
        let state = State {
            phase: Phase::Working,
            rests: 0,
            in_use: 0,
            allowance: Allowance::new(cap, slope),
            broken: 0,
            backoff: backoff_first,
        };
        let (slot, ready) = (Notify::new(), Notify::new());
        Self { state: Mutex::new(state), slot, ready, backoff_first, backoff_cap }
    }

    /// A slot, as soon as there is one; an error when the relay is left alone, or when it took until `by`.
    pub(super) async fn enter(self: &Arc<Self>, by: Instant) -> Result<Permit, NotNow> {
        loop {
            let freed = self.slot.notified();
            match self.try_enter() {
                Err(NotNow::Busy) => timeout_at(by, freed).await.map_err(|_| NotNow::Busy)?,
                entered => return entered,
            }
        }
    }

    /// A slot. Waits for one only at a relay that is used as much as it may ever be: while it is being tried, or given
    /// less than that, others are better.
    pub(super) async fn enter_unless_troubled(self: &Arc<Self>, by: Instant) -> Result<Permit, NotNow> {
        loop {
            let freed = self.slot.notified();
            match self.try_enter() {
                Err(NotNow::Busy) if self.state().is_untroubled() => {
                    timeout_at(by, freed).await.map_err(|_| NotNow::Busy)?;
                }
                entered => return entered,
            }
        }
    }

    /// A slot, if there is one.
    pub(super) fn try_enter(self: &Arc<Self>) -> Result<Permit, NotNow> {
        let (mut state, now) = (self.state(), Instant::now());
        match state.phase {
            Phase::Working if state.in_use < state.allowance.now() => {}
            Phase::Resting { until } if now < until => return Err(NotNow::Resting(until - now)),
            Phase::Resting { .. } => state.phase = Phase::Probing,
            Phase::Working | Phase::Probing => return Err(NotNow::Busy),
        }
        state.in_use += 1;
        let probing = state.phase == Phase::Probing;
        let (rests, cuts) = (state.rests, state.allowance.cuts());
        Ok(Permit { breaker: Arc::clone(self), rests, cuts, probing, suspended: false, told: false })
    }

    /// Returns when there is a slot, without taking it.
    pub(super) async fn ready(&self) {
        loop {
            let changed = self.ready.notified();
            let until = {
                let (state, now) = (self.state(), Instant::now());
                match state.phase {
                    _ if state.room(now) > 0 => return,
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

    /// How many may be begun now: any number, while nothing is known against it.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        match state.room(Instant::now()) {
            1.. if state.is_untroubled() => usize::MAX,
            room => room,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who may find a slot now, and everybody when there is trouble: some may go elsewhere then.
    fn wake(&self, state: &State) {
        if !state.is_untroubled() {
            self.slot.notify_waiters();
        }
        if state.phase == Phase::Working {
            (state.in_use..state.allowance.now()).take(2).for_each(|_| self.slot.notify_one());
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

    fn well(&self, state: &mut State, probing: bool) {
        state.broken = 0;
        if probing {
            state.phase = Phase::Working;
            state.allowance.start_slowly();
            state.backoff = self.backoff_first;
        } else {
            state.allowance.grow();
        }
    }
}

impl State {
    fn room(&self, now: Instant) -> usize {
        match self.phase {
            Phase::Working => self.allowance.now().saturating_sub(self.in_use),
            Phase::Resting { until } => usize::from(until <= now),
            Phase::Probing => 0,
        }
    }

    fn is_untroubled(&self) -> bool {
        self.phase == Phase::Working && self.allowance.is_whole()
    }
}

/// A slot of a relay, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    rests: u64,
    cuts: u64,
    probing: bool,
    suspended: bool,
    told: bool,
}

impl Permit {
    /// Whether this is the one that tries while the others wait.
    pub(super) fn is_probe(&self) -> bool {
        self.probing
    }

    /// Gives the slot back, but goes on to find out whether the relay can be used: it takes long to open a connection.
    /// If it is used on others, those are as many as it is given for now; if not, nobody tries until this one knows.
    pub(super) fn suspend(&mut self) {
        let mut state = self.breaker.state();
        state.in_use -= 1;
        self.suspended = true;
        if state.rests == self.rests && state.phase == Phase::Working {
            let others = state.in_use;
            if others > 0 {
                state.allowance.bound(others);
            } else {
                state.phase = Phase::Probing;
            }
        }
        self.breaker.wake(&state);
    }

    /// Gives the slot back and says how it went. Returns how long the relay is left alone from now on: zero, if it may
    /// be tried again at once.
    pub(super) fn finish(mut self, health: Health) -> Duration {
        self.told = true;
        let mut state = self.breaker.state();
        state.in_use -= usize::from(!self.suspended);
        if state.rests == self.rests {
            self.tell(&mut state, health);
        }
        self.breaker.wake(&state);
        match state.phase {
            Phase::Resting { until } => until.saturating_duration_since(Instant::now()),
            Phase::Working | Phase::Probing => Duration::ZERO,
        }
    }

    fn tell(&self, state: &mut State, health: Health) {
        let probing = self.probing || self.suspended;
        // It is used on other connections, whatever came of this one.
        if self.suspended && state.phase == Phase::Working {
            return;
        }
        match health {
            Health::Well => self.breaker.well(state, probing),
            Health::Broken if !probing && state.broken + 1 < BROKEN_LIMIT => state.broken += 1,
            // It bears the others, as far as is known; if not, the last of them will open the breaker.
            Health::Full if state.in_use > 0 => state.allowance.bound(state.in_use),
            // Said to what was begun before the last cut, it is no news.
            Health::Pressed if !probing && self.cuts != state.allowance.cuts() => {}
            Health::Pressed if !probing && state.allowance.cut(state.in_use + 1) => {}
            Health::Broken | Health::Faulty | Health::Full | Health::Pressed => self.breaker.rest(state),
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
        state.in_use -= usize::from(!self.suspended);
        let tried = (self.probing || self.suspended) && self.rests == state.rests;
        if tried && state.phase == Phase::Probing {
            state.phase = Phase::Resting { until: Instant::now() };
        }
        self.breaker.wake(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(cap: usize) -> Arc<Breaker> {
        Arc::new(Breaker::new(cap, 2, Duration::from_secs(1), Duration::from_secs(60)))
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
            // As the slope has it: one more after each half second.
            assert_eq!(breaker.state().allowance.now(), allowed);
            tokio::time::advance(Duration::from_millis(500)).await;
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
        assert_eq!(breaker.state().allowance.now(), 3);
        tokio::time::advance(super::super::allowance::BOUND_STEP).await;
        enter(&breaker).await.unwrap().finish(Health::Well);
        assert_eq!(breaker.state().allowance.now(), 4);
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
        assert_eq!(breaker.state().allowance.now(), 16);
        for expected in [17, 18, 19] {
            tokio::time::advance(Duration::from_millis(500)).await;
            enter(&breaker).await.unwrap().finish(Health::Well);
            enter(&breaker).await.unwrap().finish(Health::Well);
            assert_eq!(breaker.state().allowance.now(), expected);
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
        assert_eq!(breaker.try_enter().unwrap_err(), NotNow::Busy);
        second.finish(Health::Well);
        assert_eq!((breaker.room(), breaker.state().in_use), (1, 0));
        first.finish(Health::Faulty);
        assert_eq!(breaker.room(), 1, "it works on the other connection");
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_long_and_failed_opens_it() {
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
    async fn who_could_go_elsewhere_waits_only_at_a_relay_without_trouble() {
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
        assert_eq!(waiting.await.unwrap().unwrap_err(), NotNow::Busy);
        assert_eq!(elsewhere(&breaker).await.unwrap().unwrap_err(), NotNow::Busy);
    }
}

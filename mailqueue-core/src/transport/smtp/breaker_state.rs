//! The state of a circuit breaker: closed, open or half open, and how many may use it at once.

use std::time::Duration;

use tokio::time::Instant;

use super::concurrency_limit::ConcurrencyLimit;

/// The number of broken transactions in a row that opens the breaker.
const MAX_BROKEN_IN_ROW: u32 = 3;

/// The result of one use of a relay.
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

/// The reason why a relay cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// The breaker stays open for this long.
    Open(Duration),
    /// Others use it, or one of them finds out whether it can be used.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Used by as many as are allowed.
    Closed,
    /// Left alone until then; afterwards one may try.
    Open { until: Instant },
    /// One tries, the others wait for its result.
    HalfOpen,
}

/// One use of the relay, as it was when it began.
#[derive(Debug)]
pub(super) struct Usage {
    trips: u64,
    cuts: u64,
    probing: bool,
    suspended: bool,
}

impl Usage {
    /// True for the one that tries while the others wait.
    pub(super) fn is_probe(&self) -> bool {
        self.probing
    }
}

/// The state of a breaker. Nothing here waits.
#[derive(Debug)]
pub(super) struct BreakerState {
    pub(super) phase: Phase,
    /// Counts the trips. A use that began before the last one says nothing new about the relay.
    trips: u64,
    pub(super) in_use: usize,
    pub(super) limit: ConcurrencyLimit,
    broken: u32,
    pub(super) backoff: Duration,
    backoff_first: Duration,
    backoff_cap: Duration,
}

impl BreakerState {
    /// A closed circuit. `slope` is how many more may use the relay after a second of success.
    pub(super) fn new(cap: usize, slope: u32, backoff_first: Duration, backoff_cap: Duration) -> Self {
        Self {
            phase: Phase::Closed,
            trips: 0,
            in_use: 0,
            limit: ConcurrencyLimit::new(cap, slope),
            broken: 0,
            backoff: backoff_first,
            backoff_first,
            backoff_cap,
        }
    }

    /// Takes a slot, if there is one.
    pub(super) fn enter(&mut self, now: Instant) -> Result<Usage, Unavailable> {
        match self.phase {
            Phase::Closed if self.in_use < self.limit.now() => {}
            Phase::Open { until } if now < until => return Err(Unavailable::Open(until - now)),
            // Makes this use the probe; those that come next find the breaker half open.
            Phase::Open { .. } => self.phase = Phase::HalfOpen,
            Phase::Closed | Phase::HalfOpen => return Err(Unavailable::Busy),
        }
        self.in_use += 1;
        let probing = self.phase == Phase::HalfOpen;
        Ok(Usage { trips: self.trips, cuts: self.limit.cuts(), probing, suspended: false })
    }

    /// The number of free slots.
    pub(super) fn room(&self, now: Instant) -> usize {
        match self.phase {
            Phase::Closed => self.limit.now().saturating_sub(self.in_use),
            Phase::Open { until } => usize::from(until <= now),
            Phase::HalfOpen => 0,
        }
    }

    /// True while nothing is known against the relay.
    pub(super) fn is_untroubled(&self) -> bool {
        self.phase == Phase::Closed && self.limit.is_whole()
    }

    /// Gives the slot back although the use goes on. Others that use the relay are as many as it is given for now; if
    /// there are none, nobody tries until this one knows.
    pub(super) fn suspend(&mut self, usage: &mut Usage) {
        self.in_use -= 1;
        usage.suspended = true;
        if self.trips == usage.trips && self.phase == Phase::Closed {
            match self.in_use {
                0 => self.phase = Phase::HalfOpen,
                // Bears those in use, as far as is known; one connection more may be what it stalls.
                others => self.limit.bound(others),
            }
        }
    }

    /// Gives the slot back and takes account of the result.
    pub(super) fn finish(&mut self, usage: &Usage, health: Health) {
        self.in_use -= usize::from(!usage.suspended);
        // A suspended use of a closed breaker says nothing: the relay is used on other connections.
        if self.trips == usage.trips && !(usage.suspended && self.phase == Phase::Closed) {
            self.account(usage, health);
        }
    }

    fn account(&mut self, usage: &Usage, health: Health) {
        let probing = usage.probing || usage.suspended;
        match health {
            Health::Well => self.succeed(probing),
            Health::Broken if !probing && self.broken + 1 < MAX_BROKEN_IN_ROW => self.broken += 1,
            // It bears the others, as far as is known; if not, the last of them will open the breaker.
            Health::Full if self.in_use > 0 => self.limit.bound(self.in_use),
            // Said to a use that began before the last cut, it is no news.
            Health::Pressed if !probing && usage.cuts != self.limit.cuts() => {}
            // One more than `in_use`, from which `finish` has already taken this use.
            Health::Pressed if !probing && self.limit.cut(self.in_use + 1) => {}
            Health::Broken | Health::Faulty | Health::Full | Health::Pressed => self.trip(),
        }
    }

    /// Gives back the slot of a use without a result. If it was the one that tried, another one may.
    pub(super) fn abandon(&mut self, usage: &Usage) {
        self.in_use -= usize::from(!usage.suspended);
        let tried = (usage.probing || usage.suspended) && self.trips == usage.trips;
        if tried && self.phase == Phase::HalfOpen {
            // No rest: nothing was learnt about the relay, so the next one may try at once.
            self.phase = Phase::Open { until: Instant::now() };
        }
    }

    fn succeed(&mut self, probing: bool) {
        self.broken = 0;
        if probing {
            self.phase = Phase::Closed;
            self.limit.start_slowly();
            self.backoff = self.backoff_first;
        } else {
            self.limit.grow();
        }
    }

    fn trip(&mut self) {
        // Spread out, so that workers that met the same outage do not probe together.
        let jittered = self.backoff.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.phase = Phase::Open { until: Instant::now() + jittered };
        self.backoff = (self.backoff * 2).min(self.backoff_cap);
        self.trips += 1;
        self.broken = 0;
    }
}

//! Counting, in this process.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Rate;
use crate::wire::rate_limit_status::RateLimitStatus;

/// The largest number of counters for addresses: a few MiB.
const MAX_COUNTERS: u64 = 1 << 16;

/// Holds everybody to a rate of their own, by a number that stands for them.
pub(crate) struct Limiter {
    counters: RateLimiter<u32, HashMapStateStore<u32>, DefaultClock, StateInformationMiddleware>,
}

impl Limiter {
    /// A limiter in which everybody has all of their allowance.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { counters: RateLimiter::hashmap(rate.quota()).with_middleware() }
    }

    /// Counts a request; the error says when to come again.
    pub(crate) fn take(&self, who: u32) -> Result<RateLimitStatus, RateLimitStatus> {
        match self.counters.check_key(&who) {
            Ok(state) => {
                let (quota, remaining) = (state.quota(), state.remaining_burst_capacity());
                Ok(status(quota, remaining, std::time::Duration::ZERO))
            }
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(self.counters.clock().now());
                Err(status(not_yet.quota(), 0, wait))
            }
        }
    }
}

fn status(quota: Quota, remaining: u32, wait: std::time::Duration) -> RateLimitStatus {
    let limit = quota.burst_size().get();
    let reset = quota.replenish_interval() * limit.saturating_sub(remaining);
    RateLimitStatus { limit, remaining, reset, wait }
}

/// Holds every network address to a rate.
///
/// Its memory is bounded whatever comes: addresses share [`MAX_COUNTERS`] counters by a hash that nobody outside can foresee.
/// Two of them may meet in one counter, which is rare while there are far fewer of them, and forgotten in time.
pub(crate) struct AddressLimiter {
    limiter: Limiter,
    hashes: RandomState,
}

impl AddressLimiter {
    /// A limiter in which every address has all of its allowance.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { limiter: Limiter::new(rate), hashes: RandomState::new() }
    }

    /// Counts a request; the error says when to come again.
    pub(crate) fn take(&self, address: IpAddr) -> Result<RateLimitStatus, RateLimitStatus> {
        let cell = self.hashes.hash_one(network(address)) % MAX_COUNTERS;
        // Cannot fail: the number is below `MAX_COUNTERS`.
        self.limiter.take(u32::try_from(cell).unwrap_or_default())
    }
}

/// The number for one customer of a provider: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_an_allowance_of_their_own() {
        let limiter = Limiter::new(Rate::per_minute(2));
        let first = limiter.take(1).unwrap();
        assert_eq!((first.limit, first.remaining, first.reset.as_secs()), (2, 1, 30));
        assert_eq!(limiter.take(1).unwrap().remaining, 0);
        let refused = limiter.take(1).unwrap_err();
        assert_eq!((refused.limit, refused.remaining), (2, 0));
        assert!((1..=30).contains(&refused.wait()));
        assert!(limiter.take(2).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let limiter = AddressLimiter::new(Rate::per_minute(1));
        for n in 0..200_000_u128 {
            let _ = limiter.take(IpAddr::V6((n << 64).into()));
        }
        assert!(limiter.limiter.counters.len() as u64 <= MAX_COUNTERS);
    }
}

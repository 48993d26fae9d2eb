//! The moment at which a further call to the store is begun.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// The least time between the beginnings of two calls that are under way together. A call costs the database about a
/// tenth of it, however little it carries; and timers are no finer.
const MIN_GAP: Duration = Duration::from_millis(1);

/// The number of items that a call carries at most.
pub(super) const MAX_BATCH: usize = 256;

/// The number of items in a call that shows that there are many callers.
const MANY: usize = 4;

/// The number of items for which a call is begun before they have gathered for as long as they can.
const ENOUGH: usize = 32;

/// The part of the time for gathering after which items are counted for the first time, and again.
const COUNTS: u32 = 3;

/// Balanced calls that take this long wait for the disk more than for anything else.
const SLOW: Duration = Duration::from_micros(1500);

/// How long items gather beside balanced calls that are slow. Whoever has just been answered has asked again by then, and
/// the database begins its next write to the disk later still.
const SLOW_GATHERING: Duration = Duration::from_millis(1);

/// The number of items that need not gather any longer beside slow calls.
const SLOW_ENOUGH: usize = 16;

/// Decides when calls are begun.
///
/// Where calls are quick, one is under way at a time, and what comes meanwhile gathers into a large batch. Where they
/// are slow, because the disk is, further ones are begun at even intervals beside them: the database commits together
/// what comes while it waits for the disk.
#[derive(Debug)]
pub(super) struct Pace {
    at_most: NonZeroU32,
    /// The longest time between the beginnings of two calls, of which the first was shared by many.
    gathering: Duration,
    is_balanced: bool,
    /// The beginning of the latest call.
    latest: Option<Instant>,
    /// The number of items in it.
    latest_len: usize,
    /// The time that calls have taken of late.
    usual: Duration,
    /// The time at which the oldest of the items that are waiting was first seen.
    waiting_since: Option<Instant>,
}

/// The time for a further call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At once.
    Now,
    /// At that time, or once there is none under way, or once more are waiting.
    At(Instant),
}

impl Next {
    /// At a time, which may have come.
    fn since(time: Instant, now: Instant) -> Self {
        if now >= time { Self::Now } else { Self::At(time) }
    }
}

impl Pace {
    /// At most so many calls at once.
    pub(super) fn new(at_most: NonZeroU32) -> Self {
        Self {
            at_most,
            gathering: Duration::ZERO,
            is_balanced: false,
            latest: None,
            latest_len: 0,
            usual: Duration::ZERO,
            waiting_since: None,
        }
    }

    /// The same, for items whose callers can wait for so long while many others ask: fewer calls carry more. After a third of
    /// the time, and after two, a call is begun if there are enough.
    pub(super) fn gathering(self, gathering: Duration) -> Self {
        Self { gathering, ..self }
    }

    /// The same, but a call is also begun once as many items are waiting as the latest call carries. Some callers then
    /// prepare their next item while the database works for the others. It costs the database more, as batches are
    /// smaller.
    ///
    /// Where calls are slow, items gather for a moment from the first on, so that none of the few calls is spent on one or
    /// two of those that come together: what finds no call waits for the disk once more.
    pub(super) fn balanced(self) -> Self {
        Self { is_balanced: true, ..self }
    }

    /// Tells whether a further item that waits can bring a call forward.
    pub(super) fn counts_waiting(&self) -> bool {
        self.is_balanced
    }

    /// Tells whether a call may be begun beside so many.
    pub(super) fn has_room(&self, running: usize) -> bool {
        running < self.at_most.get() as usize
    }

    /// The time for a call beside so many when so many items are waiting; a batch that is full has nothing to wait for.
    pub(super) fn next(&mut self, running: usize, waiting: usize, now: Instant) -> Next {
        let since = *self.waiting_since.get_or_insert(now);
        let is_slow = self.is_balanced && self.usual >= SLOW;
        let least = if is_slow { self.latest_len.max(SLOW_ENOUGH) } else { self.latest_len };
        let is_enough = waiting >= MAX_BATCH || (self.is_balanced && waiting >= least);
        let Some(latest) = self.latest.filter(|_| !is_enough) else { return Next::Now };
        if is_slow && running > 0 {
            return Next::since(since + SLOW_GATHERING, now);
        }
        let gathering = if self.latest_len >= MANY { self.gathering } else { Duration::ZERO };
        let beside =
            if running > 0 { (self.usual / self.at_most.get()).max(MIN_GAP) } else { Duration::ZERO };
        // Counted a few times only: to be woken by each item would cost more than it gains.
        let mut counts = (1..=COUNTS).map(|n| latest + (gathering * n / COUNTS).max(beside));
        let next = if waiting >= ENOUGH { counts.next() } else { counts.find(|time| now < *time) };
        next.map_or(Next::Now, |time| Next::since(time, now))
    }

    /// Notes the beginning of a call with so many items.
    pub(super) fn begun(&mut self, now: Instant, len: usize) {
        (self.latest, self.latest_len) = (Some(now), len);
        self.waiting_since = None;
    }

    /// Notes the end of a call.
    pub(super) fn ended(&mut self, took: Duration) {
        // Smoothed, so that one slow commit among quick ones changes little.
        self.usual = (self.usual * 3 + took) / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace of four calls at once, each of which takes so long, and the beginning of the latest.
    fn pace(took: Duration) -> (Pace, Instant) {
        let mut pace = Pace::new(NonZeroU32::new(4).expect("four"));
        (0..100).for_each(|_| pace.ended(took));
        let begun = Instant::now();
        pace.begun(begun, 1);
        (pace, begun)
    }

    #[test]
    fn a_call_beside_no_other_is_begun_at_once() {
        let (mut pace, now) = pace(Duration::from_secs(1));
        assert_eq!(pace.next(0, 1, now), Next::Now);
    }

    #[test]
    fn slow_calls_are_spread_over_their_time() {
        let (mut pace, begun) = pace(Duration::from_millis(100));
        let Next::At(time) = pace.next(1, 1, begun) else { panic!("at once") };
        assert!((Duration::from_millis(24)..=Duration::from_millis(25)).contains(&(time - begun)));
        assert_eq!(pace.next(1, 1, time), Next::Now);
        assert_eq!(pace.next(1, MAX_BATCH, begun), Next::Now, "there is nothing to gather");
        assert!(pace.has_room(3) && !pace.has_room(4));
    }

    #[test]
    fn quick_calls_gather() {
        let (mut pace, begun) = pace(Duration::from_micros(100));
        assert_eq!(pace.next(1, 1, begun), Next::At(begun + MIN_GAP));
    }

    #[test]
    fn calls_for_many_gather_and_calls_for_few_do_not() {
        let gathering = Duration::from_millis(9);
        let mut pace = Pace::new(NonZeroU32::MIN).gathering(gathering);
        let begun = Instant::now();
        pace.begun(begun, MANY);
        let (first, second) = (begun + gathering / 3, begun + gathering * 2 / 3);
        assert_eq!(pace.next(0, 1, begun), Next::At(first));
        assert_eq!(pace.next(0, ENOUGH, begun), Next::At(first));
        assert_eq!(pace.next(0, ENOUGH, first), Next::Now);
        assert_eq!(pace.next(0, ENOUGH - 1, first), Next::At(second));
        assert_eq!(pace.next(0, ENOUGH, second), Next::Now);
        assert_eq!(pace.next(0, 1, second), Next::At(begun + gathering));
        assert_eq!(pace.next(0, 1, begun + gathering), Next::Now);
        assert_eq!(pace.next(0, MAX_BATCH, begun), Next::Now, "there is nothing to gather");
        pace.begun(begun, MANY - 1);
        assert_eq!(pace.next(0, 1, begun), Next::Now);
    }

    #[test]
    fn balanced_calls_carry_as_many_as_one_another() {
        let mut pace = Pace::new(NonZeroU32::MIN).balanced();
        let begun = Instant::now();
        pace.begun(begun, 40);
        assert_eq!(pace.next(1, 40, begun), Next::Now);
        assert_eq!(pace.next(1, 39, begun), Next::At(begun + MIN_GAP));
    }

    #[test]
    fn balanced_calls_that_are_slow_gather_from_the_first_item_on() {
        let (pace, begun) = pace(Duration::from_millis(3));
        let mut pace = pace.balanced();
        let first = begun + Duration::from_secs(1);
        assert_eq!(pace.next(1, 1, first), Next::At(first + SLOW_GATHERING));
        let later = first + SLOW_GATHERING / 2;
        assert_eq!(pace.next(1, SLOW_ENOUGH - 1, later), Next::At(first + SLOW_GATHERING));
        assert_eq!(pace.next(1, SLOW_ENOUGH, later), Next::Now, "enough have gathered");
        assert_eq!(pace.next(0, 1, later), Next::Now, "nothing else is under way");
        assert_eq!(pace.next(1, 1, first + SLOW_GATHERING), Next::Now);
        pace.begun(later, 20);
        assert_eq!(pace.next(1, 19, later), Next::At(later + SLOW_GATHERING), "less than the latest carries");
    }
}

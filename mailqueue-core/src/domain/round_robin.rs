//! Smooth weighted round robin among the lanes.

use std::fmt;
use std::str::FromStr;

use super::lane::Lane;

/// The number of lanes.
const LANES: usize = Lane::ALL.len();

/// The largest weight of a lane.
const MAX_WEIGHT: u32 = 1000;

/// The shares of the lanes while all of them hold mail: urgent, normal, bulk. Each weight is at least 1, so
/// that no lane starves, and at most 1000. Default 8 : 4 : 1.
///
/// ```
/// use mailqueue_core::LaneWeights;
///
/// let weights: LaneWeights = "6,3,1".parse()?;
/// assert_eq!(weights.to_string(), "6,3,1");
/// assert!("6,3,0".parse::<LaneWeights>().is_err());
/// # Ok::<(), mailqueue_core::domain::round_robin::LaneWeightsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneWeights([u32; LANES]);

/// The error for a text that is not the weights of the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be three whole numbers from 1 to {MAX_WEIGHT} for urgent, normal and bulk, such as 8,4,1")]
pub struct LaneWeightsError;

impl Default for LaneWeights {
    fn default() -> Self {
        Self([8, 4, 1])
    }
}

impl FromStr for LaneWeights {
    type Err = LaneWeightsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let weights: Vec<u32> = text.split(',').filter_map(|weight| weight.trim().parse().ok()).collect();
        <[u32; LANES]>::try_from(weights)
            .ok()
            // Counts the parts again, because those that are no numbers were left out above.
            .filter(|weights| {
                text.split(',').count() == LANES
                    && weights.iter().all(|weight| (1..=MAX_WEIGHT).contains(weight))
            })
            .map(Self)
            .ok_or(LaneWeightsError)
    }
}

impl fmt::Display for LaneWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [urgent, normal, bulk] = self.0;
        write!(f, "{urgent},{normal},{bulk}")
    }
}

/// The messages to take in one call: at most `most` messages, of the first of `lanes` that holds any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The lanes to look in, in this order.
    pub lanes: Vec<Lane>,
    /// The number of messages to take, at least 1.
    pub most: usize,
}

/// Divides what is taken among the lanes.
///
/// While all lanes hold mail each gets its share of any run of messages, give or take what one [`plan`](Self::plan)
/// takes. What a lane does not use the others get; it neither saves it up nor owes it.
///
/// The credit is that of nginx's smooth weighted round robin: with every message each lane that holds mail earns its
/// weight, the one that is served pays the sum, and the one with the most credit is next.
#[derive(Debug, Clone)]
pub struct LaneTurns {
    weights: LaneWeights,
    credit: [i64; LANES],
    /// Lanes that gave all that was asked of them last.
    holding: [bool; LANES],
}

impl LaneTurns {
    /// Turns by these weights; nothing is known of the lanes yet.
    #[must_use]
    pub fn new(weights: LaneWeights) -> Self {
        Self { weights, credit: [0; LANES], holding: [false; LANES] }
    }

    /// True if no lane is known to hold more than was taken: time to wait for what comes.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.holding.contains(&true)
    }

    /// A plan for the next `most` messages (at least 1): turns that can be taken side by side and come to `most`.
    ///
    /// Lanes of which nothing is known are looked at first, but get no more than a small part until they are known to
    /// hold mail. Tell with [`served`](Self::served) what each turn brought.
    #[must_use]
    pub fn plan(&self, most: usize) -> Vec<Turn> {
        let most = most.max(1);
        if self.is_idle() {
            return vec![Turn { lanes: Lane::ALL.to_vec(), most }];
        }
        let shares = self.shares(most);
        let mut turns: Vec<Turn> = Lane::ALL
            .into_iter()
            .filter(|lane| shares[*lane as usize] > 0)
            .map(|lane| Turn { lanes: vec![lane], most: shares[lane as usize] })
            .collect();
        let unknown: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| !self.holding[*lane as usize]).collect();
        if !unknown.is_empty() {
            look_at(unknown, &mut turns);
        }
        turns
    }

    /// The next `most` messages among the lanes that hold mail, counted by lane.
    fn shares(&self, most: usize) -> [usize; LANES] {
        // Counts ahead on a copy, because `served` charges for what really came.
        let (mut ahead, mut shares) = (self.clone(), [0; LANES]);
        for _ in 0..most {
            let next = (0..LANES).filter(|lane| self.holding[*lane]).max_by_key(|lane| {
                // Of equal credit the lane that is served first by nature.
                (ahead.credit[*lane] + i64::from(self.weights.0[*lane]), LANES - lane)
            });
            let Some(next) = next else { break };
            ahead.charge(Lane::ALL[next], 1);
            shares[next] += 1;
        }
        shares
    }

    /// Takes note that `turn` brought `count` messages from `lane`, the first of its lanes that held any. `lane` counts
    /// for nothing when `count` is 0.
    pub fn served(&mut self, turn: &Turn, lane: Option<Lane>, count: usize) {
        let lane = lane.filter(|_| count > 0);
        // Those before it were empty; those behind it were not looked at.
        for empty in turn.lanes.iter().take_while(|empty| Some(**empty) != lane) {
            self.leave(*empty);
        }
        let Some(lane) = lane else { return };
        self.holding[lane as usize] = true;
        self.charge(lane, count);
        if count < turn.most {
            self.leave(lane);
        }
    }

    /// Has `lane` pay for `count` messages, and the lanes that hold mail earn by them.
    fn charge(&mut self, lane: Lane, count: usize) {
        // Small enough that the product with the largest weight does not overflow.
        let count = i64::try_from(count).unwrap_or(i64::MAX / 1_000_000);
        for each in 0..LANES {
            if self.holding[each] {
                let earned = count * i64::from(self.weights.0[each]);
                self.credit[each] += earned;
                self.credit[lane as usize] -= earned;
            }
        }
    }

    /// An empty lane starts anew when it is found again, at the middle of what the others have then.
    fn leave(&mut self, lane: Lane) {
        self.holding[lane as usize] = false;
        self.credit[lane as usize] = 0;
        let others = self.holding.iter().filter(|holding| **holding).count();
        if let Some(others) = i64::try_from(others).ok().filter(|others| *others > 0) {
            let middle = self.credit.iter().sum::<i64>() / others;
            for each in (0..LANES).filter(|each| self.holding[*each]) {
                self.credit[each] -= middle;
            }
        }
    }
}

/// Has the smallest turn look at `unknown` lanes first, an eighth at most of what is taken.
fn look_at(unknown: Vec<Lane>, turns: &mut Vec<Turn>) {
    let all: usize = turns.iter().map(|turn| turn.most).sum();
    let part = (all / 8).max(1);
    let Some(smallest) = turns.iter_mut().min_by_key(|turn| turn.most) else { return };
    let lanes = unknown.into_iter().chain(smallest.lanes.iter().copied()).collect();
    if smallest.most <= part {
        smallest.lanes = lanes;
    } else {
        smallest.most -= part;
        turns.push(Turn { lanes, most: part });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [usize; LANES] = [usize::MAX / 2; LANES];

    /// The largest pull of these tests.
    const PULL: usize = 32;

    /// Takes `most` messages of what the lanes hold, as the turns say; counts them by lane.
    fn take(turns: &mut LaneTurns, held: &mut [usize; LANES], most: usize) -> [usize; LANES] {
        let plan = turns.plan(most);
        assert_eq!(plan.iter().map(|turn| turn.most).sum::<usize>(), most, "{plan:?}");
        let mut taken = [0; LANES];
        for turn in plan {
            assert!(turn.most > 0 && !turn.lanes.is_empty(), "{turn:?}");
            let lane = turn.lanes.iter().copied().find(|lane| held[*lane as usize] > 0);
            let count = lane.map_or(0, |lane| turn.most.min(held[lane as usize]));
            if let Some(lane) = lane {
                held[lane as usize] -= count;
                taken[lane as usize] += count;
            }
            turns.served(&turn, lane, count);
        }
        taken
    }

    fn add(sum: &mut [usize; LANES], more: [usize; LANES]) {
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }

    /// By how many messages the lane that is furthest from its share is off.
    fn distance(weights: LaneWeights, taken: [usize; LANES]) -> f64 {
        let (all, sum) = (taken.iter().sum::<usize>() as f64, f64::from(weights.0.iter().sum::<u32>()));
        let off = |lane: usize| (taken[lane] as f64 - all * f64::from(weights.0[lane]) / sum).abs();
        (0..LANES).map(off).fold(0.0, f64::max)
    }

    fn weights() -> impl Strategy<Value = LaneWeights> {
        [1..=20_u32, 1..=20_u32, 1..=20_u32].prop_map(LaneWeights)
    }

    proptest! {
        /// Each lane has its share of every run of messages, but for three pulls: each finds one lane that holds mail, and
        /// a lane that is found last may be due most of what they took.
        #[test]
        fn lanes_that_hold_mail_share_by_weight(
            weights in weights(), pulls in prop::collection::vec(1..=PULL, 1..400),
        ) {
            let (mut turns, mut held, mut taken) = (LaneTurns::new(weights), ALL, [0; LANES]);
            for most in pulls {
                add(&mut taken, take(&mut turns, &mut held, most));
                prop_assert!(distance(weights, taken) <= 3.0 * PULL as f64, "{weights}: {taken:?}");
            }
        }

        /// Nothing that has happened counts for long: neither is saved up what was not used, nor owed what others left.
        #[test]
        fn shares_are_fair_after_any_history(
            weights in weights(),
            past in prop::collection::vec(([0..40_usize, 0..40_usize, 0..40_usize], 1..=PULL), 0..100),
            most in 1..=PULL,
        ) {
            let (mut turns, mut held, mut taken) = (LaneTurns::new(weights), [0; LANES], [0; LANES]);
            for (arrivals, most) in past {
                add(&mut held, arrivals);
                take(&mut turns, &mut held, most);
            }
            held = ALL;
            for _ in 0..200 {
                add(&mut taken, take(&mut turns, &mut held, most));
                prop_assert!(distance(weights, taken) <= 3.0 * PULL as f64, "{weights}: {taken:?}");
            }
        }

        /// Whatever is held is taken in the end, and no pull of lanes that hold mail comes back empty thrice.
        #[test]
        fn a_single_full_lane_is_taken_whole(
            mut held in [0..500_usize, 0..500_usize, 0..500_usize], most in 1..=PULL,
        ) {
            let mut turns = LaneTurns::new(LaneWeights::default());
            let mut in_vain = 0;
            while held != [0; LANES] {
                let taken = take(&mut turns, &mut held, most);
                in_vain = if taken == [0; LANES] { in_vain + 1 } else { 0 };
                prop_assert!(in_vain < LANES, "{held:?} left");
            }
        }
    }

    #[test]
    fn shares_are_within_two_percent_for_one_slot_and_for_many() {
        for most in [1, 2, 7, PULL] {
            let (mut turns, mut held, mut taken) = (LaneTurns::new(LaneWeights::default()), ALL, [0; LANES]);
            while taken.iter().sum::<usize>() < 5_000 {
                add(&mut taken, take(&mut turns, &mut held, most));
            }
            let all: usize = taken.iter().sum();
            assert!(distance(LaneWeights::default(), taken) < 0.02 * all as f64, "{most}: {taken:?}");
        }
    }

    /// The example in nginx's source (`ngx_http_upstream_round_robin.c`): 5, 1, 1 gives a a b a c a a.
    #[test]
    fn turns_are_as_smooth_as_those_of_nginx() {
        let mut turns = LaneTurns::new("5,1,1".parse().unwrap());
        turns.holding = [true; LANES];
        assert_eq!(turns.shares(7), [5, 1, 1]);
        let mut held = ALL;
        let order: Vec<usize> = (0..7)
            .map(|_| take(&mut turns, &mut held, 1).iter().position(|count| *count == 1).unwrap())
            .collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn one_busy_lane_costs_two_turns_and_leaves_a_part_for_the_others() {
        let mut turns = LaneTurns::new(LaneWeights::default());
        let mut held = [0, usize::MAX / 2, 0];
        assert_eq!(turns.plan(32), [Turn { lanes: Lane::ALL.to_vec(), most: 32 }]);
        take(&mut turns, &mut held, 32);
        let others_first = vec![Lane::Urgent, Lane::Bulk, Lane::Normal];
        let expected =
            [Turn { lanes: vec![Lane::Normal], most: 28 }, Turn { lanes: others_first.clone(), most: 4 }];
        assert_eq!(turns.plan(32), expected);
        assert_eq!(turns.plan(1), [Turn { lanes: others_first, most: 1 }]);
    }

    #[test]
    fn weights_are_three_whole_numbers() {
        assert_eq!("8, 4,1".parse(), Ok(LaneWeights::default()));
        assert_eq!("1000,1,1".parse::<LaneWeights>().unwrap().to_string(), "1000,1,1");
        for text in ["", "8,4", "8,4,1,1", "8,4,0", "8,4,-1", "1001,1,1", "8,4,x", "8,,4,1", "8:4:1"] {
            assert!(text.parse::<LaneWeights>().is_err(), "{text:?}");
        }
    }
}

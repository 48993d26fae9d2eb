//! Cuts that wait for their moment.

use memchr::memmem;

use super::direction::Direction;

/// The longest needle, and how much of a stream's past is kept to find one that came in pieces.
pub(super) const MAX_NEEDLE_LEN: usize = 256;

/// On which side of a needle a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// The needle is not passed on.
    Before,
    /// The needle is the last that is passed on.
    After,
}

#[derive(Debug)]
pub(super) struct Trigger {
    direction: Direction,
    moment: Moment,
}

#[derive(Debug)]
enum Moment {
    Count(usize),
    Needle(Vec<u8>, CutAt),
}

impl Trigger {
    pub(super) fn after(direction: Direction, count: usize) -> Self {
        Self { direction, moment: Moment::Count(count) }
    }

    pub(super) fn on(direction: Direction, needle: &[u8], at: CutAt) -> Self {
        assert!((1..=MAX_NEEDLE_LEN).contains(&needle.len()), "a needle has 1 to {MAX_NEEDLE_LEN} bytes");
        Self { direction, moment: Moment::Needle(needle.to_vec(), at) }
    }

    /// How much of `new` is still passed on, if the cut comes within it. `past` is what went before it on
    /// the same connection.
    pub(super) fn meets(&mut self, direction: Direction, past: &[u8], new: &[u8]) -> Option<usize> {
        if direction != self.direction {
            return None;
        }
        match &mut self.moment {
            Moment::Count(remaining) if *remaining <= new.len() => Some(*remaining),
            Moment::Count(remaining) => {
                *remaining -= new.len();
                None
            }
            Moment::Needle(needle, at) => {
                // One byte of it at least must be new.
                let past = &past[past.len().saturating_sub(needle.len() - 1)..];
                let start = memmem::find(&[past, new].concat(), needle)?;
                let end = match at {
                    CutAt::Before => start,
                    CutAt::After => start + needle.len(),
                };
                Some(end.saturating_sub(past.len()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{FromTarget, ToTarget};

    #[test]
    fn a_needle_is_found_across_pieces() {
        let mut before = Trigger::on(ToTarget, b"COMMIT", CutAt::Before);
        let mut after = Trigger::on(ToTarget, b"COMMIT", CutAt::After);
        assert_eq!(before.meets(ToTarget, b"", b"xxCOMMITyy"), Some(2));
        assert_eq!(after.meets(ToTarget, b"", b"xxCOMMITyy"), Some(8));
        assert_eq!(before.meets(ToTarget, b"xxCOM", b"MITyy"), Some(0));
        assert_eq!(after.meets(ToTarget, b"xxCOM", b"MITyy"), Some(3));
        assert_eq!(after.meets(ToTarget, b"xCOMMIT", b"yy"), None);
        assert_eq!(after.meets(FromTarget, b"", b"COMMIT"), None);
    }

    #[test]
    fn bytes_are_counted_over_pieces() {
        let mut trigger = Trigger::after(FromTarget, 5);
        assert_eq!(trigger.meets(FromTarget, b"", b"abc"), None);
        assert_eq!(trigger.meets(ToTarget, b"", b"abc"), None);
        assert_eq!(trigger.meets(FromTarget, b"abc", b"def"), Some(2));
    }
}

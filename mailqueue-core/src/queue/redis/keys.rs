//! All keys that mailqueue has in Redis.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `mailqueue:{NAME}:urgent` | sorted set | the lane's ids, hyphenated, scored with the due time in microseconds since 1970 |
//! | `mailqueue:{NAME}:normal` | sorted set | the same |
//! | `mailqueue:{NAME}:bulk` | sorted set | the same |
//!
//! The braces stand in the key: a cluster hashes what is between them, so a queue's lanes lie on one node and one
//! command may name all three.

use crate::domain::lane::Lane;

/// The keys of one queue.
#[derive(Debug)]
pub(super) struct Keys {
    lanes: [String; Lane::ALL.len()],
}

impl Keys {
    /// The keys of the queue of this name; `None` when the name is empty or holds anything but ASCII letters,
    /// digits, `-`, `_` and `.`.
    pub(super) fn new(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!name.is_empty() && name.bytes().all(allowed))
            .then(|| Self { lanes: Lane::ALL.map(|lane| format!("mailqueue:{{{name}}}:{lane}")) })
    }

    /// The sorted set of a lane.
    pub(super) fn lane(&self, lane: Lane) -> &str {
        &self.lanes[lane as usize]
    }

    /// The lane whose sorted set has this key.
    pub(super) fn lane_of(&self, key: &[u8]) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| self.lane(*lane).as_bytes() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_in_braces() {
        let keys = Keys::new("default").unwrap();
        let all = Lane::ALL.map(|lane| keys.lane(lane));
        assert_eq!(
            all,
            ["mailqueue:{default}:urgent", "mailqueue:{default}:normal", "mailqueue:{default}:bulk"]
        );
    }

    #[test]
    fn a_name_that_would_break_the_braces_is_refused() {
        for name in ["", "a}b", "a{b", "a:b", "a b", "a\nb", "é"] {
            assert!(Keys::new(name).is_none(), "{name:?}");
        }
        assert!(Keys::new("shop-2_eu.test").is_some());
    }
}

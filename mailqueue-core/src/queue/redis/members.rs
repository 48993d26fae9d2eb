//! Members of a sorted set, sorted into ids and garbage.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::id::MessageId;
use crate::queue::micros;

/// A member and its score, as Redis returns them. Bytes, for anything may have been put there.
pub(super) type Member = (Vec<u8>, f64);

/// The answer of BZMPOP and ZMPOP: the key and what was taken from it, or nothing.
pub(super) type Popped = Option<(Vec<u8>, Vec<Member>)>;

/// The first members of a lane.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Members {
    /// The due time of the first that is an entry.
    pub(super) head: Option<OffsetDateTime>,
    /// Members before it that cannot be entries.
    pub(super) garbage: Vec<Vec<u8>>,
}

impl Members {
    /// The ids among what was popped. Nobody misses the rest: an id without a time is still a hint worth a look.
    pub(super) fn ids(popped: Popped) -> Vec<MessageId> {
        let members = popped.map(|(_, members)| members).unwrap_or_default();
        members.iter().filter_map(|(member, _)| id(member)).collect()
    }

    /// Looks for the head.
    pub(super) fn partition(members: Vec<Member>) -> Self {
        let mut page = Self::default();
        for (member, score) in members {
            page.head = id(&member).and_then(|_| time(score));
            if page.head.is_some() {
                break;
            }
            page.garbage.push(member);
        }
        page
    }
}

fn id(member: &[u8]) -> Option<MessageId> {
    Uuid::try_parse_ascii(member).ok().map(MessageId::from)
}

fn time(score: f64) -> Option<OffsetDateTime> {
    // Infinite scores and ones no clock reaches are garbage. The cast is exact up to the year 2255 and saturates.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a microsecond means nothing here")]
    score.is_finite().then_some(score as i64).and_then(micros::to_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01938d2e-7c7b-7000-8000-000000000001";

    fn member(text: &str, score: f64) -> Member {
        (text.as_bytes().to_vec(), score)
    }

    #[test]
    fn garbage_before_the_head_is_named_and_what_follows_is_not_looked_at() {
        let page = Members::partition(vec![
            member("", 1.0),
            (vec![0xff, 0xfe], 2.0),
            member(ID, f64::NEG_INFINITY),
            member(ID, 1_700_000_000_000_001.0),
            member("behind", 1_700_000_000_000_002.0),
        ]);
        assert_eq!(page.head, micros::to_time(1_700_000_000_000_001));
        assert_eq!(page.garbage, [b"".to_vec(), vec![0xff, 0xfe], ID.as_bytes().to_vec()]);
    }

    #[test]
    fn ids_are_taken_and_the_rest_is_skipped() {
        let popped = Some((b"key".to_vec(), vec![member("x", 1.0), member(ID, 2.0), member("", 3.0)]));
        assert_eq!(Members::ids(popped), [ID.parse().unwrap()]);
        assert_eq!(Members::ids(None), []);
    }
}

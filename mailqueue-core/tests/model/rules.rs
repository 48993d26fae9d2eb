//! The rules, which are the library's own: `decide` on the model's rows.

use std::time::Duration;

use mailqueue_core::domain::delivery::Delivery;
use mailqueue_core::domain::recipient::Recipient;
use mailqueue_core::domain::report::{Outcome, RelayFault, Reply, Report, Verdict};
use mailqueue_core::domain::transition::{AttemptContext, Event, decide};
use mailqueue_core::{DeliveryPolicy, OnUnknown, RetryPolicy};
use time::OffsetDateTime;

use super::{ATTEMPTS, Missing, Protocol, Row, Said, Settling, Word};

impl<const R: usize> Protocol<R> {
    pub(super) fn new(on_unknown: OnUnknown, settling: Settling, missing: Missing) -> Self {
        let retry = RetryPolicy { give_up_after: Duration::from_secs(3600), ..RetryPolicy::default() };
        let policy = DeliveryPolicy { retry, on_unknown, poison_after: 2 };
        let address = |n: usize| format!("r{n}@example.org").parse().expect("an address");
        Self { policy, settling, missing, addresses: std::array::from_fn(address) }
    }

    pub(super) fn delivery(&self, row: &Row<R>) -> Delivery {
        let recipients = self.addresses.iter().zip(row.recipients).map(|(address, (status, maybe_sent))| {
            Recipient { address: address.clone(), status, maybe_sent, reply: None }
        });
        Delivery {
            status: row.status,
            attempt: row.attempt,
            lost_leases: row.lost_leases,
            dot_allowed: row.dot_allowed,
            recipients: recipients.collect(),
            attempts: Vec::new(),
        }
    }

    /// `decide`, on rows; `None` when the state does not allow the event.
    pub(super) fn decide(&self, row: &Row<R>, event: &Event) -> Option<Row<R>> {
        let next = decide(&self.delivery(row), event, &self.policy).ok()?.delivery;
        let recipient = |n: usize| (next.recipients[n].status, next.recipients[n].maybe_sent);
        Some(Row {
            status: next.status,
            attempt: next.attempt,
            lost_leases: next.lost_leases,
            dot_allowed: next.dot_allowed,
            recipients: std::array::from_fn(recipient),
        })
    }

    /// A message's time is up with its last attempt.
    pub(super) fn context(&self, attempt: u32) -> AttemptContext {
        let age = if attempt < ATTEMPTS { Duration::ZERO } else { self.policy.retry.give_up_after };
        AttemptContext {
            attempt,
            started_at: OffsetDateTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            age,
            worker: String::new(),
            jitter: 0.5,
        }
    }

    pub(super) fn report(&self, said: Said<R>) -> Report {
        let reply = || Reply::new(None, "");
        let outcome = |word| match word {
            Word::Accepted => Outcome::Accepted(reply()),
            Word::Refused if self.missing != Missing::Refusals => Outcome::Refused(reply()),
            Word::Deferred | Word::Refused => Outcome::Deferred(reply()),
            Word::Throttled => Outcome::Deferred(Reply::new(Some(450), "4.7.1")),
            Word::Lost => Outcome::Ambiguous(reply()),
        };
        let verdict = match said {
            Said::Withheld => Verdict::Withheld,
            Said::Fault => {
                Verdict::Fault { fault: RelayFault::Connect, reply: reply(), retry_after: Duration::ZERO }
            }
            Said::Answered(words) => {
                let words = self.addresses.iter().zip(words);
                Verdict::Answered(words.filter_map(|(to, word)| Some((to.clone(), outcome(word?)))).collect())
            }
        };
        Report { relay: None, dot_sent: false, verdict }
    }
}

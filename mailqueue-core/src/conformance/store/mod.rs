//! The cases every [`MessageStore`](crate::contracts::store::MessageStore) has to pass.
//!
//! Each case gets an empty store. [`message_store_conformance!`](crate::message_store_conformance) makes one test of
//! each of them:
//!
//! ```ignore
//! async fn open() -> (Arc<dyn MessageStore>, TempDir) { /* a new one in a folder of its own */ }
//!
//! mailqueue_core::message_store_conformance!(on_sqlite, open());
//! mailqueue_core::message_store_unreadable_rows!(unreadable_on_sqlite, open()); // what is kept can spoil rows
//! ```

pub mod changing;
pub mod claiming;
pub mod due;
pub mod fencing;
mod harness;
pub mod idempotency;
pub mod leasing;
pub mod listing;
pub mod probing;
pub mod pruning;
pub mod reclaiming;
pub mod settling;
pub mod submitting;
pub mod unreadable_rows;

pub(super) use harness::wait_until;

/// Makes a module `$name` with one test for each case. `$open` is a future that gives an empty store, as
/// `Arc<dyn MessageStore>`, and something that is kept until the test is over.
#[macro_export]
macro_rules! message_store_conformance {
    ($name:ident, $open:expr) => {
        $crate::message_store_conformance! { @modules $name, $open,
            submitting {
                reads_back_everything
                keeps_messages_together
                keeps_all_or_none_of_a_submission
                refuses_only_what_is_bad
                schedules
                reads_back_bodies_to_the_octet
                keeps_large_messages
            }
            idempotency {
                replays_the_same
                refuses_a_key_for_something_else
                sees_a_repeat_within_a_batch
                stores_once_however_many_ask_at_once
                adds_nothing_when_refused
                recalls_what_was_submitted
                forgets_a_key_in_time
                remembers_a_key_past_the_scheduled_time
                keeps_tenants_keys_apart
            }
            listing {
                pages_to_older_ones
                pages_to_newer_ones
                filters_by_status
                filters_by_recipient
                filters_by_subject
                filters_by_sender_tag_and_lane
                filters_by_time
                combines_filters
                leaves_bodies_out
                keeps_tenants_apart
            }
            claiming {
                takes_what_is_queued_and_due
                leaves_out_what_is_not
                hands_over_state_and_content
                tells_how_long_it_waited
                has_one_winner
                takes_a_repeated_id_once
                takes_only_what_there_is_memory_for
                names_only_what_waits_as_too_large
            }
            leasing {
                extends_a_lease_that_is_held
                answers_in_order
                revives_a_lease_that_ran_out_unnoticed
                says_when_a_lease_is_lost
            }
            settling {
                records_a_success
                lines_up_a_deferred_message_again
                fails_a_refused_message
                keeps_each_recipients_outcome
                retries_after_a_lost_reply
                holds_after_a_lost_reply
                gives_the_attempt_back_after_a_relay_fault
                gives_the_attempt_back_when_throttled
                gives_the_attempt_back_when_withheld
                gives_up_by_age
                answers_in_order
                changes_nothing_the_second_time
            }
            fencing {
                ignores_a_late_failure
                ignores_a_late_failure_while_another_sends
                records_a_late_success_over_queued
                records_a_late_success_while_another_sends
                records_a_late_success_over_failed
                records_a_late_success_over_unknown
                records_a_late_success_over_cancelled
                keeps_the_holders_lease_for_the_other_recipients
                keeps_a_late_success_from_the_holders_refusal
                keeps_a_late_success_that_comes_with_the_holders_result
            }
            reclaiming {
                lines_up_again_what_was_surely_not_sent
                remembers_that_the_dot_was_allowed
                remembers_that_the_dot_was_allowed_with_the_claim
                allows_no_dot_with_the_claim_after_a_lost_lease
                forgets_a_dot_that_was_not_sent
                remembers_the_dot_through_later_renewals
                holds_what_may_have_been_sent
                forgets_the_dot_with_the_next_claim
                writes_down_the_lost_lease
                fails_poison
                doubts_poison_that_may_have_been_sent
                counts_only_leases_lost_in_a_row
                gives_up_by_age
                leaves_leases_that_hold
                respects_the_time_it_is_given
                stops_at_the_limit
                shares_the_work
            }
            due {
                tells_the_longest_due_first
                tells_only_what_is_due_before
                tells_several_ranges_in_their_order
                stops_at_the_limit
                keeps_lanes_apart
                leaves_out_what_is_not_waiting
            }
            changing {
                cancels_what_is_queued
                doubts_what_it_cancels_too_late
                cancels_nothing_that_is_sending_or_done
                retries_what_waits
                retries_what_failed_or_is_unknown
                retries_nothing_that_is_sent
                retries_nothing_without_content
                reschedules
                moves_nothing_into_the_past
                finds_only_the_tenants_own
            }
            probing {
                tells_the_time_of_a_write
                tells_of_a_lease_that_ran_out
                answers_many_at_once
            }
            pruning {
                tells_how_much_is_waiting
                counts_no_further_than_asked
                weighs_again_what_is_tried_again
                takes_content_before_the_record
                takes_the_record_with_its_content
                touches_nothing_unfinished
                keeps_what_is_not_old_enough
                stops_at_the_limit
                forgets_keys_that_ran_out
            }
        }
    };
    (@modules $name:ident, $open:expr, $($module:ident { $($case:ident)+ })+) => {
        mod $name {
            $(mod $module {
                use super::super::*;

                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _kept) = $open.await;
                    $crate::conformance::store::$module::$case(store).await;
                })+
            })+
        }
    };
}

/// Makes a module `$name` with one test for each case of [`unreadable_rows`]. `$open` is as for
/// [`message_store_conformance!`](crate::message_store_conformance), but what is kept can
/// [`Spoil`](unreadable_rows::Spoil) rows of the store.
#[macro_export]
macro_rules! message_store_unreadable_rows {
    ($name:ident, $open:expr) => {
        $crate::message_store_unreadable_rows! { @cases $name, $open,
            claims_its_neighbours
            reclaims_its_neighbours
            lists_its_neighbours
            settles_it_among_its_neighbours
        }
    };
    (@cases $name:ident, $open:expr, $($case:ident)+) => {
        mod $name {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, kept) = $open.await;
                $crate::conformance::store::unreadable_rows::$case(store, &kept).await;
            })+
        }
    };
}

//! The cases all [`Controls`](crate::contracts::controls::Controls) have to pass.
//!
//! Each case gets controls that know nothing yet. [`controls_conformance!`](crate::controls_conformance) makes one test
//! of each of them.

pub mod pausing;
pub mod traffic;
pub mod working;

/// Makes a module `$name` with one test for each case. `$open` is a future that gives new controls, as
/// `Arc<dyn Controls>`, and something that is kept until the test is over.
#[macro_export]
macro_rules! controls_conformance {
    ($name:ident, $open:expr) => {
        $crate::controls_conformance! { @modules $name, $open,
            pausing {
                knows_none_at_first
                keeps_a_pause_until_it_is_resumed
                replaces_a_pause_of_the_same_scope
                keeps_scopes_apart
                ends_a_pause_in_time
                bears_the_longest_pause
                keeps_any_text
            }
            working {
                lists_a_worker_as_it_reports
                replaces_a_report
                forgets_who_signs_off
                drops_who_is_not_seen
            }
            traffic {
                adds_what_is_counted_to_its_minute
                keeps_keys_apart
                puts_a_late_count_into_its_own_minute
                sums_by_the_step
                reads_no_further_back_than_asked
                adds_what_many_count_at_once
                turns_minutes_into_hours_and_keeps_the_sums
                drops_what_is_too_old
            }
        }
    };
    (@modules $name:ident, $open:expr, $($module:ident { $($case:ident)+ })+) => {
        mod $name {
            $(mod $module {
                use super::super::*;

                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (controls, _kept) = $open.await;
                    $crate::conformance::controls::$module::$case(controls).await;
                })+
            })+
        }
    };
}

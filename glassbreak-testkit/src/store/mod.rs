//! The conformance suite of stores: one named test for each sentence of the contract in [`glassbreak_core::store`].
//!
//! A store is a constructor and one line:
//!
//! ```no_run
//! use std::sync::Arc;
//! use glassbreak_core::store::{FakeClock, MemoryStore};
//! use glassbreak_testkit::store::Subject;
//!
//! async fn memory() -> Subject {
//!     let clock = Arc::new(FakeClock::default());
//!     let store = MemoryStore::builder().clock(clock.clone()).build();
//!     Subject::new(Arc::new(store.clone()), Arc::new(store), clock)
//! }
//!
//! glassbreak_testkit::store_suite!(memory);
//! # fn main() {}
//! ```
//!
//! # Which guarantee is tested where
//!
//! | guarantee | tests |
//! |---|---|
//! | G1 no allow after expiry | with grants; of leases: `a_lease_*`, `a_late_word_*` |
//! | G2 no allow after an acknowledged lock | `a_lock_*`, `nothing_is_held_above_*` |
//! | G3 counts hold all that was acknowledged | `every_answer_is_the_models`, `calls_that_race_*`, `dropped_*`; over a crash: with durable stores |
//! | G4 an op has one effect | `a_repeat_*`, `another_attempt_*`, `of_many_attempts_*`, `settling_twice_*` |
//! | G5 an approval is decided once | with approvals |
//! | G6 all demands or none | `nothing_of_a_refused_call_*`, `calls_with_many_demands_*` |
//! | G7 what is unsure is an error | `too_many_*`, `only_the_holder_*`; faults of a server: with the stores that have one |
//! | G8 no call outlives its deadline | with the stores that wait |
//! | G9 a position in every answer | `epochs_tell_the_order_*`, `the_order_of_epochs_explains_*` |
//! | G10 the loss window is as named | `what_may_be_lost_is_named`; the claim itself: with durable stores |

pub mod checks;
mod model;
mod rig;

use std::future::Future;
use std::sync::Arc;

use glassbreak_core::store::{FakeClock, Store};

pub use self::model::every_answer_is_the_models;
pub use self::rig::{Draft, Rig};

/// A store to be tested: empty, and used by nobody else.
#[derive(Debug, Clone)]
pub struct Subject {
    store: Arc<dyn Store>,
    other: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    rounds: usize,
}

impl Subject {
    /// Two handles on one store that tells elapsed time by `clock`. The handles may be clones, connections, or
    /// processes.
    pub fn new(store: Arc<dyn Store>, other: Arc<dyn Store>, clock: Arc<FakeClock>) -> Self {
        Self {
            store,
            other,
            clock,
            rounds: 10_000,
        }
    }

    /// Races fewer or more times than 10,000.
    #[must_use]
    pub fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }
}

/// Runs one check on a new store.
///
/// # Panics
/// When the store does not keep the contract.
pub fn run<S, C>(subject: impl FnOnce() -> S, check: impl FnOnce(Rig) -> C)
where
    S: Future<Output = Subject>,
    C: Future<Output = ()>,
{
    runtime().block_on(async {
        let rig = Rig::new(subject().await);
        check(rig).await;
    });
}

#[expect(clippy::expect_used, reason = "tests cannot go on without")]
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time();
    builder.build().expect("a runtime")
}

/// One `#[test]` for each sentence of the contract; see [`store`](crate::store).
///
/// The argument is a function without arguments whose future is a [`Subject`](crate::store::Subject): a new, empty
/// store each time.
#[macro_export]
macro_rules! store_suite {
    ($subject:expr) => {
        $crate::store_suite! { @each $subject;
            // Counting.
            what_is_held_is_counted
            a_ceiling_refuses_and_says_until_when
            a_call_exactly_as_old_as_the_window_still_counts
            rules_and_keys_count_apart
            two_demands_on_one_key_count_twice
            nothing_of_a_refused_call_is_counted
            a_refused_call_leaves_no_trace
            a_call_without_demands_is_held
            too_many_demands_are_invalid
            // One op, one permit.
            a_repeat_by_the_same_attempt_gets_the_first_answer
            another_attempt_is_told_what_became_of_the_op
            a_settled_op_is_taken_for_its_own_attempt_too
            an_op_stands_for_one_digest
            // Time.
            a_time_too_far_ahead_is_not_believed
            time_never_goes_back
            // Settling.
            only_what_did_not_run_is_given_back
            settling_twice_gets_the_first_answer
            a_lease_that_ends_is_presumed_spent
            a_late_word_is_recorded_and_gives_nothing_back
            a_word_at_a_time_not_believed_is_late
            only_the_holder_settles
            // Locks.
            a_lock_stops_the_calls_on_its_path
            a_lock_wins_over_everything
            a_lock_does_not_stop_settling
            a_lock_that_stands_is_not_replaced
            unlocking_lifts_one_lock
            a_lock_set_since_is_not_lifted
            changes_of_locks_wake_whoever_waits
            // Order.
            epochs_tell_the_order_of_changes
            all_handles_see_the_same
            what_may_be_lost_is_named
            // Races.
            dropped_calls_count_at_most_once_and_are_never_lost
            calls_that_race_for_one_budget_are_admitted_up_to_it_exactly
            of_many_attempts_at_one_op_one_holds_it
            calls_with_many_demands_are_counted_whole_or_not
            what_is_given_back_while_others_reserve_stays_within_the_ceiling
            nothing_is_held_above_the_epoch_of_a_lock
            the_order_of_epochs_explains_every_count
        }

        #[test]
        fn every_answer_is_the_models() {
            $crate::store::every_answer_is_the_models($subject);
        }
    };
    (@each $subject:expr; $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                $crate::store::run($subject, $crate::store::checks::$check);
            }
        )*
    };
}

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
//! | G1 no allow after expiry | `a_grant_ends_*`, `an_approval_at_the_deadline_*`; of leases: `a_lease_*`, `a_late_word_*` |
//! | G2 no allow after an acknowledged lock or revocation | `a_lock_*`, `nothing_is_held_above_*`, `what_is_revoked_*`, `nothing_is_used_above_*` |
//! | G3 counts hold all that was acknowledged | `every_answer_is_the_models`, `calls_that_race_*`, `dropped_*`; over a crash: `after_a_restart_*` |
//! | G4 an op has one effect | `a_repeat_*`, `another_attempt_*`, `of_many_attempts_*`, `settling_twice_*`, `an_op_that_asked_*`, `one_op_spends_*` |
//! | G5 an approval is decided once | `of_many_decisions_*`, `what_is_settled_*`, `there_is_never_a_second_grant_*` |
//! | G6 all demands or none | `nothing_of_a_refused_call_*`, `calls_with_many_demands_*` |
//! | G7 what is unsure is an error | `too_many_*`, `only_the_holder_*`; faults of a server: with the stores that have one |
//! | G8 no call outlives its deadline | with the stores that wait |
//! | G9 a position in every answer | `epochs_tell_the_order_*`, `the_order_of_epochs_explains_*` |
//! | G10 the loss window is as named | `what_may_be_lost_is_named`; the claim itself: `after_a_restart_*` |
//!
//! # Every arrow of the two machines
//!
//! What a vote comes to is worked out in [`glassbreak_core::approval`], by its own tests; that a store takes each arrow once,
//! at its time, and no other, is tested here.
//!
//! | request: from | by | to | tests |
//! |---|---|---|---|
//! | nothing | an opening | pending | `a_request_is_opened_*`, `of_racing_openings_*` |
//! | nothing | the same question while one is open | that one | `the_same_question_joins_*`, `another_question_*`, `a_request_past_its_deadline_is_not_joined` |
//! | nothing | too many, a no not long ago, a lock, a time not believed | refused | `no_more_are_*`, `a_question_rests_*`, `a_request_on_a_locked_path_*`, `a_request_at_a_time_*` |
//! | pending | a vote that is not enough | pending | `a_decision_is_seen_by_every_handle` |
//! | pending | a stage is reached | pending | `a_stage_is_reached_*`, `of_many_that_reach_a_stage_*` |
//! | pending | a notifier confirms | pending | `what_notifiers_confirm_is_kept` |
//! | pending | the vote that is enough | approved, with its grant | `a_decision_is_seen_by_every_handle`, `there_is_never_a_second_grant_*` |
//! | pending | a no; too few are left | denied | `a_question_rests_*`, `a_question_does_not_rest_*`, `what_is_settled_*` |
//! | pending | the deadline | expired | `an_expiry_before_*`, `an_approval_at_the_deadline_*` |
//! | pending | a cancellation, a revocation, a lock | cancelled | `a_request_may_be_cancelled_*`, `what_is_revoked_*`, `a_revocation_*`, `a_lock_ends_grants_*`, `an_approval_under_a_lock_*` |
//! | settled | anything | unchanged | `what_is_settled_never_changes`, `a_stage_that_is_reached_after_an_approval_*` |
//! | any | two at once | one of them | `of_many_decisions_that_race_*`, `a_decision_on_what_has_changed_*` |
//!
//! | grant: from | by | to | tests |
//! |---|---|---|---|
//! | nothing | an approval | not begun, or stands | `a_decision_is_seen_by_every_handle`, `a_grant_does_not_begin_*` |
//! | not begun | its beginning; a revocation | stands; revoked | `a_grant_does_not_begin_*`; `a_grant_that_has_not_begun_is_revoked_too` |
//! | stands | a claim | stands, one use less | `a_grant_is_used_as_often_*`, `a_repeated_claim_*`, `a_use_is_never_given_back` |
//! | stands | its last use | used up | `a_grant_is_used_as_often_*`, `of_many_claims_*`, `claims_that_race_*` |
//! | stands, used up | its end | expired | `a_grant_ends_at_the_very_moment_it_names` |
//! | stands, used up | a revocation by grant, request, rule or target; a lock | revoked | `what_is_revoked_*`, `a_revocation_*`, `a_lock_ends_grants_*`, `nothing_is_used_above_*` |
//! | used up, expired, revoked | a claim | unchanged, refused | `a_grant_is_used_as_often_*`, `a_grant_ends_*`, `what_is_revoked_*` |

mod asking;
pub mod checks;
mod hooked;
mod model;
mod rig;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use glassbreak_core::store::{FakeClock, Store};

pub use self::asking::Question;
pub use self::hooked::{Hooked, When};
pub use self::model::every_answer_is_the_models;
pub use self::rig::{Draft, Rig};

/// A store to be tested: empty, and used by nobody else.
#[derive(Debug, Clone)]
pub struct Subject {
    store: Arc<dyn Store>,
    other: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    rounds: usize,
    reopen: Option<Reopen>,
}

/// A future in a box, as async trait methods return them.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How a new process opens a store.
#[derive(Clone)]
struct Reopen(Arc<dyn Fn() -> BoxFuture<Arc<dyn Store>> + Send + Sync>);

impl fmt::Debug for Reopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reopen")
    }
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
            reopen: None,
        }
    }

    /// A store that outlives its process: `open` makes a further handle on the same data, as a new process would. It
    /// closes nothing. [`store_restart_suite!`](crate::store_restart_suite) needs it.
    #[must_use]
    pub fn restarting(self, open: impl Fn() -> BoxFuture<Arc<dyn Store>> + Send + Sync + 'static) -> Self {
        let reopen = Some(Reopen(Arc::new(open)));
        Self { reopen, ..self }
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
    // Stores that live elsewhere are reached over sockets.
    builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// One `#[test]` for each sentence of the contract; see [`store`](crate::store).
///
/// The argument is a function without arguments whose future is a [`Subject`](crate::store::Subject): a new, empty
/// store each time.
#[macro_export]
macro_rules! store_suite {
    ($subject:expr) => {
        $crate::store_suite! { @list each $subject }

        #[test]
        fn every_answer_is_the_models() {
            $crate::store::every_answer_is_the_models($subject);
        }
    };
    (@list $how:ident $subject:expr) => {
        $crate::store_suite! { @$how $subject;
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
            // Keys that are not known.
            scopes_count_apart
            a_call_of_unknown_key_counts_under_every_key
            a_demand_of_unknown_key_is_held_against_the_fullest
            a_demand_of_unknown_key_passes_when_no_key_is_full
            unknown_keys_of_one_call_count_each
            a_call_of_unknown_key_is_given_back
            // Ops that asked.
            an_op_that_asked_goes_on_with_another_attempt
            an_op_that_asked_is_taken_for_the_attempt_that_asked
            an_op_that_asked_too_late_does_not_go_on
            an_op_that_ended_otherwise_does_not_go_on
            an_op_that_asked_still_stands_for_one_digest
            what_goes_on_passes_the_ceilings_anew
            an_op_that_spent_a_grant_does_not_go_on
            of_attempts_that_race_after_asking_one_holds_it
            // Opening requests.
            a_request_is_opened_with_the_times_of_the_store
            what_was_asked_before_is_told
            the_same_question_joins_while_it_is_open
            another_question_does_not_join
            a_request_past_its_deadline_is_not_joined
            a_request_on_a_locked_path_is_not_opened
            a_request_at_a_time_not_believed_is_not_opened
            no_more_are_pending_than_may_be
            no_more_are_opened_in_an_hour_than_may_be
            a_question_rests_after_a_no
            a_question_does_not_rest_after_any_other_end
            an_id_names_one_request
            of_racing_openings_of_one_question_one_opens_it
            requests_are_found_by_id_and_while_they_are_pending
            // Deciding.
            a_decision_is_seen_by_every_handle
            a_decision_on_what_has_changed_is_a_conflict
            an_approval_at_the_deadline_is_untimely
            an_expiry_before_the_deadline_is_untimely
            a_request_may_be_cancelled_at_any_time
            a_decision_at_a_time_not_believed_changes_nothing
            a_decision_on_nothing_is_unknown
            an_approval_under_a_lock_is_refused
            a_decision_that_makes_no_sense_is_invalid_and_changes_nothing
            what_is_settled_never_changes
            there_is_never_a_second_grant_of_one_request
            of_many_decisions_that_race_one_wins
            whoever_waits_for_a_request_is_woken
            // Stages.
            a_stage_is_reached_and_stays_reached
            what_notifiers_confirm_is_kept
            a_stage_that_is_reached_after_an_approval_is_a_conflict
            of_many_that_reach_a_stage_at_once_one_does
            whoever_waits_hears_of_a_stage
            // Using grants.
            what_is_held_names_the_callers_grants
            a_claim_is_answered_in_the_order_of_the_contract
            a_grant_for_one_call_covers_no_other
            a_window_covers_only_what_it_holds_fixed
            a_call_that_asks_nothing_uses_no_grant
            a_claim_is_for_the_call_that_is_held
            a_claim_by_whoever_does_not_hold_the_call_is_not_held
            a_repeated_claim_gets_the_first_answer_and_spends_once
            one_op_spends_one_grant
            a_grant_is_used_as_often_as_it_may_be
            a_use_is_never_given_back
            a_grant_ends_at_the_very_moment_it_names
            a_grant_does_not_begin_before_its_time
            of_many_claims_that_race_for_one_use_one_gets_it
            claims_that_race_for_a_window_use_it_up_exactly
            // Ending grants.
            what_is_revoked_does_not_stand
            a_revocation_ends_what_a_lock_on_its_target_would_stop
            a_revocation_by_rule_ends_what_it_lifts_and_asks
            a_revocation_is_made_once
            a_revocation_needs_no_good_clock
            a_grant_that_has_not_begun_is_revoked_too
            a_lock_ends_grants_and_requests_for_good
            nothing_is_used_above_the_epoch_of_a_lock
            // Races.
            dropped_calls_count_at_most_once_and_are_never_lost
            calls_that_race_for_one_budget_are_admitted_up_to_it_exactly
            of_many_attempts_at_one_op_one_holds_it
            calls_with_many_demands_are_counted_whole_or_not
            what_is_given_back_while_others_reserve_stays_within_the_ceiling
            nothing_is_held_above_the_epoch_of_a_lock
            the_order_of_epochs_explains_every_count
        }
    };
    (@whole $subject:expr; $($check:ident)*) => {
        $(
            println!(stringify!($check));
            $crate::store::run($subject, $crate::store::checks::$check);
        )*
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

/// All of [`store_suite!`](crate::store_suite) in one `#[test]`: for stores that take long to set up. The last name that it
/// prints is the sentence that failed.
#[macro_export]
macro_rules! store_suite_whole {
    ($name:ident, $subject:expr) => {
        #[test]
        fn $name() {
            $crate::store_suite! { @list whole $subject }
            println!("every_answer_is_the_models");
            $crate::store::every_answer_is_the_models($subject);
        }
    };
}

/// One `#[test]` for each thing that must outlive the process: for stores that are durable, besides
/// [`store_suite!`](crate::store_suite).
///
/// The argument is as there, and each [`Subject`](crate::store::Subject) tells how a new process opens it
/// ([`Subject::restarting`](crate::store::Subject::restarting)); one that does not fails every test.
#[macro_export]
macro_rules! store_restart_suite {
    ($subject:expr) => {
        $crate::store_suite! { @each $subject;
            after_a_restart_counts_stand
            after_a_restart_ops_are_taken
            after_a_restart_an_op_that_asked_goes_on
            after_a_restart_time_has_not_gone_back
            after_a_restart_requests_are_as_they_were
            after_a_restart_a_question_rests_and_caps_hold
            after_a_restart_grants_stand_with_their_uses
            after_a_restart_locks_stand
            after_a_restart_positions_go_on
        }
    };
}

//! The attacks on approvals that `SECURITY.md` numbers, A1 to A40: each that meets core, stores or terminal is tried here by
//! its number, through a real gate and desk, a real audit log, and each store. What meets the terminal alone is in
//! `glassbreak-cli/tests/attacks.rs`.
//!
//! A row is a function over a [`World`](world::World), and knows no store: one more store is one more [`Kind`](stores::Kind).
//! Beside the rows: two hundred who end one request at once, and random events over whole gates, as long as one likes:
//!
//! ```text
//! GLASSBREAK_CASES=2000 cargo test --release -p glassbreak-sqlite --test attacks random -- --nocapture
//! ```
#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, reason = "this is a test binary")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod breaking;
mod calls;
mod crowd;
mod ends;
mod events;
mod map;
mod persons;
mod random;
mod repeats;
mod shown;
mod stores;
mod woken;
mod world;

use self::world::World;

/// Runs a row on a new world over one store.
fn run<F: Future<Output = ()>>(kind: stores::Kind, row: impl FnOnce(World) -> F) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(row(World::new(kind)));
}

/// One `#[test]` for each row and store.
macro_rules! on_every_store {
    ($($module:ident { $($row:ident)* })*) => {
        on_every_store! { @over memory Memory $($module { $($row)* })* }
        on_every_store! { @over sqlite Sqlite $($module { $($row)* })* }
    };
    (@over $store:ident $kind:ident $($module:ident { $($row:ident)* })*) => {
        mod $store {
            $($(#[test]
            fn $row() {
                crate::run(crate::stores::Kind::$kind, crate::$module::$row);
            })*)*
        }
    };
}

on_every_store! {
    repeats {
        a01_an_answer_that_is_replayed_changes_nothing_and_is_recorded
        a02_of_two_approvers_at_once_one_wins_and_the_other_sees_it
        a03_an_answer_that_is_delivered_many_times_counts_once
        a04_an_answer_is_acknowledged_only_where_it_took_effect
        a05_what_is_asked_outlives_the_gate_that_asked
        a06_after_a_restart_only_what_is_open_is_shown
        a07_an_answer_at_the_deadline_is_too_late_by_the_stores_time
        a08_a_clock_that_is_ahead_of_the_stores_or_goes_back_grants_nothing
    }
    persons {
        a09_whom_the_agent_acts_for_does_not_approve
        a10_two_accounts_are_one_person_and_an_account_is_one_persons
        a11_a_relay_is_one_person_and_both_are_recorded
        a12_who_is_not_named_may_not_answer
        a13_a_quorum_that_nobody_can_fill_is_refused_at_once
        a14_who_is_disabled_between_vote_and_quorum_is_not_counted
        a15_a_policy_that_is_made_stricter_while_it_waits_wins
    }
    calls {
        a16_what_runs_is_what_was_approved_in_every_field
        a17_other_arguments_are_another_call
        a18_the_agents_own_words_do_not_make_another_call
        a19_a_grant_is_of_its_agent_and_session
        a20_one_approval_is_one_run
        a21_an_agent_answers_nothing_by_any_name_of_its_own
        a22_a_call_that_says_it_is_approved_is_asked_about
    }
    shown {
        a23_what_is_not_shown_whole_and_as_it_is_is_not_agreed_to
        a24_an_answer_to_a_card_that_was_never_shown_counts_nothing
        a25_a_secret_argument_is_in_no_card_record_or_store
        a26_looking_changes_nothing
    }
    breaking {
        a27_an_agent_that_asks_too_much_is_refused_before_people_are
        a28_a_notifier_that_reaches_nobody_agrees_to_nothing
        a29_a_store_that_does_not_answer_allows_nothing
        a30_what_cannot_be_recorded_does_not_happen
        a31_a_grant_that_is_still_kept_after_its_end_covers_nothing
        a32_what_was_revoked_does_not_run_and_a_permit_ends_with_its_grant
        a33_an_answer_to_the_question_before_answers_no_other
        a34_an_approver_narrows_and_never_widens
    }
    ends {
        a35_many_small_steps_meet_the_limit_over_sessions_and_gates
        a36_each_refusal_of_an_answer_says_which_it_is
        a37_a_session_that_ends_withdraws_what_it_asked
        a38_whoever_stops_waiting_has_answered_nothing
        a39_no_name_or_word_of_an_agent_forges_a_record
        a40_a_log_that_was_changed_or_cut_is_found_out
    }
    crowd {
        two_hundred_end_one_request_at_once_and_all_see_the_same_end
        two_hundred_calls_at_once_use_a_window_up_exactly
    }
    random {
        random_events_over_two_gates_hold_every_invariant
    }
    woken {
        who_waits_reads_nothing_until_something_happens
        who_waits_is_woken_and_does_not_look_by_the_clock
    }
}

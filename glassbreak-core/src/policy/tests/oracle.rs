//! The layer against a slow and obvious judge, over random policies and calls; `fuzzing::decide` has both. A fuzz target
//! runs the same.

use proptest::prelude::*;

use crate::policy::fuzzing::{Tally, context_from_args, decide_vs_cedar, one_more_policy};

fn settings(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

proptest! {
    #![proptest_config(settings(64))]

    #[test]
    fn the_fast_judge_agrees_with_the_obvious_one(bytes in bytes()) {
        decide_vs_cedar(&bytes, &mut Tally::default()).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn another_forbid_never_allows_more_and_another_permit_never_less(bytes in bytes()) {
        one_more_policy(&bytes, &mut Tally::default()).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn arguments_arrive_as_they_were_given_or_not_at_all(bytes in bytes()) {
        context_from_args(&bytes, &mut Tally::default()).map_err(TestCaseError::fail)?;
    }
}

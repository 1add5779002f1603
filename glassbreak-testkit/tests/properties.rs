//! The properties, over random policy folders and calls.
//!
//! More cases: `PROPTEST_CASES=10000 cargo test --release -p glassbreak-testkit --test properties`.

use std::sync::LazyLock;

use glassbreak_core::bundle::Bundle;
use glassbreak_testkit::runs;
use proptest::prelude::*;

static READ_ONLY: LazyLock<Option<Bundle>> = LazyLock::new(|| Bundle::read_only().ok());

fn read_only() -> Result<&'static Bundle, TestCaseError> {
    let bundle = READ_ONLY.as_ref();
    bundle.ok_or_else(|| TestCaseError::fail("the shipped packs do not load"))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..320)
}

/// As many cases as the environment says, else 256; the seeds of failures are kept in the test, not in a file.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn holds(result: Result<(), String>) -> Result<(), TestCaseError> {
    result.map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn adding_a_refusal_never_allows_more(bytes in bytes()) {
        holds(runs::adding_a_refusal_never_allows_more(&bytes))?;
    }

    #[test]
    fn an_unknown_word_never_allows_more(bytes in bytes()) {
        holds(runs::an_unknown_word_never_allows_more(&bytes))?;
    }

    #[test]
    fn earlier_calls_never_allow_more(bytes in bytes()) {
        holds(runs::earlier_calls_never_allow_more(&bytes))?;
    }

    #[test]
    fn what_runs_is_what_was_judged_and_refusals_teach(bytes in bytes()) {
        holds(runs::judgements_hold_together(&bytes))?;
    }

    #[test]
    fn any_line_is_answered(bytes in bytes()) {
        holds(runs::judging_never_panics(read_only()?, &bytes))?;
    }

    #[test]
    fn any_words_of_a_shipped_pack_are_judged(bytes in bytes()) {
        holds(runs::any_words_are_judged(read_only()?, &bytes))?;
    }

    #[test]
    fn no_spelling_of_a_denied_option_passes(bytes in bytes()) {
        holds(runs::forbidden_spellings_never_pass(read_only()?, &bytes))?;
    }

    #[test]
    fn any_profile_loads_or_says_why_not(bytes in bytes()) {
        holds(runs::profiles_load_or_say_why_not(&bytes))?;
    }

    #[test]
    fn any_files_load_or_say_why_not(bytes in bytes()) {
        holds(runs::loading_never_panics(&bytes))?;
    }
}

//! One more refusal, one more unknown word, one more earlier call: none of them allows more.
#![no_main]

use glassbreak_testkit::runs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (which, bytes) = bytes.split_first().map_or((0, bytes), |(which, bytes)| (*which, bytes));
    let property = match which % 4 {
        0 => runs::adding_a_refusal_never_allows_more,
        1 => runs::an_unknown_word_never_allows_more,
        2 => runs::earlier_calls_never_allow_more,
        _ => runs::judgements_hold_together,
    };
    property(bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
});

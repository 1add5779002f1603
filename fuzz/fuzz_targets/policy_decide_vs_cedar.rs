//! Policies and calls against Cedar's own authorizer: the engine alone, the whole layer, and one policy more.
#![no_main]

use glassbreak_core::policy::fuzzing::{self, Tally};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (which, bytes) = bytes.split_first().map_or((0, bytes), |(which, bytes)| (*which, bytes));
    let property = match which % 3 {
        0 => fuzzing::engine_vs_cedar,
        1 => fuzzing::decide_vs_cedar,
        _ => fuzzing::one_more_policy,
    };
    property(bytes, &mut Tally::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
});

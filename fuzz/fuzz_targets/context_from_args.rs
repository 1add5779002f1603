//! A tool's arguments, from the bytes of a call to Cedar's context, under any manifest.
#![no_main]

use glassbreak_core::policy::fuzzing::{self, Tally};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::context_from_args(bytes, &mut Tally::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
});

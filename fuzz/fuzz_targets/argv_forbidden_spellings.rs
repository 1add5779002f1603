//! Denied options of every shipped pack, in every spelling that the program takes, among any words.
#![no_main]

use std::sync::LazyLock;

use glassbreak_core::bundle::Bundle;
use glassbreak_testkit::runs;
use libfuzzer_sys::fuzz_target;

static PACKS: LazyLock<Bundle> = LazyLock::new(|| Bundle::read_only().expect("the shipped packs load"));

// Loading every pack takes longer than any input may.
fuzz_target!(init: { LazyLock::force(&PACKS); }, |bytes: &[u8]| {
    runs::forbidden_spellings_never_pass(&PACKS, bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
});

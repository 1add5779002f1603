//! Any words, for every program with a shipped pack, and any line of the wire.
#![no_main]

use std::sync::LazyLock;

use glassbreak_core::bundle::Bundle;
use glassbreak_testkit::runs;
use libfuzzer_sys::fuzz_target;

static PACKS: LazyLock<Bundle> = LazyLock::new(|| Bundle::read_only().expect("the shipped packs load"));

// Loading every pack takes longer than any input may.
fuzz_target!(init: { LazyLock::force(&PACKS); }, |bytes: &[u8]| {
    runs::any_words_are_judged(&PACKS, bytes)
        .and_then(|()| runs::judging_never_panics(&PACKS, bytes))
        .unwrap_or_else(|wrong| panic!("{wrong}"));
});

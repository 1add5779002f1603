//! Any files as a policy folder, and a good folder with some bytes changed.
#![no_main]

use glassbreak_testkit::runs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runs::loading_never_panics(bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
});

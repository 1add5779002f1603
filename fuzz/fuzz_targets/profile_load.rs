//! Any profile, in TOML or in the JSON of the write-up.
#![no_main]

use glassbreak_testkit::runs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runs::profiles_load_or_say_why_not(bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
});

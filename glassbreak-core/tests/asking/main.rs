//! Asking people through the gate: what they agree to passes, nothing else does, and all of it is recorded.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, reason = "this is a test binary")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod closed;
mod credentials;
mod grants;
#[cfg(feature = "macros")]
mod guarded;
mod hostile;
mod kill;
mod people;
mod reload;
mod shared;
mod stages;
mod support;
#[cfg(feature = "tower")]
mod tower;
mod waiting;

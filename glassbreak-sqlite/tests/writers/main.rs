//! `kill -9` at every write while 32 callers reserve, settle, give back and correct: nothing that was acknowledged is
//! counted too little.
//!
//! A round is a process that opens the store and whose callers say each answer on a pipe, which outlives it. It ends at
//! one of its changes to files, which a small library loaded before the C library counts (`kill.c`): before the change,
//! at half of it, after it, or so many microseconds later. The rounds take every change in turn. Then the tables are held
//! against what was said, and the next process's counts against the tables. All of it, as before a release:
//!
//! ```text
//! GLASSBREAK_ROUNDS=10000 cargo test --release -p glassbreak-sqlite --test writers -- --nocapture
//! ```
//!
//! It needs a C compiler, as the bundled SQLite does. A killed process loses nothing that it has handed to the kernel:
//! what a loss of power leaves is not tested here, so `TMPDIR=/dev/shm` tests the same, and quicker.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop where they cannot go on, in helpers too"
)]

#[path = "../common/mod.rs"]
mod common;
mod rounds;
mod victim;

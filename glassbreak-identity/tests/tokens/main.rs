//! What is taken of a token, and above all what is not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

mod claims;
mod header;
mod keys;
mod mutated;
mod support;
mod who;

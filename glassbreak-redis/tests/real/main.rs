//! The store against real Redis servers, which the tests start themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;
mod conformance;
mod faults;
mod losses;
mod servers;
mod tls;
mod topologies;

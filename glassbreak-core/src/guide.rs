//! The guide: short pages, in the order in which one comes to need them.
//!
//! | page | when |
//! |---|---|
//! | [`first_policy`] | you have a tool function and want it guarded: one attribute, one folder |
//! | [`three_checks`] | you wonder why a call passed, asked or was refused, and where a rule belongs |
//! | [`safe_bins`] | agents run a program that has no profile yet |
//! | [`budgets`] | one call is harmless, and forty are not |
//! | [`approvals`] | people should agree, and somebody asks who may |
//! | [`stores`] | counts and grants must live somewhere else than in memory or SQLite |
//! | [`fleet`] | there is more than one process, or more than one agent |
//! | [`limits`] | before production: what this does not protect, and what must |
//! | [`failures`] | something is refused, and it is three in the morning |
//!
//! Every snippet compiles or loads, and what commands are shown to print is what they print: tests hold both
//! (`cargo test --doc`, and `glassbreak-cli/tests/guide.rs`). Policy snippets are to be added to the folder that
//! `glassbreak new` writes.

#[doc = include_str!("../guide/first-policy.md")]
pub mod first_policy {}

#[doc = include_str!("../guide/three-checks.md")]
pub mod three_checks {}

#[doc = include_str!("../guide/safe-bins.md")]
pub mod safe_bins {}

#[doc = include_str!("../guide/budgets.md")]
pub mod budgets {}

#[doc = include_str!("../guide/approvals.md")]
pub mod approvals {}

#[doc = include_str!("../guide/stores.md")]
pub mod stores {}

#[doc = include_str!("../guide/fleet.md")]
pub mod fleet {}

#[doc = include_str!("../guide/limits.md")]
pub mod limits {}

#[doc = include_str!("../guide/failures.md")]
pub mod failures {}

//! Asking people: a question about one call, the votes on it, and what they come to.
//!
//! Everything here is a plain function of values. A [`Request`] is one question; [`vote`], [`expire`] and [`cancel`] say
//! what it becomes, and a store puts that in place only if nothing else came first
//! ([`Requests::decide`](crate::store::Requests::decide)). Who may agree is asked of an [`Electorate`] at the moment of each vote, for all votes
//! anew: [`Bundle`](crate::bundle::Bundle) is one.
//!
//! ```text
//! Pending ── enough distinct eligible persons agree ─▶ Approved, with a grant
//!    │ ├──── one says no ───────────────────────────▶ Denied
//!    │ ├──── too few are left who could agree ──────▶ Denied
//!    │ ├──── the deadline comes ────────────────────▶ Expired
//!    │ └──── a stage is reached: more may answer ───▶ Pending
//!    └────── the session ends, a lock, a change ────▶ Cancelled
//! ```
//!
//! - Every rule that asks must be satisfied, each by distinct persons of its group; rules that name the same group share
//!   the highest quorum. A person has one vote however many accounts they have, and one in two groups serves both.
//! - Every vote is checked anew with each further one: one whose person or account does not count any more is dropped.
//! - The person that the agent acts for counts only in a group whose every rule says `@self("allow")`, and where one
//!   person of it is enough.
//! - A no wins, and needs only membership in a group that is asked.
//! - A window is offered where every rule that asks has one, the call was understood whole and its risk is not high.
//!   Votes narrow: the shortest window, the fewest uses and all added pins count; one `once` makes it once, for no longer
//!   than the shortest window.
//! - Where nobody answers, later stages of a group add people who may ([`Stages`]); no stage lowers a number.
//! - Silence is a no.

mod electorate;
#[cfg(test)]
mod key_tests;
mod machine;
#[cfg(test)]
mod properties;
mod quorum;
mod request;
mod stages;
#[cfg(test)]
mod stages_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod town;

pub use self::electorate::{Electorate, Ineligible};
pub use self::machine::{Ballot, Step, VoteRefused, cancel, expire, impossible, vote};
pub use self::request::{Answer, Asked, Offer, Request, RequestId, State, Vote};
pub use self::stages::{Because, Stage, Stages, due, escalate, shown};

//! What the sequence of calls adds up to: counts within windows, and the same call over and over.
//!
//! One deletion is harmless; the ninth in five minutes is an outage. The rules stand in `budgets.toml`:
//!
//! ```toml
//! schema = 1
//! [defaults]
//! then = "ask"
//! durability = "none"                       # kept with the session, lost with the process
//!
//! [[budget]]
//! id = "pod_delete"
//! match = { labels = ["k8s.pod.delete"] }   # all of them; `tools` and `programs` narrow it
//! key = ["session", "target.namespace"]     # what is counted apart
//! limit = 3
//! window = { sliding = "10m" }
//! ladder = [ { at = 1, then = "audit" }, { over = 0, then = "ask" } ]
//! ceiling = 10                              # more than this is denied, whoever agrees
//! ask = { group = "oncall", quorum = 2, window = "5m" }
//!
//! [[loop]]
//! id = "stuck"
//! exact_repeat = 5
//! ```
//!
//! A rung `at = n` fires at a count of `n` or more, `over = n` at more than `limit + n`; counts include the call that
//! is judged. Without a ladder there is `{ over = 0, then = <the default> }`; an empty one only counts.
//!
//! Everything here is a plain function of values: the caller says what time it is, keeps the [`Counters`], and
//! decides whether a call was admitted. No rule can loosen what another layer says. Counts are of calls, not of what a
//! call acts on, and are lost with their counters.
//!
//! Findings carry the rule `budget.<id>`, and `budget.<id>.ceiling` past a ceiling; Cedar reads the counts as
//! `context.seq.budget.<id>` and `context.seq.loop.<id>`.
//!
//! **Which way it may be wrong.** Only up. A call that was not understood matches by every label it might have. A
//! key that is not known (several targets, all namespaces) takes the highest count of any, and counts under all. Past
//! 256 keys of a rule in one window, new keys share one count.

mod counters;
mod demand;
mod inspect;
mod rules;
#[cfg(test)]
mod tests;
pub(crate) mod window;

pub use self::counters::Counters;
pub use self::demand::Demand;
pub use self::rules::Rules;

use crate::call::CallDigest;
use crate::facts::Facts;

/// A call, as far as sequence rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Which call: what exact repeats are told by.
    pub digest: CallDigest,
    /// What was learned of it.
    pub facts: &'a Facts,
    /// What is called.
    pub name: Name<'a>,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A program, by its name.
    Program(&'a str),
    /// A tool, by its name.
    Tool(&'a str),
}

//! What the sequence of calls adds up to: amounts within windows, different things, order, repetition, failure.
//!
//! One deletion is harmless; the ninth in five minutes is an outage. The rules stand in `budgets.toml`:
//!
//! ```toml
//! schema = 1
//! [defaults]
//! then = "ask"
//! durability = "strict"                     # where the counts are kept; this is so where nothing is said
//!
//! [[budget]]
//! id = "pod_delete"
//! match = { labels = ["k8s.pod.delete"] }   # all of them; `tools` and `programs` narrow it
//! key = ["agent", "target.namespace"]       # whose count it is, then what is counted apart
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
//! | table | fires |
//! |---|---|
//! | `[[budget]]` | past a limit, by a ladder; `amount = "cost.<unit>"` counts what a call costs, `levels` several counts at once |
//! | `[[approvals]]`, `[[denials]]` | the same, for calls that people are asked about, and that are refused |
//! | `[[distinct]]` | for one more different thing (`of`) than the limit |
//! | `[[pattern]]` | for the last of some `steps`, in order and `within` a time, `unless` a call between them was done |
//! | `[[latch]]` | for a matching call once the session has had all the labels |
//! | `[[loop]]` | for the very same call in a row, calls in a circle, calls like one that keeps failing |
//! | `[[breaker]]` | while what keeps failing is left alone |
//!
//! `then` is `audit` (a note on the record), `ask`, `deny` or `kill` (a denial that locks the session). A window is
//! `{ sliding = "10m" }` and exact, `{ sliding = "24h", buckets = 48 }` for amounts, `{ calendar = "day" }`, or none: for
//! ever. All but budgets are kept with the session, and so are asks and denials.
//!
//! A rung `at = n` fires at a count of `n` or more, `over = n` at more than `limit + n`; counts include the call that
//! is judged. Without a ladder there is `{ over = 0, then = <the default> }`; an empty one only counts.
//!
//! A key begins with whose count it is:
//!
//! | first in the key | is |
//! |---|---|
//! | `session` | the session |
//! | `agent` | the agent's instance; its role where it has none |
//! | `role` | all agents of the role |
//! | `person` | the person the agent acts for; calls made for nobody have a count of their own |
//! | `fleet` | all that share the store |
//!
//! With `durability = "none"` a budget is *local*: counted in the session's own [`Counters`], so its key begins with
//! `session`. With `"process"` and `"strict"` it is *shared*: a store counts it, for all sessions at once. A count that
//! says `process` may be lost with the process; one that says `strict`, or nothing, must survive a restart. The rules
//! name what a call wants counted ([`Rules::demands`]), the caller asks a store, and hands the counts back as
//! [`Shared::Counted`]. Without a store ([`Shared::Local`]) shared budgets count in the session's counters too, as if
//! this were the only session.
//!
//! With `mode = "observe"`, at a rule or in `[defaults]`, what a rule would ask or deny is recorded and not done; its
//! ceiling holds all the same. Every ruling and every record of a call then names what is not enforced.
//!
//! A call that people agreed to is judged again, as a later [attempt](Event::attempt): budgets count whichever attempt
//! is admitted, and loops see only the first.
//!
//! Everything here is a plain function of values: the caller says what time it is, keeps the [`Counters`], and
//! decides whether a call was admitted. No rule can loosen what another layer says.
//!
//! Findings carry the rule `budget.<id>`, and `budget.<id>.ceiling` past a ceiling; Cedar reads the counts as
//! `context.seq.budget.<id>`, and those of other rules under `loop`, `distinct`, `pattern`, `latch` and `breaker`.
//!
//! **Which way it may be wrong.** Only up. A call that was not understood matches by every label it might have. A
//! key that is not known (several targets, all namespaces) takes the highest count of any, and counts under all. Past
//! 256 keys of a rule in one window, new keys share one count.

mod amount;
mod counters;
mod demand;
mod events;
mod inspect;
mod kept;
mod key;
mod kinds;
mod norm;
mod observe;
mod rules;
mod shared;
mod spent;
mod story;
#[cfg(test)]
mod tests;
pub(crate) mod window;

pub use self::counters::Counters;
pub use self::demand::Demand;
pub use self::norm::norm;
pub use self::observe::Bounds;
pub use self::rules::Rules;
pub use self::shared::{Needs, Shared};
pub(crate) use self::spent::Said;
pub use self::window::{Period, Window};

use crate::call::CallDigest;
use crate::facts::Facts;
use crate::label::LabelSet;

/// A call, as far as sequence rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Which call: what exact repeats are told by.
    pub digest: CallDigest,
    /// What was learned of it.
    pub facts: &'a Facts,
    /// What is called.
    pub name: Name<'a>,
    /// What calls that are alike but for numbers, ids and the like have in common; see [`norm`].
    pub norm: u64,
    /// Which attempt at the call this is, from 0. A later one is the same call judged again, so loops do not count it
    /// once more.
    pub attempt: u32,
}

impl Event<'_> {
    /// The labels it has, or might have where it was not understood.
    pub(crate) fn may_have(&self) -> LabelSet {
        if self.facts.partial {
            self.facts.possible_labels.union(self.facts.labels)
        } else {
            self.facts.labels
        }
    }
}

/// How a call that was judged went on, as far as the session is told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is refused.
    Denied,
    /// People would have to agree, and did not.
    Asked,
    /// It may still be admitted, and must be counted until that is known: [`Rules::refund`] or [`Rules::confirm`]
    /// follows.
    Held,
    /// It is admitted.
    Admitted,
}

impl Taken {
    /// Whether it counts.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Held | Self::Admitted)
    }
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A program, by its name.
    Program(&'a str),
    /// A tool, by its name.
    Tool(&'a str),
}

//! Facts: what the layers learned of a call, in words that all of them share.
//!
//! `argv`, `policy` and `budget` know nothing of each other; they meet here. A fact that a layer cannot vouch for is
//! [unknown](Fact::Unknown) or makes the whole [partial](Facts::partial), and every reader takes that against the call.
//!
//! [`ArgvFacts`] come from the words of a program, the arguments of a tool from its manifest; [`Target`] and labels from
//! either; [`SeqFacts`] from the budgets. Policies read them as `context.argv`, `context.args`, `context.target`,
//! `context.labels` and `context.seq`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::call::{ArgValue, Args, Call};
use crate::label::{LabelSet, Risk};

/// A call and what was learned of it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The call.
    pub call: &'a Call,
    /// The facts.
    pub facts: &'a Facts,
}

/// What the layers learned of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Of the program and its words; `None` for tools.
    pub argv: Option<ArgvFacts>,
    /// Of a tool: its arguments as the manifest types them; `None` for programs.
    pub args: Option<Args>,
    /// What the call acts on.
    pub target: Target,
    /// What the call means. For a partial parse: what is known for sure.
    pub labels: LabelSet,
    /// What the call might mean: for a partial parse every label the profile could give, else the same as `labels`.
    pub possible_labels: LabelSet,
    /// What it costs, by unit, as profiles and the tool manifest say; `None` where the call does not say how much.
    pub costs: Vec<(Arc<str>, Option<u64>)>,
    /// The highest risk of its labels; high when the facts are partial.
    pub risk: Risk,
    /// Whether some part of the call was not understood. Policies that read argv, target or labels then count as in
    /// error, and budgets match every possible label.
    pub partial: bool,
}

impl Facts {
    /// What the call costs in `unit`; `None` where that is not known, and for a call that was not understood.
    pub fn cost(&self, unit: &str) -> Option<u64> {
        let known = self.costs.iter().filter(|_| !self.partial);
        known.filter(|(known, _)| **known == *unit).find_map(|(_, cost)| *cost)
    }

    /// Whether the call has a cost in `unit`, known or not.
    pub fn has_cost(&self, unit: &str) -> bool {
        self.costs.iter().any(|(known, _)| **known == *unit)
    }
}

/// What the argv engine read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArgvFacts {
    /// The program's name.
    pub program: Arc<str>,
    /// Whether a profile describes the program.
    pub listed: bool,
    /// The verbs, with spaces between them, such as `rollout status`; empty where the program has none.
    pub command: Arc<str>,
    /// The options present, each by its first name, such as `--namespace`.
    pub options: BTreeSet<Arc<str>>,
    /// The operands as they came.
    pub operands: BTreeSet<Box<str>>,
    /// The profile's own facts, such as `kinds`, each a set; in the order of the profile, all of them, also empty ones.
    pub sets: Vec<(Arc<str>, BTreeSet<Arc<str>>)>,
}

impl ArgvFacts {
    /// Whether a set says that the call acts on more than it names, such as on all objects of a kind: it holds `*`.
    /// Whoever reads it counts as in error.
    pub fn is_open(set: &BTreeSet<Arc<str>>) -> bool {
        set.first().is_some_and(|first| **first == *"*") || set.iter().any(|text| **text == *"*")
    }
}

/// What a call acts on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// What kind of thing.
    pub kind: Fact,
    /// The namespace it lies in.
    pub namespace: Fact,
    /// Its name.
    pub name: Fact,
    /// What it belongs to.
    pub owner: Fact,
}

impl Target {
    /// The names of the four facts, as policies and files write them after `target.`.
    pub const NAMES: [&'static str; 4] = ["kind", "namespace", "name", "owner"];

    /// The fact called `name`.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        match name {
            "kind" => Some(&self.kind),
            "namespace" => Some(&self.namespace),
            "name" => Some(&self.name),
            "owner" => Some(&self.owner),
            _ => None,
        }
    }

    /// The four, in the order of [`NAMES`](Self::NAMES).
    pub const fn all(&self) -> [&Fact; 4] {
        [&self.kind, &self.namespace, &self.name, &self.owner]
    }

    /// The fact called `name`, to be set.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Fact> {
        match name {
            "kind" => Some(&mut self.kind),
            "namespace" => Some(&mut self.namespace),
            "name" => Some(&mut self.name),
            "owner" => Some(&mut self.owner),
            _ => None,
        }
    }
}

/// A fact that is one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact {
    /// The call names none: the empty text.
    #[default]
    Absent,
    /// This.
    Is(Arc<str>),
    /// The call names several, or more than it names (`*`), so it is not one text: whoever reads it counts as in error.
    Unknown,
}

impl Fact {
    /// Adds what a word of the call says: a second, different text makes the fact [`Fact::Unknown`].
    pub fn add(&mut self, text: &Arc<str>) {
        if **text == *"*" {
            *self = Self::Unknown;
            return;
        }
        match self {
            Self::Absent => *self = Self::Is(Arc::clone(text)),
            Self::Is(known) if known == text => {}
            Self::Is(_) => *self = Self::Unknown,
            Self::Unknown => {}
        }
    }

    /// The text; empty for an absent fact, `None` for an unknown one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Absent => Some(""),
            Self::Is(text) => Some(text),
            Self::Unknown => None,
        }
    }
}

/// A fact that a window grant holds fixed.
///
/// An approval that opens a window is for calls that are alike: of the same Cedar action, with the same `command` and
/// the same `target.kind`, always, and with the same value of everything that the profile or the manifest says under
/// `pin`. Whoever approves may hold more fixed, never less.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinFact {
    /// A fact of the target, by its name, one of [`Target::NAMES`].
    Target(&'static str),
    /// An argument of a tool: the way to it, with dots between the names, such as `service` or `where.ns`.
    Arg(Box<str>),
}

impl PinFact {
    /// What a call says there; empty for a target that it does not name. `None` where the call leaves it open: such a
    /// call fits no window.
    pub fn text(&self, facts: &Facts) -> Option<Box<str>> {
        let way = match self {
            Self::Target(name) => {
                return match facts.target.get(name)? {
                    // It would read like one that is missing, which may mean something else to what is called.
                    Fact::Is(text) if text.is_empty() => None,
                    fact => fact.text().map(Into::into),
                };
            }
            Self::Arg(way) => way,
        };
        let mut args = facts.args.as_ref()?;
        let mut names = way.split('.').peekable();
        while let Some(name) = names.next() {
            // The manifest gives an argument one type, so that two values of it never read alike.
            match (args.get(name)?, names.peek()) {
                (ArgValue::Record(fields), Some(_)) => args = fields,
                (ArgValue::Str(text), None) => return Some((**text).into()),
                (ArgValue::Int(number), None) => return Some(number.to_string().into()),
                (ArgValue::Bool(value), None) => return Some(value.to_string().into()),
                _ => return None,
            }
        }
        None
    }
}

impl fmt::Display for PinFact {
    /// As files write it: `namespace`, `args.service`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(name) => f.write_str(name),
            Self::Arg(way) => write!(f, "args.{way}"),
        }
    }
}

/// What the sequence of calls adds up to: the facts under `context.seq`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqFacts {
    /// For every budget of the bundle, in its order.
    pub budgets: Vec<BudgetFacts>,
    /// For every loop rule of the bundle, in its order.
    pub loops: Vec<LoopFacts>,
    /// For every rule on different things, in its order.
    pub distincts: Vec<DistinctFacts>,
    /// For every pattern, in its order.
    pub patterns: Vec<PatternFacts>,
    /// For every latch, in its order.
    pub latches: Vec<LatchFacts>,
    /// For every breaker, in its order.
    pub breakers: Vec<BreakerFacts>,
    /// Whole seconds since the session's first call.
    pub elapsed_s: i64,
    /// How many calls the session has made, this one included.
    pub actions: i64,
}

/// How many different things the session has touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DistinctFacts {
    /// How many, this call's included.
    pub count: i64,
    /// The limit.
    pub limit: i64,
    /// Whether this call touches one that no call before it has.
    pub is_new: bool,
    /// Whether the rule objects.
    pub fired: bool,
}

/// How far calls have come in a pattern, before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatternFacts {
    /// Whether only the last step is missing.
    pub armed: bool,
    /// Whether this call is that last step, and the rule objects.
    pub fired: bool,
    /// How many steps the longest beginning has that is still in time.
    pub step: i64,
    /// How many whole seconds ago that began.
    pub age_s: i64,
}

/// Which of the labels of a latch the session has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatchFacts {
    /// How many, this call's included.
    pub latched: i64,
    /// How many there are.
    pub labels: i64,
    /// Whether the rule objects.
    pub fired: bool,
}

/// Where the breaker of a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerFacts {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// Failures in a row.
    pub failures: i64,
}

impl Default for BreakerFacts {
    /// One that nothing has gone through.
    fn default() -> Self {
        Self {
            state: "closed",
            failures: 0,
        }
    }
}

/// What one budget counts, this call included if it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetFacts {
    /// How many in the window.
    pub count: i64,
    /// The limit.
    pub limit: i64,
    /// How many are left: `limit - count`, never below zero.
    pub remaining: i64,
    /// By how many the limit is passed: `count - limit`, never below zero.
    pub over: i64,
    /// Whether a rung of its ladder, or its ceiling, is reached.
    pub fired: bool,
}

/// How often the same call came in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoopFacts {
    /// How often, this call included; for a circle of calls, how many times around.
    pub streak: i64,
    /// How many calls the circle has: 1 for exact repeats.
    pub period: i64,
    /// Whether the rule objects.
    pub fired: bool,
}

//! `budgets.toml`: from the file to rules that can only be right.

use std::sync::Arc;

use super::counters::{BASE_BYTES, most_bytes};
use super::{Event, Name};
use crate::clock::Span;
use crate::error::Problem;
use crate::finding::{Layer, Requirement, RuleId};
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::source::Source;

mod read;

/// The sequence rules of a bundle.
///
/// The default has none, and then every call has no counts and no objections.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub(super) budgets: Vec<Budget>,
    pub(super) loops: Vec<Loop>,
    named: Vec<Named>,
}

impl Rules {
    /// Reads `budgets.toml`; a bundle without one has no sequence rules.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each at its line and column.
    pub(crate) fn load(
        source: Option<Source<'_>>,
        vocabulary: &Vocabulary,
        people: &People,
    ) -> Result<Self, Vec<Problem>> {
        match source {
            Some(source) => read::rules(source, vocabulary, people),
            None => Ok(Self::default()),
        }
    }

    /// The ids of the budgets, in the order of the file and of [`SeqFacts::budgets`](crate::facts::SeqFacts).
    pub fn budget_ids(&self) -> impl Iterator<Item = &str> {
        self.budgets.iter().map(|budget| &*budget.id)
    }

    /// The ids of the loop rules, in the order of the file and of [`SeqFacts::loops`](crate::facts::SeqFacts).
    pub fn loop_ids(&self) -> impl Iterator<Item = &str> {
        self.loops.iter().map(|rule| &*rule.id)
    }

    /// The most bytes that the [`Counters`](super::Counters) of one session can take under these rules, about.
    ///
    /// A rule keeps at most `ceiling + 1` times of 8 bytes for each of at most 256 keys, and for two more that keys
    /// share; a rule keyed by the session alone has one key.
    pub fn most_bytes(&self) -> usize {
        self.budgets
            .iter()
            .map(most_bytes)
            .fold(BASE_BYTES, usize::saturating_add)
    }

    /// Problems for every name in `tools` and `programs` that `known` does not know. A rule for a name that does not
    /// exist never matches, and that would be noticed last.
    ///
    /// `source` is the text that these rules were read from.
    pub(crate) fn unknown_names<'a>(
        &'a self,
        source: Source<'a>,
        known: impl Fn(Name<'_>) -> bool + 'a,
    ) -> impl Iterator<Item = Problem> + 'a {
        self.named.iter().filter_map(move |named| {
            let (name, kind, help) = if named.tool {
                (Name::Tool(&named.name), "tool", "name a tool of tools.toml")
            } else {
                (
                    Name::Program(&named.name),
                    "program",
                    "name a program that has a profile",
                )
            };
            let what = format!("unknown {kind} `{}`: this rule would never match it", named.name);
            (!known(name)).then(|| source.problem(named.at, what, help))
        })
    }
}

/// A name in a `match`, and where it stands.
#[derive(Debug, Clone)]
struct Named {
    tool: bool,
    name: Box<str>,
    at: usize,
}

/// A count within a window.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) id: Arc<str>,
    pub(super) rule: RuleId,
    pub(super) ceiling_rule: RuleId,
    pub(super) matches: Match,
    /// What is counted apart within the session.
    pub(super) key: Vec<KeyPart>,
    pub(super) limit: usize,
    pub(super) ceiling: usize,
    pub(super) window: Span,
    pub(super) ladder: Vec<Rung>,
    pub(super) requirement: Option<Requirement>,
}

impl Budget {
    fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            rule: RuleId::known(Layer::Budget, id),
            ceiling_rule: RuleId::known(Layer::Budget, &format!("{id}.ceiling")),
            matches: Match::default(),
            key: Vec::new(),
            limit: 0,
            ceiling: read::MAX_CEILING,
            window: Span::MAX,
            ladder: Vec::new(),
            requirement: None,
        }
    }
}

/// Which calls a budget counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Match {
    labels: LabelSet,
    /// Neither: any name.
    tools: Vec<Box<str>>,
    programs: Vec<Box<str>>,
}

impl Match {
    /// Whether `event` is counted: a call that was not understood is, if it might be.
    pub(super) fn fits(&self, event: &Event<'_>) -> bool {
        let labels = if event.facts.partial {
            event.facts.possible_labels.union(event.facts.labels)
        } else {
            event.facts.labels
        };
        let has = |names: &[Box<str>], name: &str| names.iter().any(|known| **known == *name);
        let named = (self.tools.is_empty() && self.programs.is_empty())
            || match event.name {
                Name::Program(name) => has(&self.programs, name),
                Name::Tool(name) => has(&self.tools, name),
            };
        named && labels.is_superset(self.labels)
    }
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPart {
    /// A fact of the target, by its name.
    Target(&'static str),
    Program,
    Tool,
}

impl KeyPart {
    /// What begins this part in a key.
    pub(super) fn tag(self) -> u8 {
        match self {
            Self::Program => 1,
            Self::Tool => 2,
            Self::Target("kind") => 3,
            Self::Target("namespace") => 4,
            Self::Target("name") => 5,
            Self::Target(_) => 6,
        }
    }

    /// How files write it.
    pub(super) fn spelt(self) -> String {
        match self {
            Self::Program => "program".to_owned(),
            Self::Tool => "tool".to_owned(),
            Self::Target(name) => format!("target.{name}"),
        }
    }
}

/// A rung of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// Fires at this count or more.
    pub(super) from: usize,
    pub(super) then: Then,
}

/// What a rule does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Then {
    Audit,
    Ask,
    Deny,
}

/// The same call over and over.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) id: Arc<str>,
    pub(super) rule: RuleId,
    pub(super) exact_repeat: u64,
    pub(super) then: Then,
    pub(super) requirement: Option<Requirement>,
}

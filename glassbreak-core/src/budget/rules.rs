//! `budgets.toml`: from the file to rules that can only be right.

use std::sync::Arc;

use super::counters::{BASE_BYTES, most_bytes};
use super::key::{KeyPart, Whose};
use super::{Event, Name, Needs};
use crate::clock::Span;
use crate::error::Problem;
use crate::finding::{Layer, Requirement, RuleHash, RuleId};
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::source::Source;

mod hash;
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
    /// share; a rule keyed by the session alone has one key. Shared ones take nothing where a store counts them.
    pub fn most_bytes(&self) -> usize {
        self.budgets
            .iter()
            .map(most_bytes)
            .fold(BASE_BYTES, usize::saturating_add)
    }

    /// The hash of what the budget or loop rule `id` says, with the values of `[defaults]` that it uses: a grant lifts
    /// the rule only as long as this stays. Other rules, comments and the order of keys are not in it.
    pub fn hash_of(&self, id: &str) -> Option<RuleHash> {
        let budgets = self.budgets.iter().map(|budget| (&budget.id, budget.hash));
        let loops = self.loops.iter().map(|rule| (&rule.id, rule.hash));
        let mut all = budgets.chain(loops);
        all.find(|(known, _)| ***known == *id).map(|(_, hash)| hash)
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
    /// Whose count it is.
    pub(super) whose: Whose,
    /// What is counted apart within that.
    pub(super) key: Vec<KeyPart>,
    /// For a shared budget: what it needs of the store. `None` counts in the session.
    pub(super) needs: Option<Needs>,
    pub(super) limit: usize,
    pub(super) ceiling: usize,
    pub(super) window: Span,
    pub(super) ladder: Vec<Rung>,
    pub(super) requirement: Option<Requirement>,
    pub(super) hash: RuleHash,
}

impl Budget {
    /// Whether several sessions may share the count, so that a store keeps it.
    pub(super) const fn is_shared(&self) -> bool {
        self.needs.is_some()
    }

    fn new(id: &str, hash: RuleHash) -> Self {
        Self {
            id: id.into(),
            rule: RuleId::known(Layer::Budget, id),
            ceiling_rule: RuleId::known(Layer::Budget, &format!("{id}.ceiling")),
            matches: Match::default(),
            whose: Whose::Session,
            key: Vec::new(),
            needs: Some(Needs::Strict),
            limit: 0,
            ceiling: read::MAX_CEILING,
            window: Span::MAX,
            ladder: Vec::new(),
            requirement: None,
            hash,
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

impl Then {
    /// The word that files use.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// The same call over and over.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) id: Arc<str>,
    pub(super) rule: RuleId,
    pub(super) exact_repeat: u64,
    pub(super) hash: RuleHash,
    pub(super) then: Then,
    pub(super) requirement: Option<Requirement>,
}

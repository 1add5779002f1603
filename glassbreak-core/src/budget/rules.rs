//! `budgets.toml`: from the file to rules that can only be right.

use std::sync::Arc;

use self::by_name::ByName;
pub(super) use self::matches::Match;
use super::amount::{Amount, MOST};
use super::counters::{BASE_BYTES, most_bytes};
use super::key::{KeyPart, Whose};
use super::kinds::Head;
use super::kinds::breaker::Breaker;
use super::kinds::distinct::Distinct;
use super::kinds::latch::Latch;
use super::kinds::loops::Loop;
use super::kinds::pattern::Pattern;
use super::{Name, Needs, Window};
use crate::error::Problem;
use crate::facts::BudgetFacts;
use crate::finding::{Layer, Requirement, RuleHash, RuleId};
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::source::Source;

mod by_name;
mod hash;
mod matches;
mod read;

/// The sequence rules of a bundle.
///
/// The default has none, and then every call has no counts and no objections.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What counts calls.
    pub(super) budgets: Vec<Budget>,
    /// The places among them by what they name, so that a call walks its own.
    by_name: ByName,
    /// What each of them says of a call that it does not speak of.
    untouched: Vec<BudgetFacts>,
    /// Whether some budget is shared.
    shares: bool,
    /// What counts what became of calls.
    pub(super) events: Vec<EventBudget>,
    pub(super) distincts: Vec<Distinct>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) latches: Vec<Latch>,
    pub(super) loops: Vec<Loop>,
    pub(super) breakers: Vec<Breaker>,
    named: Vec<Named>,
    /// What is observed and not enforced.
    pub(super) observed: Vec<Observed>,
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

    /// The ids of the budgets, in the order of [`SeqFacts::budgets`](crate::facts::SeqFacts): those of calls, then those
    /// of asks and denials, each in the order of the file. The second level of `x` is `x_levels_1`, and so on.
    pub fn budget_ids(&self) -> impl Iterator<Item = &str> {
        let events = self.events.iter().map(|event| &*event.budget.id);
        self.budgets.iter().map(|budget| &*budget.id).chain(events)
    }

    /// What the budgets say of a call that none of them speaks of, with room for those of events.
    pub(super) fn untouched(&self) -> Vec<BudgetFacts> {
        let mut facts = Vec::with_capacity(self.budgets.len() + self.events.len());
        facts.extend_from_slice(&self.untouched);
        facts
    }

    /// The budgets that may speak of a call of this name, with their places, in their order.
    pub(super) fn budgets_of(&self, name: Name<'_>) -> impl Iterator<Item = (usize, &Budget)> {
        let places = self.by_name.of(name).iter();
        places.filter_map(|place| Some((*place, self.budgets.get(*place)?)))
    }

    /// Those of them that several sessions may share.
    pub(super) fn shared_of(&self, name: Name<'_>) -> impl Iterator<Item = &Budget> {
        // Most folders have none, and this is asked twice for each call.
        let budgets = self.shares.then(|| self.budgets_of(name)).into_iter().flatten();
        budgets.map(|(_, budget)| budget).filter(|budget| budget.is_shared())
    }

    /// The ids of the loop rules, in the order of the file and of [`SeqFacts::loops`](crate::facts::SeqFacts).
    pub fn loop_ids(&self) -> impl Iterator<Item = &str> {
        self.loops.iter().map(|rule| &*rule.head.id)
    }

    /// The ids of the rules on different things, in the order of [`SeqFacts::distincts`](crate::facts::SeqFacts).
    pub fn distinct_ids(&self) -> impl Iterator<Item = &str> {
        self.distincts.iter().map(|rule| &*rule.head.id)
    }

    /// The ids of the patterns, in the order of [`SeqFacts::patterns`](crate::facts::SeqFacts).
    pub fn pattern_ids(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|rule| &*rule.head.id)
    }

    /// The ids of the latches, in the order of [`SeqFacts::latches`](crate::facts::SeqFacts).
    pub fn latch_ids(&self) -> impl Iterator<Item = &str> {
        self.latches.iter().map(|rule| &*rule.head.id)
    }

    /// The ids of the breakers, in the order of [`SeqFacts::breakers`](crate::facts::SeqFacts).
    pub fn breaker_ids(&self) -> impl Iterator<Item = &str> {
        self.breakers.iter().map(|rule| &*rule.head.id)
    }

    /// The most bytes that the [`Counters`](super::Counters) of one session can take under these rules, about.
    ///
    /// A rule keeps at most `ceiling + 1` times and amounts, of 16 bytes together, for each of at most 256 keys, and for
    /// two more that keys share; a rule keyed by the session alone has one key and no more. Shared ones take nothing where a store counts them.
    pub fn most_bytes(&self) -> usize {
        let budgets = self.budgets.iter().chain(self.events.iter().map(|event| &event.budget));
        let budgets = budgets.map(most_bytes).fold(BASE_BYTES, usize::saturating_add);
        let distincts: usize = self.distincts.iter().map(|rule| KIND_BYTES + rule.most_bytes()).sum();
        let latches: usize = self.latches.iter().map(|rule| KIND_BYTES + 8 * rule.labels.len()).sum();
        let loops: usize = self.loops.iter().map(|rule| KIND_BYTES + rule.most_bytes()).sum();
        let breakers: usize = self.breakers.iter().map(|rule| KIND_BYTES + rule.most_bytes()).sum();
        budgets
            .saturating_add(distincts)
            .saturating_add(latches)
            .saturating_add(self.patterns.len() * KIND_BYTES)
            .saturating_add(loops)
            .saturating_add(breakers)
    }

    /// The hash of what the rule `id` says, with the values of `[defaults]` that it uses: a grant lifts
    /// the rule only as long as this stays. Other rules, comments and the order of keys are not in it.
    pub fn hash_of(&self, id: &str) -> Option<RuleHash> {
        let events = self.events.iter().map(|event| &event.budget);
        let budgets = self
            .budgets
            .iter()
            .chain(events)
            .map(|budget| (&budget.id, budget.hash));
        let heads = self.heads().map(|head| (&head.id, head.hash));
        let mut all = budgets.chain(heads);
        all.find(|(known, _)| ***known == *id).map(|(_, hash)| hash)
    }

    /// What all rules that are automata have.
    fn heads(&self) -> impl Iterator<Item = &Head> {
        let distincts = self.distincts.iter().map(|rule| &rule.head);
        let patterns = self.patterns.iter().map(|rule| &rule.head);
        let latches = self.latches.iter().map(|rule| &rule.head);
        let loops = self.loops.iter().map(|rule| &rule.head);
        let breakers = self.breakers.iter().map(|rule| &rule.head);
        distincts.chain(patterns).chain(latches).chain(loops).chain(breakers)
    }

    /// A warning where nothing holds calls that cannot be undone: some tool has the label `irreversible` (`carried` has it),
    /// or a pattern or breaker names it, and no budget, latch or rule on different things meets it. Patterns, loops and
    /// breakers let calls pass again by what comes between, so they may not be all there is.
    pub(crate) fn unheld(&self, source: Source<'_>, vocabulary: &Vocabulary, carried: LabelSet) -> Option<Problem> {
        const WORD: &str = "irreversible";
        let label: LabelSet = vocabulary.get(WORD).into_iter().collect();
        let steps = self.patterns.iter().flat_map(|rule| &rule.steps);
        let mut forgiving = steps.chain(self.breakers.iter().map(|rule| &rule.matches));
        let meant = carried.intersects(label) || forgiving.any(|matches| matches.names(label));
        let what = format!("calls labelled `{WORD}` meet no rule that never forgives");
        let help = format!("add a [[budget]] with match = {{ labels = [\"{WORD}\"] }}");
        (meant && !self.holds(label)).then(|| source.problem(0, what, help))
    }

    fn holds(&self, label: LabelSet) -> bool {
        let budgets = self.budgets.iter().filter(|budget| !budget.ladder.is_empty());
        let budgets = budgets.map(|budget| (&budget.rule, &budget.matches));
        let distincts = self.distincts.iter().map(|rule| (&rule.head.rule, &rule.matches));
        let latches = self.latches.iter().map(|rule| (&rule.head.rule, &rule.matches));
        let mut all = budgets.chain(distincts).chain(latches);
        // What is only observed holds nothing.
        all.any(|(rule, matches)| matches.meets(label) && !self.is_observed(rule))
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

/// A rule that is observed, and where its id stands.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) rule: RuleId,
    pub(super) at: usize,
}

/// A name in a `match`, and where it stands.
#[derive(Debug, Clone)]
struct Named {
    tool: bool,
    name: Box<str>,
    at: usize,
}

/// About what the state of one automaton takes in its tree; half again for free places.
const KIND_BYTES: usize = 256;

/// How much within a window.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) id: Arc<str>,
    pub(super) rule: RuleId,
    pub(super) ceiling_rule: RuleId,
    pub(super) matches: Match,
    pub(super) amount: Amount,
    /// Whose count it is.
    pub(super) whose: Whose,
    /// What is counted apart within that.
    pub(super) key: Vec<KeyPart>,
    /// For a shared budget: what it needs of the store. `None` counts in the session.
    pub(super) needs: Option<Needs>,
    pub(super) limit: u64,
    pub(super) ceiling: u64,
    pub(super) window: Window,
    pub(super) ladder: Vec<Rung>,
    pub(super) requirement: Option<Requirement>,
    pub(super) hash: RuleHash,
}

impl Budget {
    /// Whether several sessions may share the count, so that a store keeps it.
    pub(super) const fn is_shared(&self) -> bool {
        self.needs.is_some()
    }

    /// The most entries that a ring of it needs: see [`Ring`](super::window::Ring).
    pub(super) fn most_entries(&self) -> usize {
        self.window.entries(self.ceiling)
    }

    fn new(id: &str, hash: RuleHash) -> Self {
        Self {
            id: id.into(),
            rule: RuleId::known(Layer::Budget, id),
            ceiling_rule: RuleId::known(Layer::Budget, &format!("{id}.ceiling")),
            matches: Match::default(),
            amount: Amount::Fixed(1),
            whose: Whose::Session,
            key: Vec::new(),
            needs: Some(Needs::Strict),
            limit: 0,
            ceiling: MOST,
            window: Window::Lifetime,
            ladder: Vec::new(),
            requirement: None,
            hash,
        }
    }
}

/// How many asks or denials within a window.
#[derive(Debug, Clone)]
pub(super) struct EventBudget {
    pub(super) of: Counts,
    pub(super) budget: Budget,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Calls that are admitted.
    Calls,
    /// Calls that people are asked about.
    Asks,
    /// Calls that are refused.
    Denials,
}

/// A rung of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// Fires at this count or more.
    pub(super) from: u64,
    pub(super) then: Then,
}

/// What a rule does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Then {
    /// Passes, flagged on the record.
    Audit,
    Ask,
    Deny,
    /// Denies, and locks the session.
    Kill,
}

impl Then {
    /// The word that files use.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Kill => "kill",
        }
    }
}

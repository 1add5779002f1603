//! A profile made ready for judging: names sorted, types and facts resolved to places in tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::profile::{Dialect, Verdict};
use super::types::Type;
use crate::facts::{PinFact, Target};
use crate::finding::RuleId;
use crate::label::{Label, LabelSet};
use crate::shape::ProgramShape;

/// One program that may be run.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) name: Arc<str>,
    /// Other names that it is called by.
    pub(crate) aliases: Vec<Box<str>>,
    pub(crate) version: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) types: Vec<Type>,
    pub(crate) opts: Vec<Opt>,
    /// The tree of verbs; the first is the program itself.
    pub(crate) nodes: Vec<Node>,
    /// The names of the profile's own facts.
    pub(crate) sets: Vec<Arc<str>>,
    /// A hash of the whole profile, with the pack it extends.
    pub(crate) hash: [u8; 32],
    /// For each unit of cost: the sets whose sizes multiply to it.
    pub(crate) costs: Vec<(Arc<str>, Vec<usize>)>,
    /// What a window grant holds fixed.
    pub(crate) pins: Vec<PinFact>,
    /// The interpreter of a program that is a script.
    pub(crate) interpreter: Option<String>,
    /// Whether some slot or option takes a path.
    pub(crate) takes_paths: bool,
    /// Whether some form takes a program to run.
    pub(crate) runs: bool,
    /// Whether it may run in the workspace itself only.
    pub(crate) at_workspace: bool,
    pub(crate) inject: Vec<Box<str>>,
    pub(crate) env_pass: Vec<String>,
    /// The variables that it always gets; shared by the plans of its calls.
    pub(crate) env_set: Arc<BTreeMap<Box<str>, Box<str>>>,
    /// Every label that some call of this program can get.
    pub(crate) all_labels: LabelSet,
    /// The label of sensitive paths, where the vocabulary has it.
    pub(crate) secret: Option<Label>,
}

/// The program itself, or a verb.
#[derive(Debug)]
pub(crate) struct Node {
    /// The verbs that lead here, with spaces between them.
    pub(crate) path: Arc<str>,
    pub(crate) verdict: Verdict,
    pub(crate) why: Option<String>,
    pub(crate) rule: RuleId,
    pub(crate) dialect: Arc<Dialect>,
    /// Every spelling that counts here, sorted, with its place in [`Program::opts`].
    pub(crate) names: Names,
    /// Whether some option is written without a dash.
    pub(crate) bare_options: bool,
    pub(crate) forms: Vec<Form>,
    pub(crate) require: Vec<(usize, Box<str>)>,
    /// Every word for a verb beneath, sorted, with its place in [`Program::nodes`].
    pub(crate) verbs: Names,
    pub(crate) unknown_verb: Verdict,
    pub(crate) labels: LabelSet,
    pub(crate) labels_if: Vec<(FactRef, Box<str>, LabelSet)>,
    pub(crate) inject: Vec<Box<str>>,
    /// Whether its calls run as they were understood.
    pub(crate) canonical: bool,
    pub(crate) stdin: bool,
}

/// Words, sorted, each with a place in a table.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<(Box<str>, usize)>);

impl Names {
    /// Sorts the words; gives back the first that stands twice.
    pub(crate) fn new(mut words: Vec<(Box<str>, usize)>) -> Result<Self, Box<str>> {
        words.sort();
        for pair in words.windows(2) {
            if let [(a, _), (b, _)] = pair
                && a == b
            {
                return Err(a.clone());
            }
        }
        Ok(Self(words))
    }

    pub(crate) fn get(&self, word: &str) -> Option<usize> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(word)).ok()?;
        self.0.get(at).map(|(_, index)| *index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(word, index)| (&**word, *index))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// The spelling that facts and explanations use.
    pub(crate) name: Arc<str>,
    pub(crate) value: Option<usize>,
    pub(crate) second: Option<usize>,
    pub(crate) optional: bool,
    pub(crate) many: bool,
    pub(crate) equals_only: bool,
    pub(crate) dash_value: bool,
    pub(crate) verdict: Verdict,
    pub(crate) why: Option<String>,
    pub(crate) rule: RuleId,
    pub(crate) facts: Vec<FactRef>,
    pub(crate) sets: Vec<(FactRef, Arc<str>)>,
    pub(crate) labels: LabelSet,
    pub(crate) loads: Option<String>,
}

/// One way to write a node's operands.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) when: Vec<usize>,
    pub(crate) unless: Vec<usize>,
    pub(crate) operands: Vec<Slot>,
    pub(crate) after: Vec<Slot>,
}

/// A row of operands of one type.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) ty: usize,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) adds_words: bool,
    pub(crate) facts: Vec<FactRef>,
}

/// Where a fact is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactRef {
    /// A set of the profile, by its place in [`Program::sets`].
    Set(usize),
    /// One of the four facts of the target, by its name.
    Target(&'static str),
}

impl Program {
    /// Whether a call that begins with `word` is one of this program.
    pub(crate) fn is_called(&self, word: &str) -> bool {
        *self.name == *word || self.aliases.iter().any(|alias| **alias == *word)
    }

    /// What the schema needs to know of it.
    pub(crate) fn shape(&self) -> ProgramShape {
        ProgramShape {
            program: self.name.to_string(),
            aliases: self.aliases.iter().map(ToString::to_string).collect(),
            sets: self.sets.iter().map(ToString::to_string).collect(),
            words: self.words(),
            fills: self.filled(),
            labels: self.all_labels.union(self.secret.into_iter().collect()),
        }
    }

    pub(crate) fn opt(&self, index: usize) -> Option<&Opt> {
        self.opts.get(index)
    }

    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(crate) fn ty(&self, index: usize) -> Option<&Type> {
        self.types.get(index)
    }

    /// Whether some call can fill this fact.
    pub(crate) fn fills(&self, fact: FactRef) -> bool {
        let slots = self.nodes.iter().flat_map(|node| &node.forms);
        let slots = slots.flat_map(|form| form.operands.iter().chain(&form.after));
        slots.into_iter().any(|slot| slot.facts.contains(&fact))
            || self.types.iter().any(|ty| ty.fills(fact))
            || (self.opts.iter()).any(|opt| opt.facts.contains(&fact) || opt.sets.iter().any(|(set, _)| *set == fact))
    }

    /// The facts that some call can fill, as policies name them.
    pub(crate) fn filled(&self) -> BTreeSet<String> {
        let targets = Target::NAMES
            .into_iter()
            .filter(|name| self.fills(FactRef::Target(name)));
        let sets = self
            .sets
            .iter()
            .enumerate()
            .filter(|(index, _)| self.fills(FactRef::Set(*index)));
        let targets = targets.map(|name| format!("target.{name}"));
        targets.chain(sets.map(|(_, set)| format!("argv.{set}"))).collect()
    }

    /// The words of `command`, and of the sets that nothing but words of the profile can join.
    pub(crate) fn words(&self) -> BTreeMap<String, BTreeSet<String>> {
        let commands = self.nodes.iter().map(|node| node.path.to_string()).collect();
        let mut closed = BTreeMap::from([("command".to_owned(), commands)]);
        for (index, set) in self.sets.iter().enumerate() {
            let fact = FactRef::Set(index);
            let slots = self.nodes.iter().flat_map(|node| &node.forms);
            let slots = slots.flat_map(|form| form.operands.iter().chain(&form.after));
            let free = slots
                .map(|slot| &slot.facts)
                .chain(self.opts.iter().map(|opt| &opt.facts));
            let types: Vec<&Type> = self.types.iter().filter(|ty| ty.fills(fact)).collect();
            let words = types.iter().map(|ty| ty.kind.words()).collect::<Option<Vec<_>>>();
            if let (Some(words), false) = (words, free.into_iter().any(|facts| facts.contains(&fact))) {
                let set_by = self
                    .opts
                    .iter()
                    .flat_map(|opt| &opt.sets)
                    .filter(|(known, _)| *known == fact);
                let constants = set_by.map(|(_, text)| text.to_string());
                let words = words
                    .into_iter()
                    .flatten()
                    .map(ToString::to_string)
                    .chain(constants)
                    .collect();
                closed.insert(set.to_string(), words);
            }
        }
        closed
    }
}

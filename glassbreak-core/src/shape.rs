//! What calls can look like under a bundle: the source that the Cedar schema and the context of every call are made
//! from, so that the two cannot differ.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::call::Word;
use crate::label::LabelSet;

/// Everything that shapes a call's facts.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The programs that have a profile.
    pub programs: Vec<ProgramShape>,
    /// The tools of the manifest.
    pub tools: Vec<ToolShape>,
    /// The ids of the budgets, in the order of [`SeqFacts::budgets`](crate::facts::SeqFacts).
    pub budgets: Vec<String>,
    /// The ids of the loop rules, in the order of [`SeqFacts::loops`](crate::facts::SeqFacts).
    pub loops: Vec<String>,
    /// The ids of the rules on different things, in the order of [`SeqFacts::distincts`](crate::facts::SeqFacts).
    pub distincts: Vec<String>,
    /// The ids of the patterns, in the order of [`SeqFacts::patterns`](crate::facts::SeqFacts).
    pub patterns: Vec<String>,
    /// The ids of the latches, in the order of [`SeqFacts::latches`](crate::facts::SeqFacts).
    pub latches: Vec<String>,
    /// The ids of the breakers, in the order of [`SeqFacts::breakers`](crate::facts::SeqFacts).
    pub breakers: Vec<String>,
}

impl Shape {
    /// The program that `name` is another name of; `None` for one that is a program itself, or none.
    pub(crate) fn alias_of(&self, name: &str) -> Option<&str> {
        if self.programs.iter().any(|known| known.program == name) {
            return None;
        }
        let known = self.programs.iter();
        let mut named = known.filter(|known| known.aliases.iter().any(|alias| alias == name));
        named.next().map(|known| known.program.as_str())
    }
}

/// A program's facts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramShape {
    /// Its name.
    pub program: String,
    /// Its other names. To policies a call by one of them is one of this program.
    pub aliases: Vec<String>,
    /// The profile's own facts, each a set of texts, in the order of
    /// [`ArgvFacts::sets`](crate::facts::ArgvFacts::sets).
    pub sets: Vec<String>,
    /// For `command` and for the sets that hold only words of the profile: those words. A policy that compares such a
    /// fact with another word would never hold.
    pub words: BTreeMap<String, BTreeSet<String>>,
    /// The facts that some call of it fills, such as `target.name` and `argv.kinds`.
    pub fills: BTreeSet<String>,
    /// Every label that some call of it has.
    pub labels: LabelSet,
}

/// A tool's facts.
#[derive(Debug, Clone)]
pub struct ToolShape {
    /// Its name.
    pub name: Word,
    /// Its arguments.
    pub args: Vec<ArgField>,
    /// The host's entity type that it acts on; `None` for the tool itself.
    pub resource_type: Option<String>,
    /// The facts that some call of it fills, such as `target.name`.
    pub fills: BTreeSet<String>,
    /// The labels of its calls.
    pub labels: LabelSet,
}

/// One argument, or one field of a record.
#[derive(Debug, Clone)]
pub struct ArgField {
    /// Its name.
    pub name: String,
    /// What may stand there.
    pub ty: ArgType,
    /// Whether it must be given. A policy reads an optional one behind `has`.
    pub required: bool,
    /// Whether it is [shown nowhere](crate::call::ArgValue::Secret).
    pub secret: bool,
}

/// What may stand in an argument.
#[derive(Debug, Clone)]
pub enum ArgType {
    /// True or false.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A text.
    Str {
        /// The longest, in bytes.
        max: usize,
        /// The only texts allowed; empty for any.
        one_of: Vec<String>,
        /// What the whole text must match.
        pattern: Option<Regex>,
    },
    /// A list of values of one type. Cedar sees it as a set: order and repeats are lost to policies, not to the digest.
    List(Box<ArgType>),
    /// Named values; no others may be given.
    Record(Vec<ArgField>),
}

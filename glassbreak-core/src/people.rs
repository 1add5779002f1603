//! The people of a bundle: persons and the groups they belong to.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::Word;

/// Persons and groups, from `people.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct People {
    groups: BTreeSet<Word>,
    persons: BTreeMap<Word, BTreeSet<Word>>,
}

impl People {
    /// Declares a group.
    pub fn add_group(&mut self, group: Word) {
        self.groups.insert(group);
    }

    /// Declares a person and the groups they belong to.
    pub fn add_person(&mut self, person: Word, groups: impl IntoIterator<Item = Word>) {
        self.persons.insert(person, groups.into_iter().collect());
    }

    /// The declared groups.
    pub fn groups(&self) -> impl Iterator<Item = &Word> {
        self.groups.iter()
    }

    /// Every person with their groups.
    pub fn persons(&self) -> impl Iterator<Item = (&Word, &BTreeSet<Word>)> {
        self.persons.iter()
    }
}

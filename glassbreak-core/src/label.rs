//! Labels: what a call means, as words of a declared vocabulary.
//!
//! Profiles and the tool manifest put labels on calls; agent text never does. Policies, budgets and
//! the risk of a call speak of labels, so that they judge meaning and not spelling.

use std::fmt;

use crate::error::BadWord;

/// How much is at stake: the highest risk among a call's labels.
///
/// Calls whose facts are partial are [`Risk::High`] whatever their labels say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reading what anyone on the team may read.
    #[default]
    Low,
    /// Changing something that can be changed back.
    Medium,
    /// Destroying, leaking, or not understood.
    High,
}

impl Risk {
    /// The word used in files, policies and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads the word used in files.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One label's place in a [`Vocabulary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(u8);

/// A set of labels of one [`Vocabulary`]; a `u64`, because every call carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LabelSet(u64);

impl LabelSet {
    /// No label.
    pub const EMPTY: Self = Self(0);

    /// Adds a label.
    pub fn insert(&mut self, label: Label) {
        self.0 |= 1 << label.0;
    }

    /// Whether `label` is in the set.
    pub const fn contains(self, label: Label) -> bool {
        self.0 & (1 << label.0) != 0
    }

    /// The labels of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every label of `other` is here.
    pub const fn is_superset(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the sets share a label.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no label is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The labels, in the order of the vocabulary.
    pub fn iter(self) -> impl Iterator<Item = Label> + Clone {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = u8::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
            left &= left - 1;
            Some(Label(lowest))
        })
    }
}

impl FromIterator<Label> for LabelSet {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut set = Self::EMPTY;
        labels.into_iter().for_each(|label| set.insert(label));
        set
    }
}

/// The labels a bundle knows, each with its risk; at most 64.
///
/// It begins with the [built-in labels](Vocabulary::BUILT_IN); `[labels]` in `glassbreak.toml` adds
/// to them and may set their risk anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<(Box<str>, Risk)>,
}

impl Vocabulary {
    /// The labels that shipped packs use, with the risk they have unless the bundle says otherwise.
    pub const BUILT_IN: [(&'static str, Risk); 7] = [
        ("bulk", Risk::High),
        ("irreversible", Risk::High),
        ("k8s.pod.delete", Risk::Medium),
        ("mutating", Risk::Medium),
        ("net.egress", Risk::Medium),
        ("secret.read", Risk::High),
        ("untrusted.in", Risk::Low),
    ];

    /// The most labels a bundle may know.
    pub const MAX: usize = 64;

    /// The built-in labels alone.
    pub fn built_in() -> Self {
        Self {
            words: Self::BUILT_IN
                .iter()
                .map(|(word, risk)| ((*word).into(), *risk))
                .collect(),
        }
    }

    /// Declares a label, or sets the risk of one that is known.
    ///
    /// # Errors
    /// When `word` is not a label (`[a-z][a-z0-9_.-]*`, at most 64 bytes), or is one too many.
    pub fn declare(&mut self, word: &str, risk: Risk) -> Result<Label, BadWord> {
        if let Some(label) = self.get(word) {
            if let Some(entry) = self.words.get_mut(usize::from(label.0)) {
                entry.1 = risk;
            }
            return Ok(label);
        }
        check_label(word)?;
        if self.words.len() >= Self::MAX {
            return Err(BadWord::new("label", word, "a bundle may declare at most 64 labels"));
        }
        self.words.push((word.into(), risk));
        u8::try_from(self.words.len() - 1)
            .map(Label)
            .map_err(|_| BadWord::new("label", word, "too many labels"))
    }

    /// The label spelt `word`, if it is declared.
    pub fn get(&self, word: &str) -> Option<Label> {
        let index = self.words.iter().position(|(known, _)| **known == *word)?;
        u8::try_from(index).ok().map(Label)
    }

    /// How `label` is spelt.
    pub fn word(&self, label: Label) -> &str {
        self.words.get(usize::from(label.0)).map_or("", |(word, _)| word)
    }

    /// The spellings of a set's labels, in the order of the vocabulary.
    pub fn words_of(&self, labels: LabelSet) -> impl Iterator<Item = &str> + Clone {
        labels.iter().map(|label| self.word(label))
    }

    /// Every declared spelling.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|(word, _)| &**word)
    }

    /// The highest risk among `labels`; [`Risk::Low`] for none.
    pub fn risk_of(&self, labels: LabelSet) -> Risk {
        labels
            .iter()
            .filter_map(|label| self.words.get(usize::from(label.0)))
            .map(|(_, risk)| *risk)
            .max()
            .unwrap_or_default()
    }
}

fn check_label(word: &str) -> Result<(), BadWord> {
    let mut bytes = word.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'));
    if head && tail && word.len() <= 64 {
        Ok(())
    } else {
        Err(BadWord::new(
            "label",
            word,
            "write a lower-case letter, then letters, digits, `_`, `.` or `-`, at most 64 in all",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_risk_wins_and_none_is_low() {
        let vocabulary = Vocabulary::built_in();
        let labels = ["untrusted.in", "secret.read"]
            .iter()
            .filter_map(|word| vocabulary.get(word))
            .collect();
        assert_eq!(vocabulary.risk_of(labels), Risk::High);
        assert_eq!(vocabulary.risk_of(LabelSet::EMPTY), Risk::Low);
    }

    #[test]
    fn declaring_twice_sets_the_risk_and_the_65th_label_is_refused() {
        let mut vocabulary = Vocabulary::built_in();
        let label = vocabulary.declare("mutating", Risk::High).unwrap();
        assert_eq!(vocabulary.risk_of([label].into_iter().collect()), Risk::High);
        for n in vocabulary.words.len()..Vocabulary::MAX {
            vocabulary.declare(&format!("l{n}"), Risk::Low).unwrap();
        }
        assert!(vocabulary.declare("one-more", Risk::Low).is_err());
        assert!(Vocabulary::built_in().declare("Upper", Risk::Low).is_err());
        assert!(Vocabulary::built_in().declare("", Risk::Low).is_err());
    }
}

//! Who may agree, as a bundle says now.

use std::fmt;

use super::{Asked, Request};
use crate::call::Word;
use crate::finding::RuleHash;
use crate::finding::RuleId;
use crate::people::Account;

/// Who may answer requests, and by which rules: what a vote is checked against at the moment it counts.
pub trait Electorate {
    /// The person that an account belongs to.
    fn person_of(&self, account: &Account) -> Option<Word>;

    /// Everybody who belongs to a group and may answer at all.
    fn members(&self, group: &Word) -> Vec<Word>;

    /// Whether a person belongs to a group and may answer at all.
    ///
    /// # Errors
    /// Why not.
    fn is_member(&self, person: &Word, group: &Word) -> Result<(), Ineligible>;

    /// Whether the policies let a person agree to a request, once or for a window.
    ///
    /// # Errors
    /// Why not.
    fn may_approve(&self, person: &Word, request: &Request, window: bool) -> Result<(), Ineligible>;

    /// What a rule says now; a rule that is gone has another hash than any it ever had.
    fn rule_hash(&self, asked: &Asked) -> RuleHash;

    /// A rule's hash has changed since it asked.
    fn changed(&self, asked: &Asked) -> Option<RuleId> {
        (self.rule_hash(asked) != asked.hash).then(|| asked.rule.clone())
    }
}

/// Why a person may not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ineligible(String);

impl Ineligible {
    /// Because of this.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

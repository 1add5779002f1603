//! Who may agree, as a bundle says now.

use std::fmt;

use super::{Asked, Request};
use crate::bundle::Bundle;
use crate::call::Word;
use crate::finding::{RuleHash, RuleId};
use crate::people::Account;
use crate::policy::Approving;

/// Who may answer requests, and by which rules: what a vote is checked against at the moment it counts.
pub trait Electorate {
    /// The person that an account belongs to.
    fn person_of(&self, account: &Account) -> Option<Word>;

    /// Whether a person is found by an address at this issuer: then any account of it may be theirs.
    fn has_address(&self, person: &Word, issuer: &str) -> bool {
        let _ = (person, issuer);
        false
    }

    /// Everybody who belongs to a group and may answer at all.
    fn members(&self, group: &Word) -> Vec<Word>;

    /// Whether a person belongs to a group and may answer at all.
    ///
    /// # Errors
    /// Why not.
    fn is_member(&self, person: &Word, group: &Word) -> Result<(), Ineligible>;

    /// The groups of the later stages of a group, in order. One that has none is all there is.
    fn later(&self, group: &Word) -> Vec<Word> {
        let _ = group;
        Vec::new()
    }

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

/// The policy folder as it is now: `people.toml` for who belongs where, Cedar's `approve` for what they may agree to.
impl Electorate for Bundle {
    fn person_of(&self, account: &Account) -> Option<Word> {
        self.people().person_of(account).cloned()
    }

    fn has_address(&self, person: &Word, issuer: &str) -> bool {
        self.people().has_address(person, issuer)
    }

    fn members(&self, group: &Word) -> Vec<Word> {
        let people = self.people();
        let members = people.persons().filter(|(_, groups)| groups.contains(group));
        members
            .map(|(person, _)| person.clone())
            .filter(|person| !people.is_disabled(person))
            // One without an account can never say anything.
            .filter(|person| people.can_answer(person))
            .collect()
    }

    fn is_member(&self, person: &Word, group: &Word) -> Result<(), Ineligible> {
        let people = self.people();
        if people.is_disabled(person) {
            return Err(Ineligible::new("they are disabled in people.toml"));
        }
        match people.groups_of(person) {
            Some(groups) if groups.contains(group) => Ok(()),
            Some(_) => Err(Ineligible::new(format!("they are not in the group `{group}`"))),
            None => Err(Ineligible::new("they are not in people.toml")),
        }
    }

    fn later(&self, group: &Word) -> Vec<Word> {
        let stages = self.settings().stages.get(group);
        stages.map_or_else(Vec::new, |stages| {
            stages.then.iter().map(|stage| stage.group.clone()).collect()
        })
    }

    fn may_approve(&self, person: &Word, request: &Request, window: bool) -> Result<(), Ineligible> {
        let rules: Vec<&str> = request.rules.iter().map(|asked| asked.rule.as_str()).collect();
        let labels: Vec<&str> = request.labels.iter().map(|label| &**label).collect();
        let approving = Approving {
            person,
            resource: (&request.resource.0, &request.resource.1),
            rules: &rules,
            risk: request.risk,
            labels: &labels,
            role: &request.role,
            scope: if window { "window" } else { "once" },
        };
        self.policies()
            .may_approve(&approving)
            .map_err(|finding| Ineligible::new(finding.why()))
    }

    fn rule_hash(&self, asked: &Asked) -> RuleHash {
        Self::rule_hash(self, &asked.rule)
    }
}

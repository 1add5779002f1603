//! The rules that are automata: each a few numbers of state in the session, and plain functions over them.
//!
//! What each keeps is bounded by the rule and not by how many calls there were. Their state belongs to the session, and
//! so to all agents of its tree; a rule whose text changes begins anew.

pub(super) mod breaker;
pub(super) mod distinct;
pub(super) mod latch;
pub(super) mod loops;
pub(super) mod pattern;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::inspect::finding_of;
use super::rules::Then;
use crate::finding::{Finding, Layer, Requirement, RuleHash, RuleId};

/// What every rule has.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: Arc<str>,
    pub(super) rule: RuleId,
    pub(super) hash: RuleHash,
    pub(super) then: Then,
    pub(super) requirement: Option<Requirement>,
}

impl Head {
    pub(super) fn new(id: &str, hash: RuleHash, then: Then, requirement: Option<Requirement>) -> Self {
        Self {
            id: id.into(),
            rule: RuleId::known(Layer::Budget, id),
            hash,
            then,
            requirement,
        }
    }

    /// What comes of it when it fires.
    fn finding(&self, why: String, hint: impl Into<String>) -> Finding {
        self.finding_as(self.then, why, hint)
    }

    fn finding_as(&self, then: Then, why: String, hint: impl Into<String>) -> Finding {
        finding_of(self.rule.clone(), then, why, hint.into(), self.requirement.clone())
    }
}

/// The state of one rule, and of which text of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept<S> {
    hash: RuleHash,
    state: S,
}

/// The states of all rules of one kind, by their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de>"))]
pub(super) struct States<S>(#[serde(with = "super::kept::by_id")] BTreeMap<Arc<str>, Kept<S>>);

impl<S> Default for States<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Default> States<S> {
    /// The state of a rule; `None` where it has seen nothing yet.
    pub(super) fn get(&self, head: &Head) -> Option<&S> {
        let kept = self.0.get(&*head.id)?;
        (kept.hash == head.hash).then_some(&kept.state)
    }

    /// The state of a rule, to be changed.
    pub(super) fn get_mut(&mut self, head: &Head) -> &mut S {
        let fresh = || Kept {
            hash: head.hash,
            state: S::default(),
        };
        let kept = self.0.entry(Arc::clone(&head.id)).or_insert_with(fresh);
        if kept.hash != head.hash {
            *kept = fresh();
        }
        &mut kept.state
    }

    /// About how many bytes they take, `of` saying what one holds outside itself.
    pub(super) fn bytes(&self, of: impl Fn(&S) -> usize) -> usize {
        let one = (size_of::<Arc<str>>() + size_of::<Kept<S>>()) * 3 / 2;
        self.0.values().map(|kept| one + of(&kept.state)).sum()
    }
}

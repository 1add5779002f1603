//! Asking Cedar whether a person may do something: two-valued, for `approve` and `operate` alike.
//!
//! A call gets three outcomes, because people can be asked about it. What people themselves do is allowed or not:
//! nobody is asked whether somebody may be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Decision, EntityUid, PolicyId, Request};
use cedar_policy_core::ast::{Context, Value};

use super::engine::{Answer, Names};
use super::evaluate::with_stack;
use super::load::uid;
use super::plan::{REPORT, Rule, refusal};
use super::{Class, Policies};
use crate::call::Word;
use crate::finding::{Finding, RuleId};

/// What a person wants to do.
pub(super) struct Deed<'a> {
    pub(super) person: &'a Word,
    /// The action's name, which is not one of a call.
    pub(super) action: &'a str,
    pub(super) resource: EntityUid,
    /// The one record of the context: its name, and what it holds.
    pub(super) about: (&'static str, Vec<(&'static str, Value)>),
    /// The rule that a refusal goes by where no policy has one.
    pub(super) rule: &'static str,
    /// The deed in words, such as "lock session `s1`".
    pub(super) what: String,
}

/// A text, as a policy reads it.
pub(super) fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}

/// A set of texts, as a policy reads it.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::set(texts.into_iter().map(text), None)
}

impl Policies {
    /// Whether a declared person who is not disabled may do this: some permit holds, no forbid holds, and no policy
    /// that could say something is in error.
    pub(super) fn may(&self, deed: Deed<'_>) -> Result<(), Finding> {
        let person = deed.person.as_str();
        let principal = uid(&self.plans.uids().person, person);
        if self.engine.entities().get(&principal).is_none() {
            let why = format!("`{person}` is not in people.toml");
            return Err(refusal(deed.rule, why, "let a declared person do it"));
        }
        if self.disabled.contains(deed.person) {
            let why = format!("`{person}` is disabled in people.toml");
            return Err(refusal(deed.rule, why, "let somebody else do it"));
        }
        let names = Names {
            principal,
            action: self.plans.uids().action(deed.action),
            resource: deed.resource,
        };
        let matching = self.engine.matching(&names);
        let (name, fields) = deed.about;
        let record = Value::record(fields, None);
        let context = Context::Value(Arc::new(BTreeMap::from([(name.into(), record)])));
        let Names {
            principal,
            action,
            resource,
        } = names;
        let request = Request::new(principal, action, resource, context.into(), None)
            .map_err(|_| refusal("internal", "the question could not be put to Cedar", REPORT))?;
        let answer = with_stack(|| self.engine.oracle_of(&matching, &request))
            .ok_or_else(|| refusal("internal", "the matching policies do not fit together", REPORT))?;
        let errors = self.in_order(answer.errors.iter());
        if answer.decision == Decision::Allow && errors.is_empty() {
            return Ok(());
        }
        let what = format!("`{person}` to {}", deed.what);
        Err(self.objection(deed.rule, &what, &answer, &errors))
    }

    /// Rules by their ids, in the order of files and lines: Cedar names them in any.
    fn in_order<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<Option<&Rule>> {
        let mut places: Vec<Option<usize>> = ids.map(|id| self.by_id.get(id).copied()).collect();
        places.sort_unstable();
        let rule = |place: Option<usize>| place.and_then(|place| self.rules.get(place));
        places.into_iter().map(rule).collect()
    }

    /// What objects: a forbid that holds, else what could not be judged, else that nothing permits it.
    fn objection(&self, id: &'static str, what: &str, answer: &Answer, errors: &[Option<&Rule>]) -> Finding {
        const HINT: &str = "let somebody do it whom a policy permits";
        let forbids = match answer.decision {
            Decision::Deny => self.in_order(answer.reasons.iter()),
            Decision::Allow => Vec::new(),
        };
        let deny = |rule: &RuleId, why: String| Finding::deny(rule.clone(), why, HINT);
        if let Some(forbid) = forbids.first() {
            return match forbid {
                Some(rule) => {
                    let reason = (rule.reason.as_deref()).map_or_else(String::new, |reason| format!(": {reason}"));
                    deny(&rule.held, format!("policy `{}` forbids {what}{reason}", rule.id))
                }
                None => refusal("internal", "Cedar named a policy that does not exist", REPORT),
            };
        }
        match errors.first() {
            Some(Some(rule)) => {
                let counts = match rule.class {
                    Class::Permit => "",
                    Class::SoftForbid | Class::HardForbid => ", and so counts as holding",
                };
                let why = format!(
                    "policy `{}` could not be judged{counts}: it does not let {what}",
                    rule.id
                );
                deny(&rule.error, why)
            }
            Some(None) => refusal("internal", "Cedar named a policy that does not exist", REPORT),
            None => refusal(id, format!("no policy permits {what}"), HINT),
        }
    }
}

//! Who may work the kill switch: Cedar over persons, two-valued.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Decision, EntityUid, PolicySet, Request};
use cedar_policy_core::ast::{Context, Value};

use super::Policies;
use super::load::uid;
use super::plan::{Names, refusal};
use crate::call::Word;
use crate::finding::Finding;

/// Something an operator does. Outside `call`: it judges people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operate {
    /// Refuse everything under a target, and end what runs.
    Lock,
    /// Lift a lock.
    Unlock,
}

impl Operate {
    /// The action's name in Cedar.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
        }
    }
}

/// What an operator wants to do to what.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The person, by their name in `people.toml`.
    pub person: &'a Word,
    /// What.
    pub operate: Operate,
    /// The kind of target: `all`, `agent`, `session`, `tool` or `person`.
    pub kind: &'a str,
    /// Its name; empty for all.
    pub id: &'a str,
    /// For a session or agent: the person it acts for; empty where that is not known.
    pub on_behalf_of: &'a str,
}

/// The realm, as Cedar names it. One store holds one realm.
const REALM: &str = "default";

impl Policies {
    /// Whether a person may do this: some permit holds, no forbid holds, and none is in error.
    ///
    /// # Errors
    /// The refusal, under `policy.operate` or the forbid that holds.
    pub fn may_operate(&self, operation: &Operation<'_>) -> Result<(), Finding> {
        let person = operation.person.as_str();
        let Some(names) = self.operate_names(person, operation.operate) else {
            let why = format!("`{person}` is not in people.toml");
            return Err(refusal("operate", why, "let a declared person do it"));
        };
        let text = |text: &str| Value::from(text.to_owned());
        let fields = [
            ("kind", operation.kind),
            ("id", operation.id),
            ("on_behalf_of", operation.on_behalf_of),
        ];
        let record = Value::record(fields.map(|(name, value)| (name, text(value))), None);
        let context = Context::Value(Arc::new(BTreeMap::from([("operate".into(), record)])));
        let Names {
            principal,
            action,
            resource,
        } = names;
        let request = Request::new(
            principal.clone(),
            action.clone(),
            resource.clone(),
            context.into(),
            None,
        )
        .map_err(|_| refusal("internal", "the operation could not be put to Cedar", ""))?;
        let names = Names {
            principal,
            action,
            resource,
        };
        let matching = self
            .rules
            .iter()
            .filter(|rule| rule.scope.matches(&names, &self.entities));
        let policies = PolicySet::from_policies(matching.map(|rule| rule.policy.clone()))
            .map_err(|_| refusal("internal", "the matching policies do not fit together", ""))?;
        let response = self.authorizer.is_authorized(&request, &policies, &self.entities);
        let errors = response.diagnostics().errors().count();
        if response.decision() == Decision::Allow && errors == 0 {
            return Ok(());
        }
        let rules: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        let (operate, kind, id) = (operation.operate.as_str(), operation.kind, operation.id);
        let why = match (errors, rules.as_slice()) {
            (0, []) => format!("no policy permits `{person}` to {operate} {kind} `{id}`"),
            (0, rules) => format!("`{}` forbids `{person}` to {operate} {kind} `{id}`", rules.join("`, `")),
            (_, _) => format!("a policy on `{operate}` could not be evaluated"),
        };
        Err(refusal("operate", why, "let somebody do it whom a policy permits"))
    }

    fn operate_names(&self, person: &str, operate: Operate) -> Option<Names> {
        let of = |ty: &str, id: &str| -> Option<EntityUid> { Some(uid(&ty.parse().ok()?, id)) };
        let principal = of("Person", person)?;
        self.entities.get(&principal)?;
        Some(Names {
            principal,
            action: of("Action", operate.as_str())?,
            resource: of("Realm", REALM)?,
        })
    }
}

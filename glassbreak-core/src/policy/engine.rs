//! Policies as they are evaluated: an index by scope, conditions by themselves, and Cedar beside them as the oracle.
//!
//! Cedar's authorizer has no index: it rebuilds every condition with its scope on every call, walks all policies and sorts
//! the outcomes into maps. Here the scope is matched apart, and of what matches only the `when` part is evaluated: as it
//! was made ready by [`Code`], and where that does not say, by Cedar's own `eval_expression`. A scope cannot be in error,
//! so a policy that is left out because of it would have said nothing.
//!
//! The engine knows nothing of asks, findings or calls: it says which conditions hold and which are in error. Its
//! [`Answer`] is Cedar's own, before anything is made of errors, so that it can be held against the authorizer's.

use std::collections::HashMap;
use std::fmt;

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision, Effect, Entities, EntityUid, EvalResult,
    EvaluationError, Expression, Policy, PolicyId, PolicySet, PrincipalConstraint, Request, ResourceConstraint,
    Response, eval_expression,
};

use super::code::{Code, without_places};
use super::query::Query;
use super::schema::Calls;

/// Policies, ready to be evaluated.
pub(super) struct Engine {
    compiled: Vec<Compiled>,
    index: Index,
    entities: Entities,
    /// All of them, for the oracle.
    all: PolicySet,
    authorizer: Authorizer,
}

/// One policy.
#[derive(Debug)]
struct Compiled {
    policy: Policy,
    scope: Scope,
    /// Its `when` and `unless` parts; `None` where it has none and holds wherever its scope matches.
    condition: Option<Condition>,
}

#[derive(Debug)]
struct Condition {
    /// As it is worked out; `None` where Cedar has to be asked.
    code: Option<Code>,
    written: Expression,
}

impl Condition {
    fn of(policy: &Policy) -> Option<Self> {
        let written = policy.as_ref().non_scope_constraints()?;
        let code = Code::of(written);
        // What is worked out here meets Cedar only where it is in error.
        let written = if code.is_some() {
            Expression::from(written.clone())
        } else {
            without_places(written)
        };
        Some(Self { code, written })
    }
}

/// Whether a condition holds.
#[derive(Debug)]
pub(super) enum Truth {
    Holds,
    DoesNot,
    Error(Box<EvaluationError>),
    /// It is neither true nor false, which validated conditions always are.
    Neither,
}

/// What Cedar would answer, by the ids of policies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    /// Sorted.
    pub(super) reasons: Vec<PolicyId>,
    /// Sorted.
    pub(super) errors: Vec<PolicyId>,
}

impl Answer {
    pub(super) fn of(response: &Response) -> Self {
        let errors = response.diagnostics().errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            error.policy_id().clone()
        });
        Self {
            decision: response.decision(),
            reasons: sorted(response.diagnostics().reason().cloned()),
            errors: sorted(errors),
        }
    }
}

fn sorted(ids: impl Iterator<Item = PolicyId>) -> Vec<PolicyId> {
    let mut ids: Vec<PolicyId> = ids.collect();
    ids.sort_unstable();
    ids
}

impl Engine {
    /// Policies are known by their places in `policies` from now on.
    ///
    /// `None` where two have the same id.
    pub(super) fn new(policies: Vec<Policy>, entities: Entities) -> Option<Self> {
        let all = PolicySet::from_policies(policies.iter().cloned()).ok()?;
        Some(Self::over(policies, all, entities))
    }

    /// The same, where the set is there already; linked policies only come in one.
    pub(super) fn over(policies: Vec<Policy>, all: PolicySet, entities: Entities) -> Self {
        let compiled: Vec<Compiled> = policies
            .into_iter()
            .map(|policy| Compiled {
                scope: Scope::of(&policy),
                condition: Condition::of(&policy),
                policy,
            })
            .collect();
        Self {
            index: Index::of(&compiled),
            compiled,
            entities,
            all,
            authorizer: Authorizer::new(),
        }
    }

    /// Has conditions read facts where they stand.
    pub(super) fn bind(&mut self, calls: &Calls) {
        let conditions = self
            .compiled
            .iter_mut()
            .filter_map(|compiled| compiled.condition.as_mut());
        conditions
            .filter_map(|condition| condition.code.as_mut())
            .for_each(|code| code.bind(calls));
    }

    pub(super) const fn entities(&self) -> &Entities {
        &self.entities
    }

    pub(super) fn policy(&self, place: usize) -> Option<&Policy> {
        self.compiled.get(place).map(|compiled| &compiled.policy)
    }

    /// The policies whose scope matches, in their order.
    pub(super) fn matching(&self, names: &Names) -> Vec<usize> {
        let mut places = self.index.candidates(&names.action, &self.entities);
        places.retain(|place| {
            let compiled = self.compiled.get(*place);
            compiled.is_some_and(|compiled| compiled.scope.matches(names, &self.entities))
        });
        places
    }

    /// Whether the condition of a policy holds for a request that its scope matches.
    pub(super) fn truth(&self, place: usize, query: &Query<'_>) -> Truth {
        let Some(compiled) = self.compiled.get(place) else {
            return Truth::Neither;
        };
        let Some(condition) = &compiled.condition else {
            return Truth::Holds;
        };
        let known = condition
            .code
            .as_ref()
            .and_then(|code| code.holds(query, &self.entities));
        match known {
            Some(true) => Truth::Holds,
            Some(false) => Truth::DoesNot,
            None => (query.request()).map_or(Truth::Neither, |request| self.truth_of(&condition.written, request)),
        }
    }

    /// Whether a condition, or a part of one, holds.
    pub(super) fn truth_of(&self, condition: &Expression, request: &Request) -> Truth {
        match eval_expression(request, &self.entities, condition) {
            Ok(EvalResult::Bool(true)) => Truth::Holds,
            Ok(EvalResult::Bool(false)) => Truth::DoesNot,
            Ok(_) => Truth::Neither,
            Err(error) => Truth::Error(Box::new(error)),
        }
    }

    /// What an expression comes to; `None` where it is in error.
    pub(super) fn value(&self, expression: &Expression, request: &Request) -> Option<EvalResult> {
        eval_expression(request, &self.entities, expression).ok()
    }

    /// What these policies say, put as Cedar would put it.
    pub(super) fn answer(&self, places: &[usize], query: &Query<'_>) -> Answer {
        let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (place, policy) in places.iter().filter_map(|place| Some((*place, self.policy(*place)?))) {
            match (self.truth(place, query), policy.effect()) {
                (Truth::DoesNot, _) => {}
                (Truth::Holds, Effect::Permit) => permits.push(policy.id().clone()),
                (Truth::Holds, Effect::Forbid) => forbids.push(policy.id().clone()),
                (Truth::Error(_) | Truth::Neither, _) => errors.push(policy.id().clone()),
            }
        }
        let allowed = forbids.is_empty() && !permits.is_empty();
        let reasons = if forbids.is_empty() { permits } else { forbids };
        Answer {
            decision: if allowed { Decision::Allow } else { Decision::Deny },
            reasons: sorted(reasons.into_iter()),
            errors: sorted(errors.into_iter()),
        }
    }

    /// What Cedar's authorizer answers over all policies.
    pub(super) fn oracle(&self, request: &Request) -> Answer {
        Answer::of(&self.authorizer.is_authorized(request, &self.all, &self.entities))
    }

    /// A way to ask it over these policies alone, put into a set once: how many it finds to decide.
    pub(super) fn oracle_alone(&self, places: &[usize]) -> Option<impl Fn(&Request) -> usize + '_> {
        let policies = places.iter().filter_map(|place| self.policy(*place).cloned());
        let set = PolicySet::from_policies(policies).ok()?;
        Some(move |request: &Request| {
            let response = self.authorizer.is_authorized(request, &set, &self.entities);
            response.diagnostics().reason().count()
        })
    }

    /// What it answers over these policies alone; `None` where they do not make a set.
    pub(super) fn oracle_of(&self, places: &[usize], request: &Request) -> Option<Answer> {
        let policies = places.iter().filter_map(|place| self.policy(*place).cloned());
        let set = PolicySet::from_policies(policies).ok()?;
        Some(Answer::of(&self.authorizer.is_authorized(
            request,
            &set,
            &self.entities,
        )))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("policies", &self.compiled.len())
            .finish_non_exhaustive()
    }
}

/// Policies by the actions in their scopes.
#[derive(Debug, Default)]
struct Index {
    named: HashMap<EntityUid, Vec<usize>>,
    any: Vec<usize>,
}

impl Index {
    fn of(compiled: &[Compiled]) -> Self {
        let mut index = Self::default();
        for (place, Compiled { scope, .. }) in compiled.iter().enumerate() {
            let mut name = |action: &EntityUid| {
                let places = index.named.entry(action.clone()).or_default();
                // One action may stand twice in a list.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            };
            match &scope.action {
                ActionConstraint::Any => index.any.push(place),
                ActionConstraint::Eq(action) => name(action),
                ActionConstraint::In(actions) => actions.iter().for_each(name),
            }
        }
        index
    }

    /// Every policy that could match the action, and some that do not: sorted, each once.
    fn candidates(&self, action: &EntityUid, entities: &Entities) -> Vec<usize> {
        let groups = entities.ancestors(action).into_iter().flatten();
        let named = std::iter::once(action)
            .chain(groups)
            .filter_map(|name| self.named.get(name));
        let mut places: Vec<usize> = named.flatten().chain(&self.any).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// The scope of a policy.
#[derive(Debug)]
struct Scope {
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
}

/// The entities of a request.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
}

impl Names {
    /// A request of them; `None` where Cedar does not take it.
    pub(super) fn request(&self, context: Context) -> Option<Request> {
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        // Without the schema: names and context are right by construction, and checking them costs as much as judging.
        Request::new(principal, action, resource, context, None).ok()
    }
}

impl Scope {
    fn of(policy: &Policy) -> Self {
        Self {
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
        }
    }

    fn matches(&self, names: &Names, entities: &Entities) -> bool {
        // Cedar's `in` holds for the thing itself; `is_ancestor_of` does not say so for an entity it knows.
        let within = |thing: &EntityUid, group: &EntityUid| thing == group || entities.is_ancestor_of(group, thing);
        let Names {
            principal,
            action,
            resource,
        } = names;
        let of_principal = match &self.principal {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Eq(name) => principal == name,
            PrincipalConstraint::In(group) => within(principal, group),
            PrincipalConstraint::Is(ty) => principal.type_name() == ty,
            PrincipalConstraint::IsIn(ty, group) => principal.type_name() == ty && within(principal, group),
        };
        let of_action = match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(name) => action == name,
            ActionConstraint::In(groups) => groups.iter().any(|group| within(action, group)),
        };
        let of_resource = match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(name) => resource == name,
            ResourceConstraint::In(group) => within(resource, group),
            ResourceConstraint::Is(ty) => resource.type_name() == ty,
            ResourceConstraint::IsIn(ty, group) => resource.type_name() == ty && within(resource, group),
        };
        of_principal && of_action && of_resource
    }
}

//! What a question can meet, found once for each role, action and resource: the policies whose scope matches, so that
//! nothing else is walked, and what of the context they read.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use cedar_policy::{EntityTypeName, EntityUid};

use crate::error::shown;
use crate::facts::{ArgvFacts, Fact};
use crate::finding::{Finding, Layer, Level, Outcome, Requirement, RuleId};

use super::clause::Conjunct;
use super::engine::Names;
use super::load::{Uids, uid};
use super::reads::Reads;
use super::schema::{CallShape, FactsShape};
use super::{Action, Class, Policies, Question, Resource};

/// One policy, with all that its findings say prepared.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Box<str>,
    pub(super) class: Class,
    pub(super) reads: Reads,
    /// The parts of its condition, for messages.
    pub(super) conjuncts: Box<[Conjunct]>,
    pub(super) requirement: Option<Requirement>,
    pub(super) reason: Option<Box<str>>,
    pub(super) file: Box<str>,
    pub(super) line: u32,
    pub(super) held: RuleId,
    pub(super) error: RuleId,
    pub(super) partial: RuleId,
    pub(super) why: Box<str>,
    pub(super) hint: Box<str>,
}

/// How much of the facts can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    /// All of them.
    Whole,
    /// All but some of `context.target` or `context.argv`.
    NotAll,
    /// Only those that are not of the call's words.
    InPart,
}

impl Known {
    fn of(question: &Question<'_>) -> Self {
        if question.facts.partial {
            Self::InPart
        } else if question.facts.target.all().contains(&&Fact::Unknown)
            || question
                .facts
                .argv
                .as_ref()
                .is_some_and(|argv| argv.sets.iter().any(|(_, set)| ArgvFacts::is_open(set)))
        {
            Self::NotAll
        } else {
            Self::Whole
        }
    }
}

/// What questions of one kind meet.
#[derive(Debug)]
pub(super) struct Plan {
    role: Box<str>,
    action: OwnedAction,
    resource: OwnedResource,
    known: Known,
    pub(super) names: Names,
    /// The policies to evaluate: plain forbids, soft ones, permits.
    pub(super) evaluated: Vec<usize>,
    /// What each of those says where it holds, in the same order.
    pub(super) held: Vec<Finding>,
    /// What they read.
    pub(super) reads: Reads,
    /// What those say that are not to be evaluated.
    pub(super) unread: Vec<Finding>,
    /// Whether one of those denies.
    pub(super) unread_denies: bool,
    /// Every policy whose scope matches, and whether it is to be evaluated.
    pub(super) relevant: Vec<(usize, bool)>,
    /// What is said where no permit holds.
    pub(super) no_permit: Finding,
}

#[derive(Debug)]
enum OwnedAction {
    Exec(Box<str>),
    Unlisted,
    Tool(Box<str>),
}

#[derive(Debug)]
enum OwnedResource {
    Program(Box<str>),
    Tool(Box<str>),
    Host(Box<str>, Box<str>),
}

impl Plan {
    fn is_of(&self, question: &Question<'_>, known: Known) -> bool {
        let action = match (&self.action, question.action) {
            (OwnedAction::Exec(known), Action::Exec(asked)) | (OwnedAction::Tool(known), Action::Tool(asked)) => {
                **known == *asked
            }
            (OwnedAction::Unlisted, Action::Unlisted) => true,
            _ => false,
        };
        let resource = match (&self.resource, question.resource) {
            (OwnedResource::Program(known), Resource::Program(asked))
            | (OwnedResource::Tool(known), Resource::Tool(asked)) => **known == *asked,
            (OwnedResource::Host(ty, id), Resource::Host { ty: t, id: i }) => **ty == *t && **id == *i,
            _ => false,
        };
        action && resource && self.known == known && *self.role == *question.actor.role.as_str()
    }
}

/// The plans made so far, apart for some threads: a lock and a count that all threads write would cost them more than
/// a decision does.
#[derive(Debug)]
pub(super) struct Plans {
    uids: Uids,
    apart: [Made; APART],
}

/// By the hash of what they are for, so that looking one up copies nothing. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Made(RwLock<HashMap<u64, Vec<Arc<Plan>>>>);

/// How many threads keep plans of their own; others share with one of them.
const APART: usize = 8;
/// The most plans kept by each. The host's resource ids come from calls, so an agent could make any number of them.
const MAX_PLANS: usize = 512;

impl Plans {
    pub(super) fn new(uids: Uids) -> Self {
        Self {
            uids,
            apart: Default::default(),
        }
    }

    /// The names of the types that calls are made of.
    pub(super) const fn uids(&self) -> &Uids {
        &self.uids
    }

    /// Those of this thread.
    fn here(&self) -> &RwLock<HashMap<u64, Vec<Arc<Plan>>>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % APART;
        }
        let [first, ..] = &self.apart;
        &THREAD.with(|thread| self.apart.get(*thread).unwrap_or(first)).0
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let made = self.apart.iter().filter_map(|made| made.0.read().ok());
        made.map(|made| made.values().map(Vec::len).sum::<usize>()).sum()
    }
}

impl Policies {
    /// The entity of a declared role.
    pub(super) fn role(&self, role: &str) -> Option<EntityUid> {
        let name = uid(&self.plans.uids.role, role);
        self.engine.entities().get(&name).is_some().then_some(name)
    }

    /// The plan for a question, or why there is none.
    pub(super) fn plan(&self, question: &Question<'_>) -> Result<(Arc<Plan>, FactsShape<'_>), Finding> {
        let Some(CallShape { action, facts }) = self.calls.find(question.action, question.resource) else {
            let why = "the bundle declares no such action on such a resource";
            return Err(refusal(
                "unknown-action",
                why,
                "call what a profile or tools.toml declares",
            ));
        };
        let known = Known::of(question);
        let key = self
            .hasher
            .hash_one((question.actor.role.as_str(), question.action, question.resource, known));
        let made = self.plans.here();
        // A lock that another thread broke is as good as an empty one: the plan is made anew.
        if let Ok(made) = made.read()
            && let Some(plan) = made
                .get(&key)
                .into_iter()
                .flatten()
                .find(|plan| plan.is_of(question, known))
        {
            return Ok((Arc::clone(plan), facts));
        }
        let plan = Arc::new(self.make_plan(question, known, action)?);
        if let Ok(mut made) = made.write()
            && made.len() < MAX_PLANS
        {
            let same = made.entry(key).or_default();
            if !same.iter().any(|plan| plan.is_of(question, known)) {
                same.push(Arc::clone(&plan));
            }
        }
        Ok((plan, facts))
    }

    fn make_plan(&self, question: &Question<'_>, known: Known, action: &EntityUid) -> Result<Plan, Finding> {
        let role = question.actor.role.as_str();
        let Some(principal) = self.role(role) else {
            let why = format!("the role `{role}` is not declared");
            return Err(refusal("unknown-role", why, "declare it in entities.json"));
        };
        let uids = &self.plans.uids;
        let resource = match question.resource {
            Resource::Program(id) => uid(&uids.program, id),
            Resource::Tool(id) => uid(&uids.tool, id),
            Resource::Host { ty, id } => match ty.parse::<EntityTypeName>() {
                Ok(ty) => uid(&ty, id),
                Err(_) => return Err(refusal("internal", "the resource's type is not a name", REPORT)),
            },
        };
        let names = Names {
            principal,
            action: action.clone(),
            resource,
        };
        let mut plan = Plan {
            role: role.into(),
            no_permit: self.no_permit_finding(role, &names),
            names,
            known,
            action: match question.action {
                Action::Exec(name) => OwnedAction::Exec(name.into()),
                Action::Unlisted => OwnedAction::Unlisted,
                Action::Tool(name) => OwnedAction::Tool(name.into()),
            },
            resource: match question.resource {
                Resource::Program(id) => OwnedResource::Program(id.into()),
                Resource::Tool(id) => OwnedResource::Tool(id.into()),
                Resource::Host { ty, id } => OwnedResource::Host(ty.into(), id.into()),
            },
            evaluated: Vec::new(),
            held: Vec::new(),
            unread_denies: false,
            reads: Reads::default(),
            unread: Vec::new(),
            relevant: Vec::new(),
        };
        for n in self.engine.matching(&plan.names) {
            let Some(rule) = self.rules.get(n) else {
                return Err(refusal("internal", "a policy was lost", REPORT));
            };
            let unread = match known {
                Known::Whole => None,
                Known::NotAll => rule.reads.facts_loosely.then(|| rule.unread_open()),
                Known::InPart => rule.reads.of_partial_facts().then(|| rule.unread_facts()),
            };
            plan.relevant.push((n, unread.is_none()));
            if let Some(finding) = unread {
                plan.unread.push(finding);
                continue;
            }
            plan.reads.join(&rule.reads);
            plan.evaluated.push(n);
        }
        plan.unread_denies = plan.unread.iter().any(|finding| finding.level() >= Level::Deny);
        // Stable: within a class the order of files and lines stays.
        plan.evaluated
            .sort_by_key(|n| match self.rules.get(*n).map(|rule| rule.class) {
                Some(Class::HardForbid) | None => 0,
                Some(Class::SoftForbid) => 1,
                Some(Class::Permit) => 2,
            });
        let rules = plan.evaluated.iter().filter_map(|n| self.rules.get(*n));
        plan.held = rules.map(Rule::holds).collect();
        Ok(plan)
    }

    fn no_permit_finding(&self, role: &str, names: &Names) -> Finding {
        let action = shown(names.action.id().unescaped());
        let why = format!("no policy permits the role `{role}` to `{action}` like this");
        let rule = RuleId::known(Layer::Policy, "no-permit");
        match self.no_permit {
            // Who may be asked is for `[ask]` in glassbreak.toml to say.
            Outcome::Ask => Finding::ask(rule, why, NO_PERMIT, None),
            Outcome::Deny | Outcome::Allow => Finding::deny(rule, why, NO_PERMIT),
        }
    }
}

/// What is to be done where nothing permits a call.
pub(super) const NO_PERMIT: &str = "a policy must permit it first";

pub(super) const REPORT: &str = "this is a fault of the guard; report it";

/// A refusal of this layer itself.
pub(super) fn refusal(id: &str, why: impl Into<Box<str>>, hint: &str) -> Finding {
    Finding::deny(RuleId::known(Layer::Policy, id), why, hint)
}

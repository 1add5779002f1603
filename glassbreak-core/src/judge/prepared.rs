//! The first step of judging: all that needs no state of a session, and no store.

use std::sync::Arc;

use super::{Judgement, SessionState, name_of};
use crate::argv::{ExecPlan, Role};
use crate::budget::{Demand, Event, Shared};
use crate::bundle::Bundle;
use crate::call::{Call, CallDigest, Exec, Operation, Tool, Workspace};
use crate::clock::Timestamp;
use crate::credential::Handover;
use crate::error::{nearest, shown};
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Finding, Findings, Layer, Level, Outcome, RuleId, Ruling};
use crate::label::Risk;
use crate::policy::{Action, Question, Resource};

/// A call as far as it can be judged without the state of its session: what a store is to be asked about it, and what
/// is needed to conclude once it has answered.
///
/// It holds the bundle and the call it was made of, so that it cannot be concluded by others.
#[must_use = "a call that is only prepared is not judged"]
#[derive(Debug)]
pub struct Prepared<'a> {
    bundle: &'a Bundle,
    call: &'a Call,
    facts: Facts,
    findings: Vec<Finding>,
    digest: CallDigest,
    norm: u64,
    action: Action<'a>,
    resource: Resource<'a>,
    /// Type and id of the host's entity that a tool acts on.
    host: Option<(String, String)>,
    plan: Option<ExecPlan>,
    handover: Option<Arc<Handover>>,
    roles: Vec<Role>,
    paths: Vec<Box<str>>,
}

/// Steps 1 and 2: hygiene, then the argv engine or the tool's manifest.
///
/// # Errors
/// The refusal of a call that fails hygiene; [`refused`](super::refused) makes a judgement of it.
pub fn prepare<'a>(bundle: &'a Bundle, workspace: &Workspace, call: &'a Call) -> Result<Prepared<'a>, Box<Finding>> {
    let role = &call.actor.role;
    if !bundle.policies().has_role(role) {
        let why = format!("the role `{role}` is not declared");
        return Err(hygiene(
            "role.unknown",
            why,
            "use a role that entities.json of the policy folder declares",
        ));
    }
    match &call.operation {
        Operation::Exec(exec) => read_exec(bundle, workspace, call, exec),
        Operation::Tool(tool) => read_tool(bundle, call, tool),
        Operation::Connect(connect) => Err(hygiene(
            "connect.not-built",
            format!("judging connections is not built: {}:{}", connect.host, connect.port),
            "make the connection through a tool of the manifest",
        )),
    }
}

impl Prepared<'_> {
    /// The digest of the call.
    pub const fn digest(&self) -> CallDigest {
        self.digest
    }

    /// What the layers learned of it.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether a store must be asked: some shared budget is met.
    pub fn is_shared(&self) -> bool {
        !self.demands().is_empty()
    }

    /// What a store is to count for it; empty where none need be asked.
    pub fn demands(&self) -> Vec<Demand> {
        self.bundle.budgets().demands(&self.event(0), &self.call.actor)
    }

    /// The refusal where the store says that the demand at `demand` is past its ceiling; see
    /// [`Rules::over`](crate::budget::Rules::over).
    pub fn over(&self, demand: usize, count: u64, free_at: Option<Timestamp>, now: Timestamp) -> Finding {
        let budgets = self.bundle.budgets();
        budgets.over(&self.event(0), &self.call.actor, demand, count, free_at, now)
    }

    /// Steps 3 to 5: budgets and policy over the facts, then all findings together. `shared` says where the counts of
    /// shared budgets come from, and `attempt` which judging of this call it is, from 0.
    pub fn conclude(self, state: &SessionState, at: Timestamp, shared: Shared<'_>, attempt: u32) -> Judgement {
        let (bundle, call) = (self.bundle, self.call);
        let (seq, budget) = self.count(state, at, shared, attempt);
        let budget = bundle.budgets().unenforced(budget);
        let policy = bundle.policies().decide(&self.question(&seq));
        let counted = matches!(shared, Shared::Counted(_));
        let mut judgement = self.ruled(seq, policy, budget, counted, attempt);
        if judgement.ruling.outcome() == Outcome::Deny {
            let found = state.against_event(bundle, call, &judgement, at);
            judgement.ruling = judgement.ruling.and(found);
        }
        judgement
    }

    /// Ends it before budgets and policy are asked, because `finding` denies: a lock, a ceiling in the store, a store
    /// that does not answer. A finding that would not deny is a fault of the caller, and a refusal too.
    ///
    /// The store counted nothing then, and nothing is to be admitted; a first attempt still feeds the loop rules.
    pub fn stop(self, finding: Finding, attempt: u32) -> Judgement {
        let denies = finding.level() >= Level::Deny;
        let fault = || {
            let why = "the call was stopped by what does not refuse it";
            Finding::deny(
                RuleId::known(Layer::Hygiene, "not-judged"),
                why,
                "this is a fault of the guard; report it",
            )
        };
        let found = [finding].into_iter().chain((!denies).then(fault)).collect();
        self.ruled(SeqFacts::default(), Vec::new(), found, true, attempt)
    }

    fn event(&self, attempt: u32) -> Event<'_> {
        Event {
            digest: self.digest,
            facts: &self.facts,
            name: name_of(self.call, &self.facts),
            norm: self.norm,
            attempt,
        }
    }

    pub(super) fn count(
        &self,
        state: &SessionState,
        at: Timestamp,
        shared: Shared<'_>,
        attempt: u32,
    ) -> (SeqFacts, Vec<Finding>) {
        let (budgets, actor) = (self.bundle.budgets(), &self.call.actor);
        budgets.inspect(&state.counters, &self.event(attempt), actor, at, shared)
    }

    pub(super) fn question<'a>(&'a self, seq: &'a SeqFacts) -> Question<'a> {
        Question {
            actor: &self.call.actor,
            action: self.action,
            resource: match &self.host {
                Some((ty, id)) => Resource::Host { ty, id },
                None => self.resource,
            },
            facts: &self.facts,
            seq,
            vocabulary: self.bundle.vocabulary(),
        }
    }

    fn ruled(
        self,
        seq: SeqFacts,
        policy: Vec<Finding>,
        budget: Vec<Finding>,
        counted: bool,
        attempt: u32,
    ) -> Judgement {
        Judgement {
            ruling: Ruling::combine(Findings {
                argv: self.findings,
                policy,
                budget,
                ..Findings::default()
            }),
            digest: Some(self.digest),
            norm: self.norm,
            facts: self.facts,
            seq,
            plan: self.plan,
            handover: self.handover,
            roles: self.roles,
            paths: self.paths,
            tool: match &self.call.operation {
                Operation::Tool(tool) => Some((tool.name.clone(), self.host)),
                Operation::Exec(_) | Operation::Connect(_) => None,
            },
            default_ask: self.bundle.settings().ask.clone(),
            attempt,
            counted,
        }
    }
}

fn read_exec<'a>(
    bundle: &'a Bundle,
    workspace: &Workspace,
    call: &'a Call,
    exec: &'a Exec,
) -> Result<Prepared<'a>, Box<Finding>> {
    let Some(cwd) = workspace.locate("", exec.cwd()) else {
        let why = format!("the folder `{}` lies outside the workspace", shown(exec.cwd()));
        return Err(hygiene("cwd.outside", why, "name a folder beneath the workspace"));
    };
    let judged = bundle.programs().judge(exec, &cwd, workspace);
    // What a wrapper runs is what policies are about.
    let named = exec.argv().words().get(judged.program_at);
    let program = named.map_or(exec.argv().program(), |word| word);
    let program = bundle.programs().name_of(program).unwrap_or(program);
    let handover = bundle.credentials().of_program(program).cloned();
    let digest = CallDigest::of_exec_handed(
        exec.argv().program(),
        judged.plan.argv(),
        &cwd,
        exec,
        handover.as_deref(),
    );
    let risk = if judged.partial {
        Risk::High
    } else {
        bundle.vocabulary().risk_of(judged.labels)
    };
    Ok(Prepared {
        bundle,
        call,
        action: if judged.facts.listed {
            Action::Exec(program)
        } else {
            Action::Unlisted
        },
        resource: Resource::Program(program),
        host: None,
        digest,
        norm: bundle.budgets().norm(&call.operation),
        findings: judged.findings,
        plan: Some(judged.plan),
        handover,
        roles: judged.roles,
        paths: judged.paths,
        facts: Facts {
            argv: Some(judged.facts),
            args: None,
            target: judged.target,
            labels: judged.labels,
            possible_labels: judged.possible_labels,
            costs: judged.costs,
            risk,
            partial: judged.partial,
        },
    })
}

fn read_tool<'a>(bundle: &'a Bundle, call: &'a Call, tool: &'a Tool) -> Result<Prepared<'a>, Box<Finding>> {
    let name = tool.name.as_str();
    let Some(entry) = bundle.tools().get(name) else {
        let hint = match nearest(name, bundle.tools().names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "call a tool that tools.toml of the policy folder lists".to_owned(),
        };
        return Err(hygiene(
            "tool.unknown",
            format!("the tool `{name}` is not in the manifest"),
            hint,
        ));
    };
    let facts = entry.judge(tool).map_err(Box::new)?;
    let handover = bundle.credentials().of_tool(name).cloned();
    Ok(Prepared {
        bundle,
        call,
        action: Action::Tool(name),
        resource: Resource::Tool(name),
        host: facts.resource,
        digest: CallDigest::of_tool_handed(tool, handover.as_deref()),
        norm: bundle.budgets().norm(&call.operation),
        findings: Vec::new(),
        plan: None,
        handover,
        roles: Vec::new(),
        paths: Vec::new(),
        facts: Facts {
            argv: None,
            args: Some(facts.args),
            target: facts.target,
            labels: facts.labels,
            possible_labels: facts.labels,
            costs: facts.costs,
            risk: bundle.vocabulary().risk_of(facts.labels),
            partial: false,
        },
    })
}

fn hygiene(code: &str, why: impl Into<Box<str>>, hint: impl Into<Box<str>>) -> Box<Finding> {
    Box::new(Finding::deny(RuleId::known(Layer::Hygiene, code), why, hint))
}

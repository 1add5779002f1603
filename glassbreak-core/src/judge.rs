//! Judging: from a bundle, the state of a session, a call and the time to a ruling.
//!
//! One pure function: no I/O, no clock, no globals. The same function serves the command line, explanations, tests of
//! policy folders and fuzzing. It does not make a permit: performing a call needs its record first.
//!
//! The way of a call through [`judge`]:
//!
//! 1. hygiene: a declared role, a folder beneath the workspace, a tool of the manifest with arguments that fit. What
//!    fails here is denied at once, without a digest;
//! 2. for a program, [`argv`](crate::argv): findings, facts, labels and the plan of what would run;
//! 3. [`budget`](crate::budget): the counts, this call included, and what rules have against them;
//! 4. [`policy`](crate::policy): Cedar, over all of these facts;
//! 5. [`Ruling::combine`]: the strictest finding wins.
//!
//! A host then does what the [`Judgement`] says, and tells the session by [`SessionState::advance`]. Between the two
//! calls no other call of the same session may be judged, else both see the same count.

use crate::argv::{ExecPlan, Role};
use crate::budget::{Counters, Demand, Event, Name, Shared};
use crate::bundle::Bundle;
use crate::call::{Call, CallDigest, Exec, Operation, Tool, Workspace};
use crate::clock::Timestamp;
use crate::error::{nearest, shown};
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Denial, Finding, Findings, Layer, Level, Outcome, Requirement, RuleId, Ruling};
use crate::label::Risk;
use crate::policy::{Action, PolicyTrace, Question, Resource};

/// What is remembered of a session between its calls.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionState {
    workspace: Workspace,
    counters: Counters,
}

impl SessionState {
    /// A session that has made no call, working beneath `workspace`.
    pub fn new(workspace: Workspace) -> Self {
        Self {
            workspace,
            counters: Counters::default(),
        }
    }

    /// Where its calls stay beneath.
    pub const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Takes down that `call` was made at `at`, judged so, and `admitted` or not. The first attempt at a call feeds the
    /// loop rules; budgets count the one that is admitted, those that a store counted left out. A call that hygiene
    /// refused leaves no trace.
    pub fn advance(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp, admitted: bool) {
        if let Some(event) = judgement.event(call) {
            let (counters, shared) = (&mut self.counters, judgement.shared());
            bundle
                .budgets()
                .advance(counters, &event, &call.actor, at, shared, admitted);
        }
    }

    /// Takes back what [`advance`](Self::advance) counted of a call that was admitted at `at` and is now proven not to
    /// run. That it was tried stays, and so does what a store counted: that is the store's to settle.
    pub fn refund(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp) {
        if let Some(event) = judgement.event(call) {
            let (counters, shared) = (&mut self.counters, judgement.shared());
            bundle.budgets().refund(counters, &event, &call.actor, at, shared);
        }
    }
}

/// What judging a call came to, and everything it was based on.
#[must_use = "an unread judgement guards nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The ruling.
    pub ruling: Ruling,
    /// The digest of the call; `None` where hygiene refused it.
    pub digest: Option<CallDigest>,
    /// What the layers learned of it.
    pub facts: Facts,
    /// What the session's calls add up to.
    pub seq: SeqFacts,
    /// For a program: what would run.
    pub plan: Option<ExecPlan>,
    /// For a program: what each word was taken for.
    pub roles: Vec<Role>,
    /// For a program: the words that name paths. They were compared as text; where they lead on disk is looked at when
    /// the call is permitted and again when it runs.
    pub paths: Vec<Box<str>>,
    /// The Cedar action, such as `exec:kubectl`, `exec:*` or `tool:restart`; empty where hygiene refused the call.
    pub action: Box<str>,
    /// Type and id of the Cedar resource, such as `Program` and `kubectl`; empty where hygiene refused the call.
    pub resource: (Box<str>, Box<str>),
    /// What the asks require that name nothing of their own.
    default_ask: Requirement,
    /// Which attempt at the call was judged.
    attempt: u32,
    /// Whether a store counted the shared budgets.
    counted: bool,
}

impl Judgement {
    /// For each rule that asks: who must agree, and what they may open. Empty unless the outcome is an ask.
    pub fn requirements(&self) -> Vec<(&RuleId, &Requirement)> {
        let asks = self.ruling.deciding().filter(|_| self.ruling.outcome() == Outcome::Ask);
        asks.map(|finding| (finding.rule(), finding.requirement().unwrap_or(&self.default_ask)))
            .collect()
    }

    /// The refusal this amounts to, or `None` for an allow.
    pub fn denial(&self) -> Option<Denial> {
        Denial::from_ruling(&self.ruling, self.digest)
    }

    /// Which attempt at the call was judged: 0, and more after people agreed.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    fn event<'a>(&'a self, call: &'a Call) -> Option<Event<'a>> {
        Some(Event {
            digest: self.digest?,
            facts: &self.facts,
            name: name_of(call),
            attempt: self.attempt,
        })
    }

    /// Where the shared budgets were counted; the counts themselves matter no more.
    const fn shared(&self) -> Shared<'static> {
        if self.counted {
            Shared::Counted(&[])
        } else {
            Shared::Local
        }
    }
}

/// Judges `call`, made at `at` in a session of this state, by `bundle`.
///
/// Shared budgets are counted in the session's state, as if it were the only one. Where a store counts them, judge in
/// two steps: [`prepare`], and [`Prepared::conclude`].
///
/// Nothing is remembered: that is [`SessionState::advance`], once the caller knows whether the call was admitted.
pub fn judge(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Judgement {
    match prepare(bundle, &state.workspace, call) {
        Ok(prepared) => prepared.conclude(state, at, Shared::Local, 0),
        Err(refusal) => refused(bundle, *refusal),
    }
}

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
    action: Action<'a>,
    resource: Resource<'a>,
    /// Type and id of the host's entity that a tool acts on.
    host: Option<(String, String)>,
    plan: Option<ExecPlan>,
    roles: Vec<Role>,
    paths: Vec<Box<str>>,
}

/// Steps 1 and 2: hygiene, then the argv engine or the tool's manifest.
///
/// # Errors
/// The refusal of a call that fails hygiene; [`refused`] makes a judgement of it.
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
    let program = exec.argv().program();
    let digest = CallDigest::of_exec(program, judged.plan.argv(), &cwd, exec);
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
        findings: judged.findings,
        plan: Some(judged.plan),
        roles: judged.roles,
        paths: judged.paths,
        facts: Facts {
            argv: Some(judged.facts),
            args: None,
            target: judged.target,
            labels: judged.labels,
            possible_labels: judged.possible_labels,
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
    Ok(Prepared {
        bundle,
        call,
        action: Action::Tool(name),
        resource: Resource::Tool(name),
        host: facts.resource,
        digest: CallDigest::of_tool(tool),
        findings: Vec::new(),
        plan: None,
        roles: Vec::new(),
        paths: Vec::new(),
        facts: Facts {
            argv: None,
            args: Some(facts.args),
            target: facts.target,
            labels: facts.labels,
            possible_labels: facts.labels,
            risk: bundle.vocabulary().risk_of(facts.labels),
            partial: false,
        },
    })
}

/// What every policy whose scope takes in `call` says of it, for explanations; empty where hygiene refuses the call.
pub fn policy_traces(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Vec<PolicyTrace> {
    let Ok(prepared) = prepare(bundle, &state.workspace, call) else {
        return Vec::new();
    };
    let (seq, _) = prepared.count(state, at, Shared::Local, 0);
    bundle.policies().explain(&prepared.question(&seq))
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

    /// What a store is to count for it; empty where none need be asked.
    pub fn demands(&self) -> Vec<Demand> {
        self.bundle.budgets().demands(&self.event(0), &self.call.actor)
    }

    /// The refusal where the store says that the demand at `demand` is past its ceiling; see
    /// [`Rules::over`](crate::budget::Rules::over).
    pub fn over(&self, demand: usize, count: u32, free_at: Option<Timestamp>, now: Timestamp) -> Finding {
        let budgets = self.bundle.budgets();
        budgets.over(&self.event(0), demand, count, free_at, now)
    }

    /// Steps 3 to 5: budgets and policy over the facts, then all findings together. `shared` says where the counts of
    /// shared budgets come from, and `attempt` which judging of this call it is, from 0.
    pub fn conclude(self, state: &SessionState, at: Timestamp, shared: Shared<'_>, attempt: u32) -> Judgement {
        let (seq, budget) = self.count(state, at, shared, attempt);
        let policy = self.bundle.policies().decide(&self.question(&seq));
        let counted = matches!(shared, Shared::Counted(_));
        self.ruled(seq, policy, budget, counted, attempt)
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
            name: name_of(self.call),
            attempt,
        }
    }

    fn count(&self, state: &SessionState, at: Timestamp, shared: Shared<'_>, attempt: u32) -> (SeqFacts, Vec<Finding>) {
        let (budgets, actor) = (self.bundle.budgets(), &self.call.actor);
        budgets.inspect(&state.counters, &self.event(attempt), actor, at, shared)
    }

    fn question<'a>(&'a self, seq: &'a SeqFacts) -> Question<'a> {
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
            facts: self.facts,
            seq,
            plan: self.plan,
            roles: self.roles,
            paths: self.paths,
            action: match self.action {
                Action::Exec(program) => ["exec:", program].concat().into(),
                Action::Unlisted => "exec:*".into(),
                Action::Tool(tool) => ["tool:", tool].concat().into(),
            },
            resource: match (self.host, self.resource) {
                (Some((ty, id)), _) => (ty.into(), id.into()),
                (None, Resource::Program(id)) => ("Program".into(), id.into()),
                (None, Resource::Tool(id)) => ("Tool".into(), id.into()),
                (None, Resource::Host { ty, id }) => (ty.into(), id.into()),
            },
            default_ask: self.bundle.settings().ask.clone(),
            attempt,
            counted,
        }
    }
}

/// The judgement of input that is not a call, or of a call that hygiene refuses.
pub fn refused(bundle: &Bundle, finding: Finding) -> Judgement {
    Judgement {
        ruling: Ruling::combine(Findings {
            hygiene: vec![finding],
            ..Findings::default()
        }),
        digest: None,
        facts: Facts {
            risk: Risk::High,
            partial: true,
            ..Facts::default()
        },
        seq: SeqFacts::default(),
        plan: None,
        roles: Vec::new(),
        paths: Vec::new(),
        action: Box::default(),
        resource: Default::default(),
        default_ask: bundle.settings().ask.clone(),
        attempt: 0,
        counted: false,
    }
}

fn name_of(call: &Call) -> Name<'_> {
    match &call.operation {
        Operation::Exec(exec) => Name::Program(exec.argv().program()),
        Operation::Tool(tool) => Name::Tool(tool.name.as_str()),
        // Refused before it is counted; a name that matches no rule.
        Operation::Connect(connect) => Name::Tool(connect.host.as_str()),
    }
}

fn hygiene(code: &str, why: impl Into<Box<str>>, hint: impl Into<Box<str>>) -> Box<Finding> {
    Box::new(Finding::deny(RuleId::known(Layer::Hygiene, code), why, hint))
}

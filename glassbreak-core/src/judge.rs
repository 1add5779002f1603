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
use crate::budget::{Counters, Event, Name};
use crate::bundle::Bundle;
use crate::call::{Call, CallDigest, Exec, Operation, Tool, Workspace};
use crate::clock::Timestamp;
use crate::error::{nearest, shown};
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Denial, Finding, Findings, Layer, Outcome, Requirement, RuleId, Ruling};
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

    /// Takes down that `call` was made at `at`, judged so, and `admitted` or not. Every attempt feeds the loop rules;
    /// only an admitted one is counted by budgets. A call that hygiene refused leaves no trace.
    pub fn advance(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp, admitted: bool) {
        if let Some(digest) = judgement.digest {
            let event = Event {
                digest,
                facts: &judgement.facts,
                name: name_of(call),
            };
            bundle.budgets().advance(&mut self.counters, &event, at, admitted);
        }
    }
}

impl SessionState {
    /// Takes back what [`advance`](Self::advance) counted of a call that was admitted at `at` and is now proven not to
    /// run. That it was tried stays.
    pub fn refund(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp) {
        if let Some(digest) = judgement.digest {
            let event = Event {
                digest,
                facts: &judgement.facts,
                name: name_of(call),
            };
            bundle.budgets().refund(&mut self.counters, &event, at);
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
    /// What the asks require that name nothing of their own.
    default_ask: Requirement,
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
}

/// Judges `call`, made at `at` in a session of this state, by `bundle`.
///
/// Nothing is remembered: that is [`SessionState::advance`], once the caller knows whether the call was admitted.
pub fn judge(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Judgement {
    match read(bundle, state, call) {
        Ok(read) => read.ruled(bundle, state, call, at),
        Err(refusal) => refused(bundle, *refusal),
    }
}

/// What the first layers made of a call.
struct Read<'a> {
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
fn read<'a>(bundle: &Bundle, state: &SessionState, call: &'a Call) -> Result<Read<'a>, Box<Finding>> {
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
        Operation::Exec(exec) => read_exec(bundle, state, exec),
        Operation::Tool(tool) => read_tool(bundle, tool),
        Operation::Connect(connect) => Err(hygiene(
            "connect.not-built",
            format!("judging connections is not built: {}:{}", connect.host, connect.port),
            "make the connection through a tool of the manifest",
        )),
    }
}

fn read_exec<'a>(bundle: &Bundle, state: &SessionState, exec: &'a Exec) -> Result<Read<'a>, Box<Finding>> {
    let Some(cwd) = state.workspace.locate("", exec.cwd()) else {
        let why = format!("the folder `{}` lies outside the workspace", shown(exec.cwd()));
        return Err(hygiene("cwd.outside", why, "name a folder beneath the workspace"));
    };
    let judged = bundle.programs().judge(exec, &cwd, &state.workspace);
    let program = exec.argv().program();
    let digest = CallDigest::of_exec(program, judged.plan.argv(), &cwd, exec);
    let risk = if judged.partial {
        Risk::High
    } else {
        bundle.vocabulary().risk_of(judged.labels)
    };
    Ok(Read {
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

fn read_tool<'a>(bundle: &Bundle, tool: &'a Tool) -> Result<Read<'a>, Box<Finding>> {
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
    Ok(Read {
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
    let Ok(read) = read(bundle, state, call) else {
        return Vec::new();
    };
    let (seq, _) = bundle.budgets().inspect(&state.counters, &read.event(call), at);
    bundle.policies().explain(&read.question(bundle, call, &seq))
}

impl Read<'_> {
    fn event<'a>(&'a self, call: &'a Call) -> Event<'a> {
        Event {
            digest: self.digest,
            facts: &self.facts,
            name: name_of(call),
        }
    }

    fn question<'a>(&'a self, bundle: &'a Bundle, call: &'a Call, seq: &'a SeqFacts) -> Question<'a> {
        Question {
            actor: &call.actor,
            action: self.action,
            resource: match &self.host {
                Some((ty, id)) => Resource::Host { ty, id },
                None => self.resource,
            },
            facts: &self.facts,
            seq,
            vocabulary: bundle.vocabulary(),
        }
    }

    /// Steps 5 and 7: budgets and policy over the facts, then all findings together.
    fn ruled(self, bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Judgement {
        let (seq, budget) = bundle.budgets().inspect(&state.counters, &self.event(call), at);
        let policy = bundle.policies().decide(&self.question(bundle, call, &seq));
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
            default_ask: bundle.settings().ask.clone(),
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
        default_ask: bundle.settings().ask.clone(),
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

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
//! Where a store counts for several sessions, the two steps are taken one by one: [`prepare`] is 1 and 2 and says what
//! the store is to count, [`Prepared::conclude`] is the rest, with the store's answer.
//!
//! A host then does what the [`Judgement`] says, and tells the session by [`SessionState::advance`]. Between the two
//! calls no other call of the same session may be judged, else both see the same count.

#[cfg(test)]
mod observe_tests;
mod prepared;
#[cfg(test)]
mod tests;

pub use self::prepared::{Prepared, prepare};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::argv::{ExecPlan, Role};
use crate::budget::{Counters, Event, Name, Said, Shared, Taken};
use crate::bundle::Bundle;
use crate::call::{Call, CallDigest, Operation, Word, Workspace};
use crate::clock::Timestamp;
use crate::credential::Handover;
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Denial, Finding, Findings, Outcome, Requirement, RuleId, Ruling};
use crate::label::Risk;
use crate::policy::PolicyTrace;

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

    /// A session that goes on with these counters, as [`Counters::from_json`] read them.
    #[must_use]
    pub fn with_counters(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }

    /// What has been counted, and how far the automata of its rules are.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where its calls stay beneath.
    pub const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Takes down that `call` was made at `at`, judged so, and `admitted` or not. The first attempt at a call feeds the
    /// loop rules, and the budgets of asks and denials; other rules count the one that is admitted, those that a store
    /// counted left out. A call that hygiene refused leaves no trace.
    pub fn advance(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp, admitted: bool) {
        let taken = match judgement.ruling.outcome() {
            _ if admitted => Taken::Admitted,
            Outcome::Deny => Taken::Denied,
            Outcome::Allow | Outcome::Ask => Taken::Asked,
        };
        self.take(bundle, call, judgement, at, taken);
    }

    /// The same for a call that may still be admitted, and must be counted until that is known.
    pub(crate) fn take(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp, taken: Taken) {
        if let Some(event) = judgement.event(call) {
            let (counters, shared) = (&mut self.counters, judgement.shared());
            bundle
                .budgets()
                .advance(counters, &event, &call.actor, at, shared, taken);
        }
    }

    /// A call that was held is admitted after all: people agreed to it.
    pub(crate) fn confirm(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp) {
        if let Some(event) = judgement.event(call) {
            bundle.budgets().confirm(&mut self.counters, &event, at);
        }
    }

    /// A call that was held is one that people are asked about.
    pub(crate) fn asked(&mut self, bundle: &Bundle, call: &Call, judgement: &Judgement, at: Timestamp) {
        if let Some(event) = judgement.event(call) {
            bundle.budgets().asked(&mut self.counters, &event, &call.actor, at);
        }
    }

    /// Takes down how a call that was admitted at `began` ended: what loop rules and breakers live on.
    pub fn ended(
        &mut self,
        bundle: &Bundle,
        call: &Call,
        judgement: &Judgement,
        began: Timestamp,
        now: Timestamp,
        done: bool,
    ) {
        if let Some(event) = judgement.event(call) {
            bundle.budgets().ended(&mut self.counters, &event, began, now, done);
        }
    }

    /// Counts what a call that was admitted at `began` really came to, in the session's own counters.
    pub(crate) fn correct(
        &mut self,
        bundle: &Bundle,
        call: &Call,
        judgement: &Judgement,
        began: Timestamp,
        done: bool,
        costs: &BTreeMap<Box<str>, u64>,
    ) {
        if let Some(event) = judgement.event(call) {
            let (counters, shared) = (&mut self.counters, judgement.shared());
            let said = Said { costs, done };
            bundle
                .budgets()
                .correct(counters, &event, &call.actor, began, shared, said);
        }
    }

    /// What the budgets of asks and of denials have against a call that was judged so. They speak last, because they
    /// count what the others said.
    pub(crate) fn against_event(
        &self,
        bundle: &Bundle,
        call: &Call,
        judgement: &Judgement,
        at: Timestamp,
    ) -> Vec<Finding> {
        let taken = match judgement.ruling.outcome() {
            Outcome::Allow => return Vec::new(),
            Outcome::Ask => Taken::Asked,
            Outcome::Deny => Taken::Denied,
        };
        judgement.event(call).map_or_else(Vec::new, |event| {
            let budgets = bundle.budgets();
            budgets.let_off(budgets.inspect_event(&self.counters, &event, &call.actor, at, taken))
        })
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
    /// The credential that it is handed with its permit.
    pub handover: Option<Arc<Handover>>,
    /// For a program: what each word was taken for.
    pub roles: Vec<Role>,
    /// For a program: the words that name paths. They were compared as text; where they lead on disk is looked at when
    /// the call is permitted and again when it runs.
    pub paths: Vec<Box<str>>,
    /// For a tool: its name, and type and id of the host's entity that it acts on, where the manifest names one.
    tool: Option<(Word, Option<(String, String)>)>,
    /// What the asks require that name nothing of their own.
    default_ask: Requirement,
    /// What it has in common with calls like it.
    norm: u64,
    /// Which attempt at the call was judged.
    attempt: u32,
    /// Whether a store counted the shared budgets.
    counted: bool,
}

impl Judgement {
    /// The Cedar action, such as `exec:kubectl`, `exec:*` or `tool:restart`; empty where hygiene refused the call.
    pub fn action(&self) -> Box<str> {
        match (&self.facts.argv, &self.tool) {
            (Some(argv), _) if argv.listed => ["exec:", &argv.program].concat().into(),
            (Some(_), _) => "exec:*".into(),
            (None, Some((name, _))) => ["tool:", name.as_str()].concat().into(),
            (None, None) => Box::default(),
        }
    }

    /// Type and id of the Cedar resource, such as `Program` and `kubectl`; empty where hygiene refused the call.
    pub fn resource(&self) -> (Box<str>, Box<str>) {
        match (&self.facts.argv, &self.tool) {
            (Some(argv), _) => ("Program".into(), (*argv.program).into()),
            (None, Some((_, Some((ty, id))))) => (ty.as_str().into(), id.as_str().into()),
            (None, Some((name, None))) => ("Tool".into(), name.as_str().into()),
            (None, None) => Default::default(),
        }
    }

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

    /// For each demand of a shared budget that counts a cost which was told: its place, and how much that was.
    pub(crate) fn actual(
        &self,
        bundle: &Bundle,
        call: &Call,
        done: bool,
        costs: &BTreeMap<Box<str>, u64>,
    ) -> Vec<(usize, u64)> {
        self.event(call).map_or_else(Vec::new, |event| {
            bundle.budgets().actual(&event, &call.actor, Said { costs, done })
        })
    }

    fn event<'a>(&'a self, call: &'a Call) -> Option<Event<'a>> {
        Some(Event {
            digest: self.digest?,
            facts: &self.facts,
            name: name_of(call, &self.facts),
            norm: self.norm,
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
    let mut judgement = match prepare(bundle, &state.workspace, call) {
        Ok(prepared) => prepared.conclude(state, at, Shared::Local, 0),
        Err(refusal) => return refused(bundle, *refusal),
    };
    // A gate says this only where no grant lifts the asks; here is none.
    if judgement.ruling.outcome() == Outcome::Ask {
        let found = state.against_event(bundle, call, &judgement, at);
        judgement.ruling = judgement.ruling.and(found);
    }
    judgement
}

/// What every policy whose scope takes in `call` says of it, for explanations; empty where hygiene refuses the call.
pub fn policy_traces(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp) -> Vec<PolicyTrace> {
    let Ok(prepared) = prepare(bundle, &state.workspace, call) else {
        return Vec::new();
    };
    let (seq, _) = prepared.count(state, at, Shared::Local, 0);
    bundle.policies().explain(&prepared.question(&seq))
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
        handover: None,
        roles: Vec::new(),
        paths: Vec::new(),
        tool: None,
        default_ask: bundle.settings().ask.clone(),
        norm: 0,
        attempt: 0,
        counted: false,
    }
}

/// What budgets count a call under: the program that a wrapper runs, and not the wrapper.
fn name_of<'a>(call: &'a Call, facts: &'a Facts) -> Name<'a> {
    match &call.operation {
        Operation::Exec(exec) => Name::Program(facts.argv.as_ref().map_or(exec.argv().program(), |argv| &argv.program)),
        Operation::Tool(tool) => Name::Tool(tool.name.as_str()),
        // Refused before it is counted; a name that matches no rule.
        Operation::Connect(connect) => Name::Tool(connect.host.as_str()),
    }
}

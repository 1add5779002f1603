//! The way of a call through the gate, up to the permit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{Asking, Escalation};
use super::hold::{Hold, NotHeld};
use super::hosts::Undecided;
use super::locks::{Names, Stopped};
use super::permit::{self, AnyPermit, Held};
use super::{Gate, Session, SessionCall, Verdict};
use crate::audit::{Event, Permitted, Refused};
use crate::budget::{Shared, Taken};
use crate::bundle::Bundle;
use crate::call::{Call, Malformed, Operation, Text, Word};
use crate::clock::Timestamp;
use crate::error::shown;
use crate::exec::Pin;
use crate::facts::Facts;
use crate::finding::{Denial, Finding, Findings, Layer, Level, Outcome, RuleId, Ruling};
use crate::grant::Grant;
use crate::judge::{Judgement, Prepared, prepare, refused};
use crate::label::Risk;
use crate::lock::Target;
use crate::store::{Actual, OpId, Outcome as Fate};

/// Judges one call, and records what came of it: at once where nothing has to be waited for, which is the way of most
/// calls; else the rest of the way comes back.
pub(super) fn at_once(gate: &Gate, call: SessionCall) -> Result<Verdict, Box<Rest>> {
    let mut made = Made::new(gate, call, OpId::mint(Gate::now()), 0);
    let Some(counted) = made.judge_alone(gate) else {
        return Err(Box::new(Rest { made, counted: None }));
    };
    made.admitted = counted.admitted;
    let ruling = &counted.judgement.ruling;
    if ruling.outcome() != Outcome::Allow || ruling.locks() || !gate.inner.checks.is_empty() {
        let counted = Some(counted);
        return Err(Box::new(Rest { made, counted }));
    }
    let mut judgement = counted.judgement;
    Ok(match made.grounds(gate, &judgement) {
        // Nothing was reserved, so there is nothing to give back.
        Ok(pin) => made.permit(gate, judgement, pin).0,
        Err(finding) => {
            judgement.ruling = judgement.ruling.and([finding]);
            made.refund(&judgement);
            Verdict::Deny(made.refused(gate, &judgement))
        }
    })
}

/// The rest of a call's way, where something has to be waited for.
#[derive(Debug)]
pub(super) struct Rest {
    made: Box<Made>,
    /// `None` where the store has to count it first.
    counted: Option<Counted>,
}

impl Rest {
    pub(super) async fn finish(self, gate: &Gate) -> Verdict {
        let Self { mut made, counted } = self;
        let Counted {
            mut judgement,
            admitted,
            hold,
            grants,
        } = match counted {
            Some(counted) => counted,
            None => made.judge(gate).await,
        };
        made.admitted = admitted;
        made.hold = hold;
        if judgement.ruling.outcome() != Outcome::Deny && !gate.inner.checks.is_empty() {
            let undecided = Undecided {
                made: &mut made,
                judgement: &judgement,
                answered: false,
            };
            let found = undecided.ask_hosts(gate).await;
            judgement.ruling = judgement.ruling.and(found);
        }
        if judgement.ruling.locks() {
            made.lock_session(gate, &judgement).await;
        }
        match judgement.ruling.outcome() {
            Outcome::Allow => made.allow(gate, judgement).await,
            Outcome::Ask => made.ask(gate, judgement, grants).await,
            Outcome::Deny => Verdict::Deny(made.refuse(gate, &judgement).await),
        }
    }
}

/// Judges a call once more after people agreed: it is the same call, by its id, and only what was opened for it differs.
pub(super) async fn again(gate: &Gate, call: SessionCall, id: OpId, attempt: u32) -> Verdict {
    let made = Made::new(gate, call, id, attempt);
    Rest { made, counted: None }.finish(gate).await
}

/// Refuses words that are not a call.
pub(super) fn malformed(gate: &Gate, malformed: &Malformed) -> Verdict {
    let bundle = gate.bundle();
    let judgement = refused(&bundle, malformed.finding());
    let denial = denial_of(&judgement);
    let record = Refused::new(OpId::mint(Gate::now()), None, &judgement, &denial, &bundle);
    match gate.inner.audit.append(Event::from(record)) {
        Ok(_) => Verdict::Deny(denial),
        Err(error) => Verdict::Deny(unrecorded(&error)),
    }
}

/// A permit of another kind than the call: a fault of the guard.
pub(super) fn wrong_permit() -> Denial {
    Denial::unavailable(
        RuleId::known(Layer::Store, "internal"),
        "the permit is of another kind than the call",
    )
}

fn unrecorded(error: &crate::audit::AuditError) -> Denial {
    Denial::unavailable(
        RuleId::known(Layer::Store, "audit"),
        format!("the call cannot be recorded: {error}"),
    )
}

fn denial_of(judgement: &Judgement) -> Denial {
    judgement.denial().unwrap_or_else(wrong_permit)
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: OpId,
    pub(super) attempt: u32,
    /// What it is judged by, from its beginning to its end, whatever is put in force meanwhile.
    pub(super) bundle: Arc<Bundle>,
    pub(super) at: Timestamp,
    /// Whether the session's counters hold it.
    pub(super) admitted: bool,
    /// What the store holds of it.
    pub(super) hold: Option<Hold>,
    /// The grant that it has spent a use of.
    pub(super) grant: Option<Grant>,
    pub(super) session: Session,
    pub(super) call: Call,
}

/// A call that is judged and counted.
#[derive(Debug)]
struct Counted {
    judgement: Box<Judgement>,
    /// Whether the session's counters hold it.
    admitted: bool,
    hold: Option<Hold>,
    /// The caller's grants, where the store was asked.
    grants: Option<Vec<Grant>>,
}

impl Made {
    fn new(gate: &Gate, call: SessionCall, id: OpId, attempt: u32) -> Box<Self> {
        let SessionCall { session, mut call } = call;
        let bundle = gate.bundle();
        bundle.tools().conceal(&mut call);
        // It is handed on from step to step, and large.
        Box::new(Self {
            id,
            attempt,
            bundle,
            at: session.inner.time.read(Gate::now()),
            admitted: false,
            hold: None,
            grant: None,
            session,
            call,
        })
    }

    /// Judging and counting in one step, so that two calls of a session cannot both be the last one; `None` where the
    /// store must be asked first.
    fn judge_alone(&self, gate: &Gate) -> Option<Counted> {
        let prepared = match self.prepared(gate) {
            Ok(prepared) => prepared,
            Err(counted) => return Some(*counted),
        };
        // A call that people were asked about may be taken up in two places at once: the store lets one have it, also
        // where nothing asks any more.
        let alone = self.attempt == 0 && !prepared.is_shared();
        alone.then(|| self.conclude(prepared, Ok(&[]), None))
    }

    /// The same with the store's count between.
    async fn judge(&self, gate: &Gate) -> Counted {
        let prepared = match self.prepared(gate) {
            Ok(prepared) => prepared,
            Err(counted) => return *counted,
        };
        let path = self.session.inner.path.calling(name_of(&self.call, prepared.facts()));
        let demands = prepared.demands();
        match Hold::reserve(gate, self.id, prepared.digest(), path, demands).await {
            Ok((hold, held)) => self.conclude(prepared, Ok(&held.counts), Some((hold, held.grants))),
            Err(NotHeld::Over(over)) => {
                let finding = prepared.over(over.demand, over.count, over.free_at, over.now);
                self.conclude(prepared, Err(finding), None)
            }
            Err(NotHeld::Because(finding)) => self.conclude(prepared, Err(finding), None),
        }
    }

    /// Hygiene and argv, and the locks as this process knows them.
    fn prepared(&self, gate: &Gate) -> Result<Prepared<'_>, Box<Counted>> {
        let session = &self.session.inner;
        let prepared = prepare(&self.bundle, session.dir.workspace(), &self.call).map_err(|finding| {
            Box::new(Counted {
                judgement: Box::new(refused(&self.bundle, *finding)),
                admitted: false,
                hold: None,
                grants: None,
            })
        })?;
        match gate
            .inner
            .locks
            .stopped_at(&session.path, names_of(&self.call, prepared.facts(), &self.bundle))
        {
            Some(stopped) => Err(Box::new(self.conclude(prepared, Err(locked(&stopped)), None))),
            None => Ok(prepared),
        }
    }

    fn conclude(
        &self,
        prepared: Prepared<'_>,
        counts: Result<&[u64], Finding>,
        held: Option<(Hold, Vec<Grant>)>,
    ) -> Counted {
        let (judgement, admitted) = match self.session.inner.state.lock() {
            Ok(mut state) => {
                let judgement = match counts {
                    Ok(counts) => prepared.conclude(&state, self.at, Shared::Counted(counts), self.attempt),
                    Err(finding) => {
                        let mut stopped = prepared.stop(finding, self.attempt);
                        let found = state.against_event(&self.bundle, &self.call, &stopped, self.at);
                        stopped.ruling = stopped.ruling.and(found);
                        stopped
                    }
                };
                let taken = match judgement.ruling.outcome() {
                    Outcome::Allow => Taken::Admitted,
                    // It counts until it is known whether a grant lifts it: else two could both be the last one.
                    Outcome::Ask => Taken::Held,
                    Outcome::Deny => Taken::Denied,
                };
                state.take(&self.bundle, &self.call, &judgement, self.at, taken);
                (judgement, taken.counts())
            }
            Err(_) => {
                let broken = Finding::unavailable(
                    RuleId::known(Layer::Store, "session"),
                    "the session's counters broke in an earlier call; open a new session",
                );
                (refused(&self.bundle, broken), false)
            }
        };
        let (hold, grants) = held.unzip();
        Counted {
            judgement: Box::new(judgement),
            admitted,
            hold,
            grants,
        }
    }

    /// A rule wants the session locked. The call is refused in any case; a lock that cannot be set is no reason to allow
    /// anything, and a store that fails stops everything within its bound.
    async fn lock_session(&mut self, gate: &Gate, judgement: &Judgement) {
        // Before anything is awaited: nobody may come back for the counts.
        self.refund(judgement);
        let by = judgement
            .ruling
            .deciding()
            .next()
            .and_then(|finding| Word::new(finding.rule().as_str()).ok())
            // A rule's id may be longer than a name, or hold a `*`; the lock is set all the same.
            .or_else(|| Word::new("rule").ok());
        let why = judgement.ruling.why();
        let why = why.get(..Text::MAX.min(why.len())).and_then(|why| Text::new(why).ok());
        if let (Some(by), Some(why)) = (by, why.or_else(|| Text::new("a rule locked the session").ok())) {
            let session = Target::Session(self.call.actor.session.clone());
            let _ = gate.lock_now(session, why, by).await;
        }
    }

    /// Takes back what the counters hold of a call that is proven not to run. Where they broke, it stays counted.
    pub(super) fn refund(&mut self, judgement: &Judgement) {
        if std::mem::take(&mut self.admitted)
            && let Ok(mut state) = self.session.inner.state.lock()
        {
            state.refund(&self.bundle, &self.call, judgement, self.at);
        }
    }

    /// The session learns that a call which was held is admitted.
    fn confirm(&self, judgement: &Judgement) {
        if let Ok(mut state) = self.session.inner.state.lock() {
            state.confirm(&self.bundle, &self.call, judgement, self.at);
        }
    }

    /// The session learns that people are asked about the call, if its budgets of asks let it; whether they refuse.
    fn asked(&self, judgement: &mut Judgement) -> bool {
        let Ok(mut state) = self.session.inner.state.lock() else {
            return true;
        };
        let found = state.against_event(&self.bundle, &self.call, judgement, self.at);
        let refused = found.iter().any(|finding| finding.level() >= Level::Deny);
        if !refused {
            state.asked(&self.bundle, &self.call, judgement, self.at);
        }
        judgement.ruling = std::mem::replace(&mut judgement.ruling, Ruling::combine(Findings::default())).and(found);
        refused
    }

    /// The session learns how a call that was permitted ended, and what it said it came to. Returns that for the store.
    pub(super) fn ended(&self, judgement: &Judgement, done: bool, costs: &BTreeMap<Box<str>, u64>) -> Vec<Actual> {
        if let Ok(mut state) = self.session.inner.state.lock() {
            let now = self.session.inner.time.read(Gate::now());
            state.ended(&self.bundle, &self.call, judgement, self.at, now, done);
            state.correct(&self.bundle, &self.call, judgement, self.at, done, costs);
        }
        let actual = judgement.actual(&self.bundle, &self.call, done, costs).into_iter();
        actual.map(|(demand, amount)| Actual { demand, amount }).collect()
    }

    /// Records the refusal, and gives back what was counted.
    pub(super) async fn refuse(mut self: Box<Self>, gate: &Gate, judgement: &Judgement) -> Denial {
        self.refund(judgement);
        let denial = self.refused(gate, judgement);
        if let Some(hold) = self.hold.take() {
            hold.settle(gate, Fate::NotRun).await;
        }
        denial
    }

    /// Records the refusal.
    fn refused(&self, gate: &Gate, judgement: &Judgement) -> Denial {
        let denial = denial_of(judgement);
        match self.record(gate, judgement, &denial) {
            Ok(()) => denial,
            Err(unrecorded) => unrecorded,
        }
    }

    /// Records that the call is refused, or that people must agree first.
    pub(super) fn record(&self, gate: &Gate, judgement: &Judgement, denial: &Denial) -> Result<(), Denial> {
        let record = Refused::new(self.id, Some(&self.call), judgement, denial, &self.bundle).attempt(self.attempt);
        let written = gate.inner.audit.append(Event::from(record));
        written.map(drop).map_err(|error| unrecorded(&error))
    }

    async fn refuse_also(self: Box<Self>, gate: &Gate, mut judgement: Box<Judgement>, finding: Finding) -> Verdict {
        judgement.ruling = judgement.ruling.and([finding]);
        Verdict::Deny(self.refuse(gate, &judgement).await)
    }

    async fn allow(self: Box<Self>, gate: &Gate, judgement: Box<Judgement>) -> Verdict {
        match self.grounds(gate, &judgement) {
            Ok(pin) => self.permit_or_settle(gate, judgement, pin).await,
            Err(finding) => self.refuse_also(gate, judgement, finding).await,
        }
    }

    async fn permit_or_settle(self: Box<Self>, gate: &Gate, judgement: Box<Judgement>, pin: Option<Pin>) -> Verdict {
        let (verdict, spare) = self.permit(gate, judgement, pin);
        if let Some(hold) = spare {
            hold.settle(gate, Fate::NotRun).await;
        }
        verdict
    }

    /// Only asks are left: a grant of this caller lifts them, or people are to be asked.
    async fn ask(
        mut self: Box<Self>,
        gate: &Gate,
        mut judgement: Box<Judgement>,
        grants: Option<Vec<Grant>>,
    ) -> Verdict {
        let pin = match self.grounds(gate, &judgement) {
            Ok(pin) => pin,
            Err(finding) => return self.refuse_also(gate, judgement, finding).await,
        };
        let path = self.session.inner.path.calling(name_of(&self.call, &judgement.facts));
        let Some(asking) = Asking::of(&self.bundle, &path, &judgement, pin.as_ref()) else {
            return Verdict::Deny(self.refuse(gate, &judgement).await);
        };
        let grants = match grants {
            Some(grants) => grants,
            None => match Hold::reserve(gate, self.id, asking.digest(), path, Vec::new()).await {
                Ok((hold, held)) => {
                    self.hold = Some(hold);
                    held.grants
                }
                Err(NotHeld::Because(finding)) => return self.refuse_also(gate, judgement, finding).await,
                Err(NotHeld::Over(_)) => return Verdict::Deny(wrong_permit()),
            },
        };
        let now = Gate::now();
        let may =
            |grant: &&Grant| grant.covers(asking.call(), now).is_ok() && asking.may_use(grant, &self.call, &judgement);
        let grants: Vec<&Grant> = grants.iter().filter(may).collect();
        for grant in grants {
            let Some(hold) = &self.hold else { break };
            match hold.claim(gate, grant.id, asking.call().clone()).await {
                Ok(Some(grant)) => {
                    self.grant = Some(*grant);
                    self.confirm(&judgement);
                    return self.permit_or_settle(gate, judgement, pin).await;
                }
                Ok(None) => {}
                Err(finding) => return self.refuse_also(gate, judgement, finding).await,
            }
        }
        self.refund(&judgement);
        // Nobody is asked where so many were that asking is refused.
        let tired = self.asked(&mut judgement);
        if judgement.ruling.locks() {
            self.lock_session(gate, &judgement).await;
        }
        if tired {
            return Verdict::Deny(self.refuse(gate, &judgement).await);
        }
        if let Some(hold) = self.hold.take() {
            hold.settle(gate, Fate::Asked).await;
        }
        let denial = denial_of(&judgement);
        match self.record(gate, &judgement, &denial) {
            Ok(()) => Verdict::Ask(Box::new(Escalation::new(gate, self, judgement, asking, denial, pin))),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    /// Records, and only then makes the permit; where it cannot be recorded, what the store holds comes back, to be given
    /// back.
    fn permit(
        mut self: Box<Self>,
        gate: &Gate,
        mut judgement: Box<Judgement>,
        pin: Option<Pin>,
    ) -> (Verdict, Option<Hold>) {
        let mut record = Permitted::new(self.id, &self.call, &judgement, &self.bundle)
            .attempt(self.attempt)
            .grant(self.grant.as_ref().map(|grant| grant.id));
        if let Some(pin) = &pin {
            record = record.file(pin);
        }
        let audit = &gate.inner.audit;
        // What changes things, and what people agreed to, is on disk before it can happen; what only looks is in the
        // kernel.
        let written = if judgement.facts.risk > Risk::Low || self.grant.is_some() {
            audit.append_synced(Event::from(record))
        } else {
            audit.append(Event::from(record))
        };
        if let Err(error) = written {
            self.refund(&judgement);
            return (Verdict::Deny(unrecorded(&error)), self.hold.take());
        }
        let plan = judgement.plan.take();
        let pinned = pin.is_some();
        let held = Held::new(gate, self, judgement, pin);
        let verdict = match (plan, pinned) {
            (Some(plan), true) => Verdict::Allow(AnyPermit::Exec(permit::exec(held, plan))),
            (None, false) => match permit::tool(held) {
                Some(permit) => Verdict::Allow(AnyPermit::Tool(permit)),
                None => Verdict::Deny(wrong_permit()),
            },
            _ => Verdict::Deny(wrong_permit()),
        };
        (verdict, None)
    }
}

/// What a call is locked by name under: its program, the one that runs where a wrapper stands around it, or tool.
pub(super) fn name_of<'a>(call: &'a Call, facts: &'a Facts) -> &'a str {
    match &call.operation {
        Operation::Exec(exec) => facts.argv.as_ref().map_or(exec.argv().program(), |argv| &argv.program),
        Operation::Tool(tool) => tool.name.as_str(),
        Operation::Connect(connect) => connect.host.as_str(),
    }
}

/// The same by its other names, and what runs it: a lock on `timeout` stops `timeout 5 kubectl`, one on `python3` stops
/// `python`.
pub(super) fn names_of<'a>(call: &'a Call, facts: &'a Facts, bundle: &'a Bundle) -> Names<'a> {
    let name = name_of(call, facts);
    let (around, programs) = match &call.operation {
        Operation::Exec(exec) if exec.argv().program() != name => (exec.argv().words(), Some(bundle.programs())),
        Operation::Exec(_) => (&[][..], Some(bundle.programs())),
        Operation::Tool(_) | Operation::Connect(_) => (&[][..], None),
    };
    Names { name, around, programs }
}

/// What a lock, or not knowing of any, says of a call.
pub(super) fn locked(stopped: &Stopped) -> Finding {
    match stopped {
        Stopped::By(lock) => Finding::deny(
            RuleId::known(Layer::Lock, lock.target.kind()),
            format!(
                "{} is locked by {}: {}",
                lock.target,
                lock.by,
                shown(lock.reason.as_str())
            ),
            "wait until a person lifts the lock",
        ),
        Stopped::Unknown => Finding::unavailable(
            RuleId::known(Layer::Lock, "unknown"),
            "the store has not said for over a second whether a lock stands",
        ),
    }
}

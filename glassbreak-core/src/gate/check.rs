//! The way of a call through the gate, up to the permit.

use super::ask::{Asking, Escalation};
use super::hold::{Hold, NotHeld};
use super::hosts::Undecided;
use super::locks::Stopped;
use super::permit::{self, AnyPermit, Held};
use super::{Gate, Session, SessionCall, Verdict};
use crate::argv::is_sensitive;
use crate::audit::{Event, Permitted, Refused};
use crate::budget::Shared;
use crate::call::{Call, Malformed, Operation, Text, Word};
use crate::clock::Timestamp;
use crate::error::shown;
use crate::exec::{ExecError, Pin};
use crate::finding::{Denial, Finding, Layer, Outcome, RuleId};
use crate::grant::Grant;
use crate::judge::{Judgement, Prepared, prepare, refused};
use crate::label::Risk;
use crate::lock::Target;
use crate::store::{OpId, Outcome as Fate};

/// Judges one call, and records what came of it.
pub(super) async fn check(gate: &Gate, call: SessionCall) -> Verdict {
    attempt(gate, call, OpId::mint(Gate::now()), 0).await
}

/// Judges a call for the first time, or once more after people agreed: then it is the same call, by its id, and only
/// what was opened for it differs.
pub(super) async fn attempt(gate: &Gate, call: SessionCall, id: OpId, attempt: u32) -> Verdict {
    let SessionCall { session, call } = call;
    let mut made = Made {
        id,
        attempt,
        at: Gate::now(),
        admitted: false,
        hold: None,
        grant: None,
        session,
        call,
    };
    let Counted {
        mut judgement,
        admitted,
        hold,
        grants,
    } = made.judge(gate).await;
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

/// Refuses words that are not a call.
pub(super) fn malformed(session: &Session, malformed: &Malformed) -> Verdict {
    let gate = session.gate();
    let judgement = refused(gate.bundle(), malformed.finding());
    let denial = denial_of(&judgement);
    let record = Refused::new(OpId::mint(Gate::now()), None, &judgement, &denial, gate.bundle());
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
struct Counted {
    judgement: Judgement,
    /// Whether the session's counters hold it.
    admitted: bool,
    hold: Option<Hold>,
    /// The caller's grants, where the store was asked.
    grants: Option<Vec<Grant>>,
}

impl Made {
    /// Locks; where a rule is shared, the store's count; then judging and counting in one step, so that two calls of a
    /// session cannot both be the last one.
    async fn judge(&self, gate: &Gate) -> Counted {
        let session = &self.session.inner;
        let refused = |finding: Finding| Counted {
            judgement: refused(gate.bundle(), finding),
            admitted: false,
            hold: None,
            grants: None,
        };
        let prepared = match prepare(gate.bundle(), session.dir.workspace(), &self.call) {
            Ok(prepared) => prepared,
            Err(finding) => return refused(*finding),
        };
        let path = session.path.calling(name_of(&self.call));
        if let Some(stopped) = gate.inner.locks.stopped(&path) {
            return self.conclude(gate, prepared, Err(locked(&stopped)), None);
        }
        let demands = prepared.demands();
        // A call that people were asked about may be taken up in two places at once: the store lets one have it, also
        // where nothing asks any more.
        if demands.is_empty() && self.attempt == 0 {
            return self.conclude(gate, prepared, Ok(&[]), None);
        }
        match Hold::reserve(gate, self.id, prepared.digest(), path, demands).await {
            Ok((hold, held)) => self.conclude(gate, prepared, Ok(&held.counts), Some((hold, held.grants))),
            Err(NotHeld::Over(over)) => {
                let finding = prepared.over(over.demand, over.count, over.free_at, over.now);
                self.conclude(gate, prepared, Err(finding), None)
            }
            Err(NotHeld::Because(finding)) => self.conclude(gate, prepared, Err(finding), None),
        }
    }

    fn conclude(
        &self,
        gate: &Gate,
        prepared: Prepared<'_>,
        counts: Result<&[u32], Finding>,
        held: Option<(Hold, Vec<Grant>)>,
    ) -> Counted {
        let (judgement, admitted) = match self.session.inner.state.lock() {
            Ok(mut state) => {
                let judgement = match counts {
                    Ok(counts) => prepared.conclude(&state, self.at, Shared::Counted(counts), self.attempt),
                    Err(finding) => prepared.stop(finding, self.attempt),
                };
                // An ask counts until it is known whether a grant lifts it: else two could both be the last one.
                let admitted = judgement.ruling.outcome() != Outcome::Deny;
                state.advance(gate.bundle(), &self.call, &judgement, self.at, admitted);
                (judgement, admitted)
            }
            Err(_) => {
                let broken = Finding::unavailable(
                    RuleId::known(Layer::Store, "session"),
                    "the session's counters broke in an earlier call; open a new session",
                );
                (refused(gate.bundle(), broken), false)
            }
        };
        let (hold, grants) = held.unzip();
        Counted {
            judgement,
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

    /// Whether a path among the words leads, on disk, elsewhere than it says: out of the workspace, or by a link to
    /// where secrets are kept. Looked at before the permit and again before running.
    pub(super) fn misled(&self, judgement: &Judgement) -> Option<Finding> {
        let Operation::Exec(exec) = &self.call.operation else {
            return None;
        };
        let (program, dir) = (exec.argv().program(), &self.session.inner.dir);
        let workspace = dir.workspace();
        let object = |code: &str, why: String| {
            let rule = RuleId::known(Layer::Argv, &[program, ".", code].concat());
            Some(Finding::deny(rule, why, "name a path that lies where it says"))
        };
        // Hygiene has placed the folder before; were it not placed now, nothing beneath it could be.
        let Some(cwd) = workspace.locate("", exec.cwd()) else {
            return object("path-outside", "the folder lies outside the workspace".to_owned());
        };
        for word in &judgement.paths {
            match dir.check_path(&cwd, word) {
                Ok(place) if place.linked && is_sensitive(&place.path, workspace) => {
                    let why = format!("`{}` is a link to where secrets are kept", shown(word));
                    return object("sensitive-path", why);
                }
                Ok(_) => {}
                Err(error) => return object("path-outside", error.to_string()),
            }
        }
        None
    }

    /// Takes back what the counters hold of a call that is proven not to run. Where they broke, it stays counted.
    pub(super) fn refund(&mut self, judgement: &Judgement) {
        if std::mem::take(&mut self.admitted)
            && let Ok(mut state) = self.session.inner.state.lock()
        {
            state.refund(self.session.gate().bundle(), &self.call, judgement, self.at);
        }
    }

    /// Records the refusal, and gives back what was counted.
    pub(super) async fn refuse(mut self, gate: &Gate, judgement: &Judgement) -> Denial {
        self.refund(judgement);
        let denial = denial_of(judgement);
        let written = self.record(gate, judgement, &denial);
        if let Some(hold) = self.hold.take() {
            hold.settle(gate, Fate::NotRun).await;
        }
        match written {
            Ok(()) => denial,
            Err(unrecorded) => unrecorded,
        }
    }

    /// Records that the call is refused, or that people must agree first.
    pub(super) fn record(&self, gate: &Gate, judgement: &Judgement, denial: &Denial) -> Result<(), Denial> {
        let record = Refused::new(self.id, Some(&self.call), judgement, denial, gate.bundle()).attempt(self.attempt);
        let written = gate.inner.audit.append(Event::from(record));
        written.map(drop).map_err(|error| unrecorded(&error))
    }

    async fn refuse_also(self, gate: &Gate, mut judgement: Judgement, finding: Finding) -> Verdict {
        judgement.ruling = judgement.ruling.and([finding]);
        Verdict::Deny(self.refuse(gate, &judgement).await)
    }

    async fn allow(self, gate: &Gate, judgement: Judgement) -> Verdict {
        match self.grounds(gate, &judgement) {
            Ok(pin) => self.permit(gate, judgement, pin).await,
            Err(finding) => self.refuse_also(gate, judgement, finding).await,
        }
    }

    /// Only asks are left: a grant of this caller lifts them, or people are to be asked.
    async fn ask(mut self, gate: &Gate, judgement: Judgement, grants: Option<Vec<Grant>>) -> Verdict {
        let pin = match self.grounds(gate, &judgement) {
            Ok(pin) => pin,
            Err(finding) => return self.refuse_also(gate, judgement, finding).await,
        };
        let path = self.session.inner.path.calling(name_of(&self.call));
        let Some(asking) = Asking::of(gate, &path, &judgement, pin.as_ref()) else {
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
                    return self.permit(gate, judgement, pin).await;
                }
                Ok(None) => {}
                Err(finding) => return self.refuse_also(gate, judgement, finding).await,
            }
        }
        self.refund(&judgement);
        if let Some(hold) = self.hold.take() {
            hold.settle(gate, Fate::Asked).await;
        }
        let denial = denial_of(&judgement);
        match self.record(gate, &judgement, &denial) {
            Ok(()) => Verdict::Ask(Box::new(Escalation::new(gate, self, judgement, asking, denial, pin))),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    /// What the call stands on outside itself: for a program, its file and where its paths lead.
    fn grounds(&self, gate: &Gate, judgement: &Judgement) -> Result<Option<Pin>, Finding> {
        let pin = match &self.call.operation {
            Operation::Exec(exec) => Some(take_pin(gate, exec.argv().program()).map_err(|error| {
                // Nothing is wrong with the words: the program is missing, or not one that may be run here.
                let rule = format!("{}.program-file", exec.argv().program());
                Finding::unavailable(RuleId::known(Layer::Argv, &rule), error.to_string())
            })?),
            Operation::Tool(_) | Operation::Connect(_) => None,
        };
        match self.misled(judgement) {
            Some(finding) => Err(finding),
            None => Ok(pin),
        }
    }

    /// Records, and only then makes the permit.
    async fn permit(mut self, gate: &Gate, mut judgement: Judgement, pin: Option<Pin>) -> Verdict {
        let pin_value = pin.as_ref().and_then(|pin| serde_json::to_value(pin).ok());
        let mut record = Permitted::new(self.id, &self.call, &judgement, gate.bundle())
            .attempt(self.attempt)
            .grant(self.grant.as_ref().map(|grant| grant.id));
        if let Some(pin) = &pin_value {
            record = record.pin(pin);
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
            if let Some(hold) = self.hold.take() {
                hold.settle(gate, Fate::NotRun).await;
            }
            return Verdict::Deny(unrecorded(&error));
        }
        let plan = judgement.plan.take();
        let held = Held::new(gate, self, judgement);
        match (plan, pin) {
            (Some(plan), Some(pin)) => Verdict::Allow(AnyPermit::Exec(permit::exec(held, plan, pin))),
            (None, None) => match permit::tool(held) {
                Some(permit) => Verdict::Allow(AnyPermit::Tool(permit)),
                None => Verdict::Deny(wrong_permit()),
            },
            _ => Verdict::Deny(wrong_permit()),
        }
    }
}

/// The file of a program, or of a script and the interpreter that its profile names.
fn take_pin(gate: &Gate, program: &str) -> Result<Pin, ExecError> {
    let dirs = &gate.inner.programs;
    match gate.bundle().programs().interpreter(program) {
        Some(interpreter) => Pin::take_script(dirs, program, interpreter, false),
        None => Pin::take(dirs, program, false),
    }
}

/// What a call is locked by name under: its program or tool.
pub(super) fn name_of(call: &Call) -> &str {
    match &call.operation {
        Operation::Exec(exec) => exec.argv().program(),
        Operation::Tool(tool) => tool.name.as_str(),
        Operation::Connect(connect) => connect.host.as_str(),
    }
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

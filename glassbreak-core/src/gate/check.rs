//! The way of a call through the gate, up to the permit.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use uuid::Uuid;

use super::locks::Stopped;
use super::permit::{self, AnyPermit, Held};
use super::{Escalation, Gate, Session, SessionCall, Verdict};
use crate::argv::is_sensitive;
use crate::audit::{Event, Permitted, Refused};
use crate::call::{Call, Malformed, Operation, Text, Word};
use crate::error::shown;
use crate::exec::{ExecError, Pin};
use crate::facts::Case;
use crate::finding::{Denial, Finding, Layer, Level, Outcome, RuleId};
use crate::guard::Check;
use crate::judge::{Judgement, judge, refused};
use crate::label::Risk;
use crate::lock::Target;

/// Judges one call, and records what came of it.
pub(super) async fn check(gate: &Gate, call: SessionCall) -> Verdict {
    let SessionCall { session, call } = call;
    let mut made = Made {
        id: Uuid::now_v7(),
        at: Gate::now(),
        admitted: false,
        session,
        call,
    };
    let mut judgement = match made.judge(gate) {
        Ok(judgement) => judgement,
        Err(finding) => refused(gate.bundle(), *finding),
    };
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
        Outcome::Allow => made.permit(gate, judgement),
        Outcome::Ask => {
            let owned = |(rule, requirement): (&RuleId, &_)| (rule.clone(), Clone::clone(requirement));
            let requirements = judgement.requirements().into_iter().map(owned).collect();
            let digest = judgement.digest;
            match made.refuse(gate, &judgement) {
                denial if denial.asks() => Verdict::Ask(Escalation {
                    digest,
                    requirements,
                    denial,
                }),
                denial => Verdict::Deny(denial),
            }
        }
        Outcome::Deny => Verdict::Deny(made.refuse(gate, &judgement)),
    }
}

/// Refuses words that are not a call.
pub(super) fn malformed(session: &Session, malformed: &Malformed) -> Verdict {
    let gate = session.gate();
    let judgement = refused(gate.bundle(), malformed.finding());
    let denial = denial_of(&judgement);
    let record = Refused::new(Uuid::now_v7(), None, &judgement, &denial, gate.bundle());
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
pub(super) struct Made {
    pub(super) id: Uuid,
    pub(super) at: crate::clock::Timestamp,
    /// Whether the session's counters hold it.
    pub(super) admitted: bool,
    pub(super) session: Session,
    pub(super) call: Call,
}

impl Made {
    /// Locks, then judging and counting in one step, so that two calls of a session cannot both be the last one.
    fn judge(&mut self, gate: &Gate) -> Result<Judgement, Box<Finding>> {
        let session = &self.session.inner;
        let path = session.path.calling(name_of(&self.call));
        let stopped = gate.inner.locks.stopped(&path).map(|stopped| locked(&stopped));
        let mut state = session.state.lock().map_err(|_| {
            Box::new(Finding::unavailable(
                RuleId::known(Layer::Store, "session"),
                "the session's counters broke in an earlier call; open a new session",
            ))
        })?;
        let mut judgement = judge(gate.bundle(), &state, &self.call, self.at);
        judgement.ruling = judgement.ruling.and(stopped);
        self.admitted = judgement.ruling.outcome() == Outcome::Allow;
        state.advance(gate.bundle(), &self.call, &judgement, self.at, self.admitted);
        Ok(judgement)
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

    fn refuse(mut self, gate: &Gate, judgement: &Judgement) -> Denial {
        self.refund(judgement);
        let denial = denial_of(judgement);
        let record = Refused::new(self.id, Some(&self.call), judgement, &denial, gate.bundle());
        match gate.inner.audit.append(Event::from(record)) {
            Ok(_) => denial,
            Err(error) => unrecorded(&error),
        }
    }

    /// Identifies the file, records, and only then makes the permit.
    fn permit(mut self, gate: &Gate, mut judgement: Judgement) -> Verdict {
        let pin = match &self.call.operation {
            Operation::Exec(exec) => match take_pin(gate, exec.argv().program()) {
                Ok(pin) => Some(pin),
                Err(error) => {
                    let rule = format!("{}.program-file", exec.argv().program());
                    // Nothing is wrong with the words: the program is missing, or not one that may be run here.
                    let finding = Finding::unavailable(RuleId::known(Layer::Argv, &rule), error.to_string());
                    judgement.ruling = judgement.ruling.and([finding]);
                    return Verdict::Deny(self.refuse(gate, &judgement));
                }
            },
            Operation::Tool(_) | Operation::Connect(_) => None,
        };
        if let Some(finding) = self.misled(&judgement) {
            judgement.ruling = judgement.ruling.and([finding]);
            return Verdict::Deny(self.refuse(gate, &judgement));
        }
        let pin_value = pin.as_ref().and_then(|pin| serde_json::to_value(pin).ok());
        let mut record = Permitted::new(self.id, &self.call, &judgement, gate.bundle());
        if let Some(pin) = &pin_value {
            record = record.pin(pin);
        }
        let audit = &gate.inner.audit;
        // What changes things is on disk before it can happen; what only looks is in the kernel.
        let written = if judgement.facts.risk > Risk::Low {
            audit.append_synced(Event::from(record))
        } else {
            audit.append(Event::from(record))
        };
        if let Err(error) = written {
            self.refund(&judgement);
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

/// A call that host checks are asked about. Its counts are held meanwhile, so that a call made at the same time cannot
/// take the same place; they are given back when nobody waits for the verdict any more, or a check brings this down.
struct Undecided<'a> {
    made: &'a mut Made,
    judgement: &'a Judgement,
    answered: bool,
}

impl Undecided<'_> {
    /// What the checks say, up to the first that denies.
    async fn ask_hosts(mut self, gate: &Gate) -> Vec<Finding> {
        let mut found = Vec::with_capacity(gate.inner.checks.len());
        for check in &gate.inner.checks {
            let case = Case {
                call: &self.made.call,
                facts: &self.judgement.facts,
            };
            let finding = ask_host(check.as_ref(), case, gate.inner.check_time).await;
            let denies = finding.level() >= Level::Deny;
            found.push(finding);
            if denies {
                break;
            }
        }
        self.answered = true;
        found
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.made.refund(self.judgement);
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

/// Asks a host's check; a panic and an answer that does not come are denials.
async fn ask_host(check: &dyn Check, case: Case<'_>, most: Duration) -> Finding {
    let broke = |code: &str, why: String| {
        Finding::unavailable(RuleId::known(Layer::Host, &[check.name(), ".", code].concat()), why)
    };
    let asked = catch_unwind(AssertUnwindSafe(|| check.inspect(case)));
    let Ok(answer) = asked else {
        return broke("panic", format!("the check `{}` panicked", check.name()));
    };
    let mut answer = pin!(answer);
    let guarded = std::future::poll_fn(|context| {
        // A future that panicked is not polled again: the panic is its answer.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Ready(finding)) => Poll::Ready(Some(finding)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    });
    match tokio::time::timeout(most, guarded).await {
        Ok(Some(finding)) => finding,
        Ok(None) => broke("panic", format!("the check `{}` panicked", check.name())),
        Err(_) => broke(
            "timeout",
            format!("the check `{}` gave no answer in {} ms", check.name(), most.as_millis()),
        ),
    }
}

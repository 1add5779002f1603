//! The right to perform one judged call, once.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::check::{Made, locked, names_of};
use super::closed::{Entered, Glass};
use super::hold::within;
use super::{Denied, Gate};
use crate::argv::ExecPlan;
use crate::audit::{Event, Finished, Performed};
use crate::call::{Args, CallDigest, Operation, Word};
use crate::exec::Pin;
use crate::finding::{Denial, Finding, Findings, Layer, RuleId, Ruling};
use crate::grant::Grant;
use crate::judge::Judgement;
use crate::store::{Actual, Outcome};

/// What a permit is for: running a program or calling a tool. Sealed.
pub trait Kind: sealed::Sealed {
    /// The judged arguments that the body is handed.
    type Plan: fmt::Debug;
}

/// Running a program.
#[derive(Debug)]
pub enum ExecCall {}

/// Calling a tool.
#[derive(Debug)]
pub enum ToolCall {}

impl Kind for ExecCall {
    type Plan = ExecPlan;
}

impl Kind for ToolCall {
    type Plan = ToolPlan;
}

/// A judged tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolPlan {
    name: Word,
    arguments: Args,
}

impl ToolPlan {
    /// The tool.
    pub const fn name(&self) -> &Word {
        &self.name
    }

    /// Its arguments, as they were judged.
    pub const fn arguments(&self) -> &Args {
        &self.arguments
    }
}

/// What a call really came to, told by whoever performs it.
#[derive(Debug, Default)]
pub struct Costs(Mutex<BTreeMap<Box<str>, u64>>);

impl Costs {
    /// So much more in `unit`, such as `usd_micro`. A unit that no budget of the call counts changes nothing.
    pub fn add(&self, unit: &str, amount: u64) {
        // They are numbers, whole after any panic.
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = costs.entry(unit.into()).or_default();
        *cost = cost.saturating_add(amount);
    }

    fn said(&self) -> BTreeMap<Box<str>, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ExecCall {}
    impl Sealed for super::ToolCall {}
}

/// The unforgeable, one-use, expiring right to perform exactly one judged call.
///
/// It cannot be made, copied, or used twice, and running a program takes a program's permit:
///
/// ```compile_fail
/// # use glassbreak_core::gate::{ExecCall, Permit};
/// fn twice(permit: Permit<ExecCall>) {
///     drop(permit.clone());
/// }
/// ```
/// ```compile_fail
/// # use glassbreak_core::gate::{ExecCall, Permit};
/// async fn twice(permit: Permit<ExecCall>) {
///     let _ = permit.exec().await;
///     let _ = permit.exec().await;
/// }
/// ```
/// ```compile_fail
/// # use glassbreak_core::gate::{Permit, ToolCall};
/// async fn program(permit: Permit<ToolCall>) {
///     let _ = permit.exec().await;
/// }
/// ```
/// The same, used as it is meant:
/// ```
/// # use glassbreak_core::gate::{ExecCall, Permit};
/// async fn once(permit: Permit<ExecCall>) {
///     let _ = permit.exec().await;
/// }
/// ```
///
/// Only a [`Gate`] makes one, its `call.permitted` record is written before it exists, and it cannot be cloned. It is
/// used up by [`run`](Self::run), [`exec`](Permit::exec) or [`forgo`](Self::forgo). One that is dropped counts as spent.
#[must_use = "a permit that is not used counts as spent; use `forgo` to give it back"]
pub struct Permit<K: Kind> {
    pub(super) held: Box<Held>,
    pub(super) plan: K::Plan,
    kind: PhantomData<K>,
}

/// A permit of either kind.
#[must_use = "a permit that is not used counts as spent; use `forgo` to give it back"]
#[derive(Debug)]
pub enum AnyPermit {
    /// For running a program.
    Exec(Permit<ExecCall>),
    /// For calling a tool.
    Tool(Permit<ToolCall>),
}

impl AnyPermit {
    /// Gives the permit back: the call is proven not to have run.
    pub async fn forgo(self) {
        match self {
            Self::Exec(permit) => permit.forgo().await,
            Self::Tool(permit) => permit.forgo().await,
        }
    }

    /// The call it is for.
    pub fn digest(&self) -> Option<CallDigest> {
        match self {
            Self::Exec(permit) => permit.digest(),
            Self::Tool(permit) => permit.digest(),
        }
    }
}

/// What stands behind a permit.
pub(super) struct Held {
    pub(super) gate: Gate,
    pub(super) made: Box<Made>,
    pub(super) judgement: Box<Judgement>,
    /// For a program: the file that was looked at.
    pub(super) pin: Option<Pin>,
    expires: Instant,
    permitted: Instant,
    /// Whoever waits for the end of the grant hears with this that the call is over.
    _entered: Option<Entered>,
}

impl Held {
    pub(super) fn new(gate: &Gate, made: Box<Made>, judgement: Box<Judgement>, pin: Option<Pin>) -> Self {
        let permitted = Instant::now();
        // A right that people gave ends with what they gave.
        let left = made.grant.as_ref().map(|grant| grant.expires_at.since(Gate::now()));
        let left = left.map_or(gate.inner.permit_time, |left| {
            std::time::Duration::from_millis(left.as_millis()).min(gate.inner.permit_time)
        });
        let expires = permitted + left;
        let entered = made.grant.as_ref().and_then(|grant| Glass::enter(gate, grant.id));
        Self {
            gate: gate.clone(),
            made,
            judgement,
            pin,
            expires,
            permitted,
            _entered: entered,
        }
    }

    /// What has come between judging and running: time, or a lock.
    pub(super) fn stopped(&self) -> Option<Denial> {
        if Instant::now() >= self.expires {
            let rule = RuleId::known(Layer::Lock, "permit-expired");
            let why = "the permit lay unused for too long";
            return Some(self.denied(Finding::deny(rule, why, "make the call again")));
        }
        if let Some(finding) = self.made.misled(&self.judgement) {
            return Some(self.denied(finding));
        }
        self.gate
            .inner
            .locks
            .stopped_at(
                &self.made.session.inner.path,
                names_of(&self.made.call, &self.judgement.facts, &self.made.bundle),
            )
            .map(|stopped| self.denied(locked(&stopped)))
    }

    /// Whether the program's file is no longer the one that was judged.
    pub(super) fn changed(&self) -> Option<Denial> {
        let error = self.pin.as_ref()?.check_again().err()?;
        let rule = RuleId::known(Layer::Argv, "program-file");
        Some(self.denied(Finding::deny(rule, error.to_string(), "make the call again")))
    }

    /// Whether what people agreed to was taken back since; a store that does not say so refuses.
    pub(super) async fn revoked(&self) -> Option<Denial> {
        let grant = self.made.grant.as_ref()?;
        let finding = match within(&self.gate, self.gate.inner.store.grant(grant.id)).await {
            Ok(Some(Grant { revoked: None, .. })) => return None,
            Ok(Some(Grant {
                revoked: Some(revoked), ..
            })) => {
                let why = format!("what people agreed to was revoked by {}", revoked.by);
                Finding::deny(
                    RuleId::known(Layer::Store, "grant.revoked"),
                    why,
                    "ask again, or do something else",
                )
            }
            Ok(None) => Finding::deny(
                RuleId::known(Layer::Store, "grant.unknown"),
                "the grant is gone",
                "make the call again",
            ),
            Err(finding) => finding,
        };
        Some(self.denied(finding))
    }

    /// The refusal that `finding` amounts to; also one that would not refuse is refused here, as a fault of the guard.
    pub(super) fn denied(&self, finding: Finding) -> Denial {
        let ruling = Ruling::combine(Findings {
            lock: vec![finding],
            ..Findings::default()
        });
        Denial::from_ruling(&ruling, self.judgement.digest).unwrap_or_else(super::check::wrong_permit)
    }

    /// Ready when a lock stops the call.
    pub(super) async fn locked(&self) -> Denial {
        let made = &self.made;
        let locks = &self.gate.inner.locks;
        let names = names_of(&made.call, &self.judgement.facts, &made.bundle);
        let stopped = locks.wait(&made.session.inner.path, names).await;
        self.denied(locked(&stopped))
    }

    /// The call is proven not to have run.
    pub(super) async fn not_run(mut self) {
        let finished = Finished::new(self.made.id, Performed::NotRun);
        self.made.refund(&self.judgement);
        self.record(finished);
        self.settle(Outcome::NotRun, Vec::new()).await;
    }

    /// Records how the call ended, and tells the store.
    pub(super) async fn ended(self, finished: Finished) {
        self.ended_at(finished, &Costs::default()).await;
    }

    /// The same for a call that said what it came to.
    async fn ended_at(mut self, finished: Finished, costs: &Costs) {
        let outcome = match finished.outcome {
            Performed::Done => Outcome::Done,
            // Only [`not_run`](Self::not_run) proves that.
            Performed::Failed | Performed::NotRun => Outcome::Failed,
        };
        let actual = self
            .made
            .ended(&self.judgement, outcome == Outcome::Done, &costs.said());
        self.record(finished);
        self.settle(outcome, actual).await;
    }

    async fn settle(&mut self, outcome: Outcome, actual: Vec<Actual>) {
        if let Some(hold) = self.made.hold.take() {
            hold.settle_as(&self.gate, outcome, actual).await;
        }
    }

    pub(super) fn finished(&self, outcome: Performed) -> Finished {
        let millis = |from: Instant| u64::try_from(from.elapsed().as_millis()).ok();
        Finished {
            waited_ms: millis(self.permitted),
            ..Finished::new(self.made.id, outcome)
        }
    }

    /// Records the outcome. One that cannot be recorded does not take the body's result with it: the permit's own
    /// record stands, and a call without outcome counts as spent.
    pub(super) fn record(&self, finished: Finished) {
        let _ = self.gate.inner.audit.finish(Event::from(finished));
    }
}

pub(super) fn exec(held: Held, plan: ExecPlan) -> Permit<ExecCall> {
    Permit {
        held: Box::new(held),
        plan,
        kind: PhantomData,
    }
}

pub(super) fn tool(held: Held) -> Option<Permit<ToolCall>> {
    let Operation::Tool(tool) = &held.made.call.operation else {
        return None;
    };
    let plan = ToolPlan {
        name: tool.name.clone(),
        arguments: tool.arguments.clone(),
    };
    Some(Permit {
        held: Box::new(held),
        plan,
        kind: PhantomData,
    })
}

impl<K: Kind> Permit<K> {
    /// The call it is for.
    pub fn digest(&self) -> Option<CallDigest> {
        self.held.judgement.digest
    }

    /// Performs the call: hands `body` the judged arguments, and ends it when a lock comes.
    ///
    /// Just before, the locks and, for a program, the identity of its file are read again. The result decides what is
    /// recorded: done for `Ok`, failed for `Err`. A body that panics, or is dropped, leaves the call counted as spent.
    ///
    /// # Errors
    /// What `body` returns; and a refusal as the body's own error when the permit has expired, a lock stands or comes,
    /// or the file has changed.
    pub async fn run<T, E: From<Denied>>(self, body: impl AsyncFnOnce(&K::Plan) -> Result<T, E>) -> Result<T, E> {
        self.run_all(super::macros::by_result, async move |plan: &K::Plan, _: &Costs| {
            body(plan).await
        })
        .await
    }

    /// As [`run`](Self::run), where `outcome` says what the result counts as. [`Performed::NotRun`] gives back what was
    /// counted, so it is for results that prove that nothing was done.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_as<T, E: From<Denied>>(
        self,
        outcome: impl FnOnce(&Result<T, E>) -> Performed,
        body: impl AsyncFnOnce(&K::Plan) -> Result<T, E>,
    ) -> Result<T, E> {
        self.run_all(outcome, async move |plan: &K::Plan, _: &Costs| body(plan).await)
            .await
    }

    /// As [`run`](Self::run), and `body` may say what the call really came to, for budgets that count a cost: more than
    /// was known before counts in full, past any ceiling; less counts where the call succeeded.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_at_cost<T, E: From<Denied>>(
        self,
        body: impl AsyncFnOnce(&K::Plan, &Costs) -> Result<T, E>,
    ) -> Result<T, E> {
        self.run_all(super::macros::by_result, body).await
    }

    async fn run_all<T, E: From<Denied>>(
        self,
        outcome: impl FnOnce(&Result<T, E>) -> Performed,
        body: impl AsyncFnOnce(&K::Plan, &Costs) -> Result<T, E>,
    ) -> Result<T, E> {
        let costs = Costs::default();
        let Self { held, plan, .. } = self;
        let revoked = held.revoked().await;
        if let Some(denial) = revoked.or_else(|| held.stopped()).or_else(|| held.changed()) {
            held.not_run().await;
            return Err(E::from(Denied(denial)));
        }
        let ended = {
            let mut body = std::pin::pin!(body(&plan, &costs));
            let mut lock = std::pin::pin!(held.locked());
            std::future::poll_fn(|context| {
                // The lock first: a body that is ready at the same moment as its lock has still been locked.
                if let std::task::Poll::Ready(denial) = lock.as_mut().poll(context) {
                    return std::task::Poll::Ready(Err(denial));
                }
                body.as_mut().poll(context).map(Ok)
            })
            .await
        };
        match ended {
            Ok(result) => {
                match outcome(&result) {
                    Performed::NotRun => held.not_run().await,
                    outcome => {
                        let finished = held.finished(outcome);
                        held.ended_at(finished, &costs).await;
                    }
                }
                result
            }
            Err(denial) => {
                // It was cut: nobody knows how far it came.
                let finished = held.finished(Performed::Failed);
                held.ended_at(finished, &costs).await;
                Err(E::from(Denied(denial)))
            }
        }
    }

    /// Gives the permit back unused: the call is proven not to have run, and is counted nowhere.
    pub async fn forgo(self) {
        self.held.not_run().await;
    }
}

impl<K: Kind> fmt::Debug for Permit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("call", &self.held.made.id)
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

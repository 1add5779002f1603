//! What the store holds of a call in flight.

use std::future::Future;
use std::time::Duration;

use super::Gate;
use super::check::locked;
use super::locks::Stopped;
use crate::budget::Demand;
use crate::call::CallDigest;
use crate::clock::Span;
use crate::error::shown;
use crate::finding::{Finding, Layer, RuleId};
use crate::grant::{Grant, GrantId, Use};
use crate::lock::LockPath;
use crate::store::{
    Actual, Attempt, Claim, Claimed, Fate, Held, OpId, Outcome, Over, Reserve, Reserved, Settle, StoreError,
};

/// How long a call may stay unsettled before it is presumed spent.
pub(super) const LEASE: Span = Span::from_millis(15 * 60_000);

/// A reservation of this process. Dropped unsettled it stays one until its lease ends, and counts after that too.
#[derive(Debug)]
pub(super) struct Hold {
    op: OpId,
    attempt: Attempt,
}

/// Why the store does not hold a call.
#[derive(Debug)]
pub(super) enum NotHeld {
    /// A ceiling is reached.
    Over(Over),
    /// Anything else.
    Because(Finding),
}

impl Hold {
    /// Has the store count a call.
    pub(super) async fn reserve(
        gate: &Gate,
        op: OpId,
        digest: CallDigest,
        path: LockPath,
        demands: Vec<Demand>,
    ) -> Result<(Self, Held), NotHeld> {
        let attempt = Attempt::mint();
        let reserve = Reserve {
            op,
            attempt,
            digest,
            path,
            at: Gate::now(),
            lease: LEASE,
            demands,
        };
        let answer = within(gate, gate.inner.store.reserve(reserve)).await;
        match answer.map_err(NotHeld::Because)? {
            Reserved::Held(held) => Ok((Self { op, attempt }, held)),
            Reserved::Over(over) => Err(NotHeld::Over(over)),
            Reserved::Locked { lock, .. } => Err(NotHeld::Because(locked(&Stopped::By(lock)))),
            Reserved::Taken { fate, .. } => Err(NotHeld::Because(taken(fate))),
            Reserved::Mismatch { .. } => Err(NotHeld::Because(Finding::deny(
                RuleId::known(Layer::Store, "mismatch"),
                "this call's id stands for another call",
                "make the call again, under an id of its own",
            ))),
            Reserved::Clock { latest, .. } => Err(NotHeld::Because(clock(latest))),
        }
    }

    /// Spends a use of a grant on the call; `Err` says what refuses the call, `Ok(None)` that this grant does not cover
    /// it.
    pub(super) async fn claim(&self, gate: &Gate, grant: GrantId, call: Use) -> Result<Option<Box<Grant>>, Finding> {
        let claim = Claim {
            op: self.op,
            attempt: self.attempt,
            grant,
            call,
            at: Gate::now(),
        };
        match within(gate, gate.inner.store.claim(claim)).await? {
            Claimed::Used { grant, .. } => Ok(Some(grant)),
            Claimed::Refused(_) => Ok(None),
            Claimed::Locked(lock) => Err(locked(&Stopped::By(lock))),
            Claimed::NotHeld(fate) => Err(taken(fate)),
            Claimed::Clock { latest } => Err(clock(latest)),
        }
    }

    /// Tells the store what became of the call. A word that does not arrive changes nothing: the call counts.
    pub(super) async fn settle(self, gate: &Gate, outcome: Outcome) {
        self.settle_as(gate, outcome, Vec::new()).await;
    }

    /// The same, with what it really came to.
    pub(super) async fn settle_as(self, gate: &Gate, outcome: Outcome, actual: Vec<Actual>) {
        let settle = Settle {
            op: self.op,
            attempt: self.attempt,
            outcome,
            actual,
            at: Gate::now(),
        };
        let _ = within(gate, gate.inner.store.settle(settle)).await;
    }
}

/// The store's answer, or the finding that there is none.
pub(super) async fn within<T>(gate: &Gate, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Finding> {
    let most: Duration = gate.inner.store_time;
    match tokio::time::timeout(most, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Finding::unavailable(
            RuleId::known(Layer::Store, error.kind().as_str()),
            shown(&error.to_string()),
        )),
        Err(_) => Err(Finding::unavailable(
            RuleId::known(Layer::Store, "timeout"),
            format!("the store gave no answer in {} ms", most.as_millis()),
        )),
    }
}

fn taken(fate: Fate) -> Finding {
    let what = match fate {
        Fate::Held => "somebody else has it in hand",
        Fate::Settled(Outcome::Done) => "it ran, and is done",
        Fate::Settled(Outcome::Failed) => "it ran, and failed",
        Fate::Settled(Outcome::NotRun) => "it was given up",
        Fate::Settled(Outcome::Asked) => "people were asked about it",
        Fate::PresumedSpent => "it may have run: nobody told how it ended",
        Fate::Forgotten => "it is so old that it is forgotten",
    };
    Finding::deny(
        RuleId::known(Layer::Budget, "call-already-permitted"),
        format!("this very call was taken before: {what}"),
        "make a new call where it is to be done once more",
    )
}

fn clock(latest: crate::clock::Timestamp) -> Finding {
    Finding::unavailable(
        RuleId::known(Layer::Store, "clock"),
        format!("this machine's clock is ahead of the store's, which takes nothing later than {latest}"),
    )
}

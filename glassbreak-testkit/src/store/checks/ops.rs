//! One op, one permit; and how it ends.

use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::{Fate, Outcome, Reserve, Reserved, StoreErrorKind};

use super::super::rig::{LEASE, Rig, fail, over};

pub(super) async fn fate(rig: &Rig, call: &Reserve) -> Fate {
    match rig.ask(rig.again(call).by_another()).await {
        Reserved::Taken { fate, .. } => fate,
        other => fail(&format!("{other:?}")),
    }
}

/// A repeat of a message whose answer was lost gets that answer, word for word, and is not counted.
pub async fn a_repeat_by_the_same_attempt_gets_the_first_answer(rig: Rig) {
    let call = rig.call().on(1, 2).on(2, 2).done();
    let first = rig.hold(call.clone()).await;
    rig.hold(rig.call().on(1, 2)).await;
    rig.pass(LEASE);
    // Also where the budget is full by now, and through another handle.
    assert_eq!(rig.hold(rig.again(&call)).await, first);
    match rig.other.reserve(rig.again(&call).done()).await {
        Ok(Reserved::Held(again)) => assert_eq!(again, first),
        other => fail(&format!("{other:?}")),
    }
    assert_eq!((rig.count(1).await, rig.count(2).await), (2, 1));
}

/// Another attempt at an op never holds it, whatever became of it; it is told what did, and counts nothing.
pub async fn another_attempt_is_told_what_became_of_the_op(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    assert_eq!(fate(&rig, &call).await, Fate::Held);
    rig.pass(LEASE);
    assert_eq!(fate(&rig, &call).await, Fate::Held);
    rig.pass(1);
    assert_eq!(fate(&rig, &call).await, Fate::PresumedSpent);
    for outcome in [Outcome::Done, Outcome::Failed, Outcome::NotRun] {
        let call = rig.call().on(2, 9).done();
        rig.hold(call.clone()).await;
        rig.settle(&call, outcome).await;
        assert_eq!(fate(&rig, &call).await, Fate::Settled(outcome));
    }
    assert_eq!((rig.count(1).await, rig.count(2).await), (1, 2));
}

/// Once an op has ended, its own attempt gets no second permit either.
pub async fn a_settled_op_is_taken_for_its_own_attempt_too(rig: Rig) {
    for outcome in [Outcome::Done, Outcome::Failed, Outcome::NotRun] {
        let call = rig.call().on(1, 9).done();
        rig.hold(call.clone()).await;
        rig.settle(&call, outcome).await;
        let answer = rig.ask(rig.again(&call)).await;
        let expected = Fate::Settled(outcome);
        assert!(
            matches!(answer, Reserved::Taken { fate, .. } if fate == expected),
            "{answer:?}"
        );
    }
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    rig.pass(LEASE + 1);
    let answer = rig.ask(rig.again(&call)).await;
    assert!(
        matches!(
            answer,
            Reserved::Taken {
                fate: Fate::PresumedSpent,
                ..
            }
        ),
        "{answer:?}"
    );
}

/// An op with another digest is a mismatch, for any attempt and however the op ended.
pub async fn an_op_stands_for_one_digest(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    for settled in [false, true] {
        if settled {
            rig.settle(&call, Outcome::NotRun).await;
        }
        for other in [rig.again(&call), rig.again(&call).by_another()] {
            let answer = rig.ask(other.of_another_call()).await;
            assert!(matches!(answer, Reserved::Mismatch { .. }), "{answer:?}");
        }
    }
    assert_eq!(rig.count(1).await, 0);
}

/// Only what is proven not to have run is given back, under all its keys; a call that failed counts.
pub async fn only_what_did_not_run_is_given_back(rig: Rig) {
    for (outcome, left) in [(Outcome::Done, 1), (Outcome::Failed, 2), (Outcome::NotRun, 2)] {
        let call = rig.call().on(1, 9).on(2, 9).on(2, 9).done();
        rig.hold(call.clone()).await;
        rig.pass(LEASE);
        let settled = rig.settle(&call, outcome).await;
        assert_eq!(settled.outcome, outcome);
        assert_eq!((settled.late, settled.refunded), (false, outcome == Outcome::NotRun));
        assert_eq!((rig.count(1).await, rig.count(2).await), (left, 2 * left));
    }
    let call = rig.call().on(3, 1).done();
    rig.hold(call.clone()).await;
    over(rig.ask(rig.call().on(3, 1)).await);
    rig.settle(&call, Outcome::NotRun).await;
    rig.hold(rig.call().on(3, 1)).await;
}

/// The first word on how a call ended stands: a repeat gets the first answer, whatever it says, and refunds nothing.
pub async fn settling_twice_gets_the_first_answer(rig: Rig) {
    for (first, second) in [
        (Outcome::Done, Outcome::NotRun),
        (Outcome::NotRun, Outcome::NotRun),
        (Outcome::NotRun, Outcome::Done),
    ] {
        let call = rig.call().on(1, 9).done();
        rig.hold(rig.call().on(1, 9)).await;
        rig.hold(call.clone()).await;
        let settled = rig.settle(&call, first).await;
        let count = rig.count(1).await;
        rig.pass(LEASE + 1);
        assert_eq!(rig.settle(&call, second).await, settled);
        assert_eq!(rig.count(1).await, count);
    }
}

/// A lease that ends unsettled gives nothing back: the call counts for its whole window.
pub async fn a_lease_that_ends_is_presumed_spent(rig: Rig) {
    let call = rig.call().on(1, 1).done();
    let held = rig.hold(call.clone()).await;
    assert_eq!(held.deadline, Timestamp::from_millis(rig.now() + LEASE));
    rig.pass(LEASE + 1);
    assert_eq!(fate(&rig, &call).await, Fate::PresumedSpent);
    over(rig.ask(rig.call().on(1, 1)).await);
}

/// A word that comes after the lease is recorded as late, and gives nothing back.
pub async fn a_late_word_is_recorded_and_gives_nothing_back(rig: Rig) {
    for (key, outcome) in [(1, Outcome::NotRun), (2, Outcome::Done)] {
        let call = rig.call().on(key, 9).done();
        rig.hold(call.clone()).await;
        rig.pass(LEASE + 1);
        let settled = rig.settle(&call, outcome).await;
        assert_eq!(
            (settled.outcome, settled.late, settled.refunded),
            (outcome, true, false)
        );
        assert_eq!(rig.count(key).await, 1);
        assert_eq!(fate(&rig, &call).await, Fate::Settled(outcome));
    }
}

/// A word that comes with a time that is not believed is taken, and gives nothing back.
pub async fn a_word_at_a_time_not_believed_is_late(rig: Rig) {
    let call = rig.call().on(1, 9).leased(i64::MAX).done();
    rig.hold(call.clone()).await;
    rig.jump(10_000);
    let settled = rig.settle(&call, Outcome::NotRun).await;
    assert_eq!((settled.late, settled.refunded), (true, false));
    rig.jump(-10_000);
    assert_eq!(rig.count(1).await, 1);
}

/// Only the attempt that reserved may settle; a word on an op that nobody reserved is an error.
pub async fn only_the_holder_settles(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    let stranger = rig.again(&call).by_another().done();
    let nobody = rig.call().done();
    for (who, kind) in [
        (stranger, StoreErrorKind::NotHolder),
        (nobody, StoreErrorKind::UnknownOp),
    ] {
        match rig.store.settle(rig.settling(&who, Outcome::NotRun)).await {
            Err(error) => assert_eq!((error.kind(), error.is_retryable()), (kind, false)),
            Ok(settled) => fail(&format!("{settled:?}")),
        }
    }
    assert_eq!(rig.count(1).await, 1);
    assert!(rig.settle(&call, Outcome::NotRun).await.refunded);
}

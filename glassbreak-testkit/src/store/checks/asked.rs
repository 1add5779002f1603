//! Ops that ended with people being asked.

use glassbreak_core::store::{Fate, Outcome, Reserve, Reserved, StoreErrorKind};

use super::super::rig::{LEASE, Rig, fail, over};
use super::ops::fate;
use super::races::{is_held, race};

async fn asks(rig: &Rig) -> Reserve {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    assert!(rig.settle(&call, Outcome::Asked).await.refunded);
    call
}

/// After an attempt that asked in time, another one may hold the op: it is counted once, and holds it like a new one.
pub async fn an_op_that_asked_goes_on_with_another_attempt(rig: Rig) {
    let first = asks(&rig).await;
    assert_eq!(rig.count(1).await, 0);
    rig.pass(10 * LEASE);
    let second = rig.again(&first).by_another().done();
    let held = rig.hold(second.clone()).await;
    assert_eq!(*held.counts, [1]);
    assert_eq!(
        (held.now.as_millis(), held.deadline.as_millis()),
        (rig.now(), rig.now() + LEASE)
    );
    assert_eq!(rig.hold(rig.again(&second)).await, held);
    assert_eq!(fate(&rig, &first).await, Fate::Held);
    match rig.store.settle(rig.settling(&first, Outcome::NotRun)).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::NotHolder),
        Ok(settled) => fail(&format!("{settled:?}")),
    }
    assert_eq!(rig.settle(&second, Outcome::Done).await.outcome, Outcome::Done);
    assert_eq!(fate(&rig, &first).await, Fate::Settled(Outcome::Done));
    assert_eq!(rig.count(1).await, 1);
    // And it may ask more than once.
    let mut call = asks(&rig).await;
    for _ in 0..3 {
        call = rig.again(&call).by_another().done();
        rig.hold(call.clone()).await;
        rig.settle(&call, Outcome::Asked).await;
    }
    assert_eq!(rig.count(1).await, 1);
}

/// The attempt that asked does not hold the op again.
pub async fn an_op_that_asked_is_taken_for_the_attempt_that_asked(rig: Rig) {
    let call = asks(&rig).await;
    let answer = rig.ask(rig.again(&call)).await;
    let asked = Fate::Settled(Outcome::Asked);
    assert!(
        matches!(answer, Reserved::Taken { fate, .. } if fate == asked),
        "{answer:?}"
    );
    assert_eq!(rig.count(1).await, 0);
}

/// Who asks after the lease has ended may have run: nobody holds the op again, and it counts.
pub async fn an_op_that_asked_too_late_does_not_go_on(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    rig.pass(LEASE + 1);
    let settled = rig.settle(&call, Outcome::Asked).await;
    assert_eq!((settled.late, settled.refunded), (true, false));
    assert_eq!(fate(&rig, &call).await, Fate::Settled(Outcome::Asked));
    assert_eq!(rig.count(1).await, 1);
    // Nor who asks at a time that is not believed.
    let call = rig.call().on(2, 9).done();
    rig.hold(call.clone()).await;
    rig.jump(60_000);
    assert!(rig.settle(&call, Outcome::Asked).await.late);
    rig.jump(-60_000);
    assert_eq!(fate(&rig, &call).await, Fate::Settled(Outcome::Asked));
    assert_eq!(rig.count(2).await, 1);
}

/// After an attempt that ended in any other way nobody holds the op again, also where one before it had asked.
pub async fn an_op_that_ended_otherwise_does_not_go_on(rig: Rig) {
    for outcome in [Outcome::Done, Outcome::Failed, Outcome::NotRun] {
        let call = rig.again(&asks(&rig).await).by_another().done();
        rig.hold(call.clone()).await;
        rig.settle(&call, outcome).await;
        assert_eq!(fate(&rig, &call).await, Fate::Settled(outcome));
    }
    let call = rig.again(&asks(&rig).await).by_another().done();
    rig.hold(call.clone()).await;
    rig.pass(LEASE + 1);
    assert_eq!(fate(&rig, &call).await, Fate::PresumedSpent);
}

/// Whoever goes on with an op goes on with the same call.
pub async fn an_op_that_asked_still_stands_for_one_digest(rig: Rig) {
    let call = asks(&rig).await;
    for other in [rig.again(&call), rig.again(&call).by_another()] {
        let answer = rig.ask(other.of_another_call()).await;
        assert!(matches!(answer, Reserved::Mismatch { .. }), "{answer:?}");
    }
    rig.hold(rig.again(&call).by_another()).await;
}

/// What goes on is counted like a new call: a ceiling that was reached meanwhile refuses it, and leaves it as it was.
pub async fn what_goes_on_passes_the_ceilings_anew(rig: Rig) {
    let first = rig.call().on(1, 1).done();
    rig.hold(first.clone()).await;
    rig.settle(&first, Outcome::Asked).await;
    let other = rig.call().on(1, 1).done();
    rig.hold(other.clone()).await;
    let second = rig.again(&first).by_another().done();
    over(rig.ask(second.clone()).await);
    rig.settle(&other, Outcome::NotRun).await;
    rig.hold(rig.again(&second)).await;
    over(rig.ask(rig.call().on(1, 1)).await);
}

/// An op that spent a grant is done with, whatever its attempt says: the next one could spend another.
pub async fn an_op_that_spent_a_grant_does_not_go_on(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.window(&request, 9)).await;
    let call = rig.use_of(&request);
    let held = rig.in_flight(&call).await;
    rig.used(&held, &grant, &call).await;
    rig.settle(&held, Outcome::Asked).await;
    assert_eq!(fate(&rig, &held).await, Fate::Settled(Outcome::Asked));
}

/// Of any number of attempts that want to go on with an op one holds it.
pub async fn of_attempts_that_race_after_asking_one_holds_it(rig: Rig) {
    for key in 10..20 {
        let call = rig.call().on(key, 1_000).done();
        rig.hold(call.clone()).await;
        rig.settle(&call, Outcome::Asked).await;
        let answers = race(&rig, 32, |rig, _| {
            let call = rig.again(&call).by_another();
            async move { rig.ask(call).await }
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answer| is_held(answer)).count(), 1);
        assert_eq!(rig.count(key).await, 1);
    }
}

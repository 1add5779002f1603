//! Counts, ceilings and time.

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::store::{Outcome, Reserve, Reserved, StoreErrorKind};

use super::super::rig::{LEASE, Rig, WINDOW, fail, over};

/// What is held is counted, this call included, and says until when it may be settled.
pub async fn what_is_held_is_counted(rig: Rig) {
    for n in 1..=3 {
        let held = rig.hold(rig.call().on(1, 9).on(2, 9)).await;
        assert_eq!(*held.counts, [n, n]);
        assert_eq!(held.now.as_millis(), rig.now());
        assert_eq!(held.deadline.as_millis(), rig.now() + LEASE);
        rig.pass(1_000);
    }
}

/// Past a ceiling nothing is held; the answer names the first demand that is past, its count, and when it would pass.
pub async fn a_ceiling_refuses_and_says_until_when(rig: Rig) {
    let first = rig.now();
    for _ in 0..3 {
        rig.hold(rig.call().on(1, 3)).await;
        rig.pass(1_000);
    }
    let refused = over(rig.ask(rig.call().on(2, 9).on(1, 2).on(1, 1)).await);
    assert_eq!((refused.demand, refused.count), (1, 4));
    assert_eq!(
        refused.free_at.map(Timestamp::as_millis),
        Some(first + 1_000 + WINDOW + 1)
    );
    let refused = over(rig.ask(rig.call().on(1, 3)).await);
    let free_at = first + WINDOW + 1;
    assert_eq!(refused.free_at.map(Timestamp::as_millis), Some(free_at));
    rig.pass(free_at - 1 - rig.now());
    over(rig.ask(rig.call().on(1, 3)).await);
    rig.pass(1);
    rig.hold(rig.call().on(1, 3)).await;
    let never = over(rig.ask(rig.call().on(7, 0)).await);
    assert_eq!((never.count, never.free_at), (1, None));
}

/// A window is closed at its old end and slides: it has no edge at which twice the ceiling passes.
pub async fn a_call_exactly_as_old_as_the_window_still_counts(rig: Rig) {
    rig.hold(rig.call().on(1, 9)).await;
    rig.pass(WINDOW);
    assert_eq!(rig.count(1).await, 1);
    rig.hold(rig.call().on(1, 9)).await;
    rig.pass(1);
    assert_eq!(rig.count(1).await, 1);
    rig.pass(WINDOW);
    assert_eq!(rig.count(1).await, 0);
}

/// Counts of other rules and of other keys are other counts.
pub async fn rules_and_keys_count_apart(rig: Rig) {
    rig.hold(rig.call().under("a", 1, 1)).await;
    rig.hold(rig.call().under("b", 1, 1)).await;
    rig.hold(rig.call().under("a", 2, 1)).await;
    over(rig.ask(rig.call().under("a", 1, 1)).await);
}

/// Two demands of one call on one rule and key count twice.
pub async fn two_demands_on_one_key_count_twice(rig: Rig) {
    let held = rig.hold(rig.call().on(1, 3).on(1, 3)).await;
    assert_eq!(*held.counts, [1, 2]);
    let refused = over(rig.ask(rig.call().on(1, 3).on(1, 3)).await);
    assert_eq!((refused.demand, refused.count), (1, 4));
    assert_eq!(rig.count(1).await, 2);
}

/// When one demand is past its ceiling, no demand is counted, before it or after it.
pub async fn nothing_of_a_refused_call_is_counted(rig: Rig) {
    rig.hold(rig.call().on(2, 1)).await;
    let refused = over(rig.ask(rig.call().on(1, 9).on(2, 1).on(3, 9)).await);
    assert_eq!(refused.demand, 1);
    for (key, count) in [(1, 0), (2, 1), (3, 0)] {
        assert_eq!(rig.count(key).await, count, "key {key}");
    }
}

/// An answer other than `Held` leaves no trace: the op may be tried again, and has nothing to settle.
pub async fn a_refused_call_leaves_no_trace(rig: Rig) {
    let first = rig.call().on(1, 1).done();
    rig.hold(first.clone()).await;
    let second = rig.call().on(1, 1).done();
    over(rig.ask(second.clone()).await);
    let settled = rig.store.settle(rig.settling(&second, Outcome::NotRun)).await;
    assert_eq!(settled.err().map(|error| error.kind()), Some(StoreErrorKind::UnknownOp));
    rig.settle(&first, Outcome::NotRun).await;
    rig.hold(rig.again(&second).by_another()).await;
}

/// A call that counts under nothing still has one op and one permit.
pub async fn a_call_without_demands_is_held(rig: Rig) {
    let call = rig.call().done();
    assert!(rig.hold(call.clone()).await.counts.is_empty());
    let answer = rig.ask(rig.again(&call).by_another()).await;
    assert!(matches!(answer, Reserved::Taken { .. }), "{answer:?}");
}

/// As many demands as the contract names are taken, and not one more.
pub async fn too_many_demands_are_invalid(rig: Rig) {
    let most = u64::try_from(Reserve::MAX_DEMANDS).unwrap_or(u64::MAX);
    let many = |most| (0..most).fold(rig.call(), |call, key| call.on(key, 9));
    rig.hold(many(most)).await;
    match rig.store.reserve(many(most + 1).done()).await {
        Err(error) => assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Invalid, false)),
        Ok(answer) => fail(&format!("{answer:?}")),
    }
    assert_eq!(rig.count(most).await, 0);
}

/// A time more than five seconds ahead of the latest, plus the time that went by since, refuses and changes nothing.
pub async fn a_time_too_far_ahead_is_not_believed(rig: Rig) {
    rig.hold(rig.call().on(1, 9)).await;
    rig.jump(5_000);
    rig.hold(rig.call().on(1, 9)).await;
    let begin = rig.now();
    rig.pass(2_000);
    rig.jump(5_001);
    for _ in 0..2 {
        match rig.ask(rig.call().on(1, 9)).await {
            Reserved::Clock { latest, .. } => assert_eq!(latest.as_millis(), begin + 7_000),
            other => fail(&format!("{other:?}")),
        }
    }
    // It comes back, and nothing has happened.
    rig.jump(-5_001);
    let held = rig.hold(rig.call().on(1, 9)).await;
    assert_eq!((&*held.counts, held.now.as_millis()), (&[3][..], begin + 2_000));
    // A jump over the window, such as would forgive everything.
    rig.jump(WINDOW + 1);
    let answer = rig.ask(rig.call().on(1, 3)).await;
    assert!(matches!(answer, Reserved::Clock { .. }), "{answer:?}");
    // Time that did go by is believed.
    rig.jump(-WINDOW - 1);
    rig.pass(WINDOW + 1);
    assert_eq!(*rig.hold(rig.call().on(1, 9)).await.counts, [1]);
}

/// A clock set back changes nothing: the store's time is the latest that it was given.
pub async fn time_never_goes_back(rig: Rig) {
    rig.pass(WINDOW);
    let latest = rig.now();
    rig.hold(rig.call().on(1, 9)).await;
    rig.jump(-WINDOW - 1);
    let held = rig.hold(rig.call().on(1, 9).leased(5)).await;
    assert_eq!((&*held.counts, held.now.as_millis()), (&[2][..], latest));
    assert_eq!(held.deadline, Timestamp::from_millis(latest + 5));
    rig.jump(WINDOW + 1);
    rig.pass(WINDOW);
    assert_eq!(rig.count(1).await, 2);
    rig.pass(1);
    assert_eq!(rig.count(1).await, 0);
    // The ends of time are only numbers.
    let mut call = rig.call().on(1, 9).done();
    call.at = Timestamp::from_millis(i64::MIN);
    call.lease = Span::from_millis(u64::MAX);
    rig.hold(call.clone()).await;
    rig.settle(&call, Outcome::Done).await;
}

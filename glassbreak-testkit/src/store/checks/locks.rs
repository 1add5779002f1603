//! The kill switch.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use glassbreak_core::lock::Target;
use glassbreak_core::store::{Ended, LockView, Outcome, Position, Reserved, Unlocked};

use super::super::rig::{LEASE, Rig, WINDOW, fail, over, path, word};

async fn view(rig: &Rig) -> LockView {
    match rig.store.locks().await {
        Ok(view) => view,
        Err(error) => fail(&format!("{error:?}")),
    }
}

/// A lock on anything along a call's path stops it from the moment it is set, through every handle, until it is
/// lifted; it stops no other call.
pub async fn a_lock_stops_the_calls_on_its_path(rig: Rig) {
    let targets = [
        Target::All,
        Target::Agent(word("ops")),
        Target::Agent(word("ops-7")),
        Target::Agent(word("planner")),
        Target::Session(word("s-1")),
        Target::Tool(word("restart")),
        Target::Person(word("alice")),
    ];
    let others = [
        Target::Agent(word("s-1")),
        Target::Session(word("s-2")),
        Target::Tool(word("ops")),
        Target::Person(word("bob")),
    ];
    for target in targets {
        let call = rig.call().on(1, 100).done();
        let position = rig.lock(target.clone()).await;
        for store in [&rig.store, &rig.other] {
            match store.reserve(call.clone()).await {
                Ok(Reserved::Locked { lock, .. }) => assert_eq!(*lock, rig.a_lock(target.clone(), "bob")),
                other => fail(&format!("{target}: {other:?}")),
            }
        }
        let lifted = rig.unlock(target.clone(), position).await;
        assert!(
            matches!(&lifted, Unlocked::Lifted { lock, .. } if lock.target == target),
            "{lifted:?}"
        );
        rig.hold(call).await;
    }
    for target in others {
        rig.lock(target).await;
        rig.hold(rig.call().on(1, 100)).await;
    }
    let elsewhere = rig.call().along(path("s-2", "restart"));
    let answer = rig.ask(elsewhere).await;
    assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
    rig.pass(WINDOW * 1_000);
    assert_eq!(view(&rig).await.locks.iter().count(), 4, "a lock has no end");
}

/// Under a lock every other answer is `Locked`, and nothing is counted.
pub async fn a_lock_wins_over_everything(rig: Rig) {
    let call = rig.call().on(1, 1).done();
    rig.hold(call.clone()).await;
    let position = rig.lock(Target::All).await;
    let full = rig.call().on(1, 1).done();
    let calls = [
        rig.again(&call),
        rig.again(&call).by_another(),
        rig.again(&call).of_another_call(),
        rig.again(&full),
        rig.call().on(2, 9),
    ];
    for call in calls {
        let answer = rig.ask(call).await;
        assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
    }
    rig.jump(3_600_000);
    let answer = rig.ask(rig.call()).await;
    assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
    rig.jump(-3_600_000);
    let lifted = rig.unlock(Target::All, position).await;
    assert!(matches!(lifted, Unlocked::Lifted { .. }), "{lifted:?}");
    over(rig.ask(full).await);
    assert_eq!((rig.count(1).await, rig.count(2).await), (1, 0));
}

/// How a call ended can be told under a lock.
pub async fn a_lock_does_not_stop_settling(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    rig.lock(Target::All).await;
    rig.pass(LEASE);
    assert!(rig.settle(&call, Outcome::NotRun).await.refunded);
}

/// Locking what is locked changes nothing: not the reason, not who and when, not the position.
pub async fn a_lock_that_stands_is_not_replaced(rig: Rig) {
    let target = Target::Session(word("s-1"));
    let first = rig.a_lock(target.clone(), "bob");
    let set = rig.lock(target.clone()).await;
    rig.pass(1_000);
    let again = rig.other.lock(rig.a_lock(target.clone(), "mallory")).await;
    let nothing = Ended {
        grants: Vec::new(),
        requests: Vec::new(),
        position: set,
    };
    assert_eq!(again.ok(), Some(nothing));
    let view = view(&rig).await;
    assert_eq!(view.position, set);
    assert_eq!(view.locks.get(&target).map(|lock| (**lock).clone()), Some(first));
}

/// Unlocking lifts the lock on exactly the target, and says so where there is none.
pub async fn unlocking_lifts_one_lock(rig: Rig) {
    let session = Target::Session(word("s-1"));
    rig.lock(Target::All).await;
    let seen = rig.lock(session.clone()).await;
    let none = rig.unlock(Target::Tool(word("restart")), seen).await;
    assert_eq!(none, Unlocked::NotLocked { position: seen });
    let lifted = rig.unlock(Target::All, seen).await;
    assert!(matches!(lifted, Unlocked::Lifted { position, .. } if position.epoch > seen.epoch));
    match rig.ask(rig.call()).await {
        Reserved::Locked { lock, .. } => assert_eq!(lock.target, session),
        other => fail(&format!("{other:?}")),
    }
    let lifted = rig.unlock(session.clone(), seen).await;
    assert!(matches!(lifted, Unlocked::Lifted { .. }), "{lifted:?}");
    let again = rig.unlock(session, seen).await;
    assert!(matches!(again, Unlocked::NotLocked { .. }), "{again:?}");
    rig.hold(rig.call()).await;
}

/// A lock that was set since somebody looked is not the one they meant to lift; nor is one of another generation.
pub async fn a_lock_set_since_is_not_lifted(rig: Rig) {
    let before = rig.lock(Target::Tool(word("other"))).await;
    rig.lock(Target::All).await;
    let newer = rig.unlock(Target::All, before).await;
    assert!(
        matches!(&newer, Unlocked::Newer { lock, .. } if lock.target == Target::All),
        "{newer:?}"
    );
    let seen = view(&rig).await.position;
    let elsewhere = Position {
        generation: [0xee; 16],
        ..seen
    };
    let newer = rig.unlock(Target::All, elsewhere).await;
    assert!(matches!(newer, Unlocked::Newer { .. }), "{newer:?}");
    let answer = rig.ask(rig.call()).await;
    assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
    let lifted = rig.unlock(Target::All, seen).await;
    assert!(matches!(lifted, Unlocked::Lifted { .. }), "{lifted:?}");
    // Lifted, and set again by somebody else.
    rig.lock(Target::All).await;
    let newer = rig.unlock(Target::All, seen).await;
    assert!(matches!(newer, Unlocked::Newer { .. }), "{newer:?}");
}

/// Whoever waits for a change of locks gets the new ones when there are any, at once where there already are, and may
/// stop waiting.
pub async fn changes_of_locks_wake_whoever_waits(rig: Rig) {
    let begin = view(&rig).await;
    assert!(begin.locks.is_empty());
    // Nobody needs to hear the end of it.
    {
        let mut waits = pin!(rig.other.changed(begin.position));
        poll_fn(|context| {
            let _ = waits.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    let (waiter, since) = (rig.clone(), begin.position);
    let waiting = tokio::spawn(async move { waiter.other.changed(since).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.hold(rig.call().on(1, 9)).await;
    let set = rig.lock(Target::All).await;
    let seen = within(waiting).await;
    assert!(seen.position.epoch >= set.epoch && seen.locks.get(&Target::All).is_some());

    // Already other than they were.
    for since in [
        begin.position,
        Position {
            generation: [0xee; 16],
            ..seen.position
        },
    ] {
        let (waiter, since) = (rig.clone(), since);
        let seen = within(tokio::spawn(async move { waiter.store.changed(since).await })).await;
        assert!(seen.locks.get(&Target::All).is_some());
    }

    // Lifting is a change as well.
    let waiter = rig.clone();
    let since = seen.position;
    let waiting = tokio::spawn(async move { waiter.store.changed(since).await });
    let lifted = rig.unlock(Target::All, since).await;
    assert!(matches!(lifted, Unlocked::Lifted { .. }), "{lifted:?}");
    let mut seen = within(waiting).await;
    while !seen.locks.is_empty() {
        let waiter = rig.clone();
        seen = within(tokio::spawn(async move { waiter.store.changed(seen.position).await })).await;
    }
}

async fn within<E: std::fmt::Debug>(waiting: tokio::task::JoinHandle<Result<LockView, E>>) -> LockView {
    match tokio::time::timeout(Duration::from_secs(10), waiting).await {
        Ok(Ok(Ok(view))) => view,
        other => fail(&format!("{other:?}")),
    }
}

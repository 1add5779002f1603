//! What outlives the process: each check works through handles that were opened later, as a new process would.

use glassbreak_core::lock::Target;
use glassbreak_core::store::{Claimed, Fate, Opened, Outcome, Reserved, Unasked};

use super::super::asking::OPEN;
use super::super::rig::{LEASE, Rig, WINDOW, over, word};
use super::ops::fate;

/// Counts stand, of known keys and unknown ones, until they leave their window; what was given back is not counted.
pub async fn after_a_restart_counts_stand(rig: Rig) {
    rig.hold(rig.call().on(1, 9)).await;
    rig.hold(rig.call().on_unknown(9)).await;
    let back = rig.call().on(1, 9).done();
    rig.hold(back.clone()).await;
    rig.settle(&back, Outcome::NotRun).await;
    let rig = rig.restarted().await;
    assert_eq!((rig.count(1).await, rig.count(2).await), (2, 1));
    over(rig.ask(rig.call().on(1, 2)).await);
    rig.pass(WINDOW);
    let rig = rig.restarted().await;
    assert_eq!(rig.count(1).await, 2);
    rig.pass(1);
    assert_eq!(rig.count(1).await, 0);
}

/// An op that was reserved is taken, its holder gets its answer again and settles it, and what it was settled as stays.
pub async fn after_a_restart_ops_are_taken(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    let first = rig.hold(call.clone()).await;
    let spent = rig.call().on(1, 9).leased(5).done();
    rig.hold(spent.clone()).await;
    rig.pass(6);
    let rig = rig.restarted().await;
    assert_eq!(fate(&rig, &call).await, Fate::Held);
    assert_eq!(fate(&rig, &spent).await, Fate::PresumedSpent);
    assert_eq!(rig.hold(rig.again(&call)).await, first);
    let answer = rig.ask(rig.again(&call).of_another_call()).await;
    assert!(matches!(answer, Reserved::Mismatch { .. }), "{answer:?}");
    rig.pass(LEASE - 6);
    let settled = rig.settle(&call, Outcome::NotRun).await;
    assert!(settled.refunded);
    let rig = rig.restarted().await;
    assert_eq!(fate(&rig, &call).await, Fate::Settled(Outcome::NotRun));
    assert_eq!(rig.settle(&call, Outcome::Done).await, settled);
    assert_eq!(rig.count(1).await, 1);
}

/// An op that asked goes on in another process, once.
pub async fn after_a_restart_an_op_that_asked_goes_on(rig: Rig) {
    let call = rig.call().on(1, 9).done();
    rig.hold(call.clone()).await;
    rig.settle(&call, Outcome::Asked).await;
    let rig = rig.restarted().await;
    let answer = rig.ask(rig.again(&call)).await;
    assert!(matches!(answer, Reserved::Taken { .. }), "{answer:?}");
    rig.hold(rig.again(&call).by_another()).await;
    let rig = rig.restarted().await;
    assert_eq!(fate(&rig, &call).await, Fate::Held);
    assert_eq!(rig.count(1).await, 1);
}

/// The store's time has not gone back.
pub async fn after_a_restart_time_has_not_gone_back(rig: Rig) {
    rig.pass(WINDOW);
    let latest = rig.now();
    rig.hold(rig.call().on(1, 9)).await;
    rig.jump(-WINDOW);
    let rig = rig.restarted().await;
    assert_eq!(rig.hold(rig.call()).await.now.as_millis(), latest);
}

/// Requests are as they were: open ones are joined and decided, settled ones stay settled.
pub async fn after_a_restart_requests_are_as_they_were(rig: Rig) {
    let open = rig.opened(rig.question().staged(&["leads", "managers"])).await;
    let open = rig.decided(rig.progress(&open, "bob")).await;
    let open = rig.decided(rig.escalation(&open)).await;
    let open = rig.decided(rig.confirmation(&open)).await;
    let settled = rig.opened(rig.question().asked_by("others").of_file("inode 7")).await;
    let settled = rig.decided(rig.denial(&settled, Some("bob"))).await;
    let rig = rig.restarted().await;
    assert_eq!(
        (rig.look(open.id).await, rig.look(settled.id).await),
        (open.clone(), settled)
    );
    assert_eq!(rig.pending().await, [open.id]);
    assert!(matches!(rig.put(rig.question()).await, Opened::Joined(request) if *request == open));
    rig.pass(OPEN - 1);
    let grant = rig.granted(rig.approval(&open)).await;
    let rig = rig.restarted().await;
    assert!(rig.look(open.id).await.state.is_final() && rig.pending().await.is_empty());
    assert_eq!(rig.store.grants().await.ok(), Some(vec![grant]));
}

/// A question still rests, and what was asked is still counted against the caps.
pub async fn after_a_restart_a_question_rests_and_caps_hold(rig: Rig) {
    let denied = rig.opened(rig.question()).await;
    rig.decided(rig.denial(&denied, Some("bob"))).await;
    rig.opened(rig.question().asked_by("others")).await;
    let rig = rig.restarted().await;
    let why = |opened: Opened| match opened {
        Opened::Refused { why, .. } => Some(why),
        _ => None,
    };
    let rests = why(rig.put(rig.question().resting(60_000)).await);
    assert!(
        matches!(rests, Some(Unasked::Resting { request, .. }) if request == denied.id),
        "{rests:?}"
    );
    assert_eq!(
        why(rig.put(rig.question().capped(1, 9)).await),
        Some(Unasked::Pending(1))
    );
    let hour = why(rig.put(rig.question().capped(9, 2)).await);
    assert!(matches!(hour, Some(Unasked::PerHour { asked: 2, .. })), "{hour:?}");
}

/// Grants stand with the uses that were spent, a claim that was made is answered again, and what was revoked stays so.
pub async fn after_a_restart_grants_stand_with_their_uses(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.window(&request, 2)).await;
    let call = rig.use_of(&request);
    let held = rig.in_flight(&call).await;
    let first = rig.claim(&held, &grant, &call).await;
    let rig = rig.restarted().await;
    assert_eq!(rig.claim(&held, &grant, &call).await, first);
    let second = rig.in_flight(&call).await;
    assert_eq!(rig.used(&second, &grant, &call).await.uses, 2);
    let other = rig.opened(rig.question()).await;
    let other = rig.granted(rig.window(&other, 2)).await;
    rig.revoke(glassbreak_core::store::Which::Grant(other.id)).await;
    let rig = rig.restarted().await;
    assert!(rig.standing().await.is_empty());
    for grant in [&grant, &other] {
        let held = rig.in_flight(&call).await;
        let claimed = rig.claim(&held, grant, &call).await;
        assert!(matches!(claimed, Claimed::Refused(_)), "{claimed:?}");
    }
}

/// Locks stand as they were set, with what they ended, until they are lifted.
pub async fn after_a_restart_locks_stand(rig: Rig) {
    let open = rig.opened(rig.question()).await;
    let target = Target::Session(word("s-1"));
    let lock = rig.a_lock(target.clone(), "bob");
    let set = rig.lock(target.clone()).await;
    let rig = rig.restarted().await;
    match rig.ask(rig.call()).await {
        Reserved::Locked { lock: stands, position } => assert_eq!((&*stands, position), (&lock, set)),
        other => super::super::rig::fail(&format!("{other:?}")),
    }
    rig.lift(target).await;
    let rig = rig.restarted().await;
    rig.hold(rig.call()).await;
    assert!(rig.look(open.id).await.state.is_final());
}

/// The generation stays and epochs go on.
pub async fn after_a_restart_positions_go_on(rig: Rig) {
    let before = rig.hold(rig.call()).await.position;
    let rig = rig.restarted().await;
    let stands = rig.store.locks().await.map(|view| view.position);
    assert_eq!(stands.ok(), Some(before));
    let after = rig.hold(rig.call()).await.position;
    assert!(after.generation == before.generation && after.epoch > before.epoch);
}

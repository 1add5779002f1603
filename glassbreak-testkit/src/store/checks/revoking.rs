//! Ending grants before their time: revocations and locks.

use glassbreak_core::approval::{Request, State};
use glassbreak_core::finding::{Layer, RuleId};
use glassbreak_core::grant::{Grant, Mismatch};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Claimed, Ended, Which};

use super::super::asking::{Question, span};
use super::super::rig::{Rig, fail, path, word};
use super::races::race;

/// What is revoked, by grant or by request, covers nothing from then on; others stand. A request that is open is
/// cancelled, and has no grant.
pub async fn what_is_revoked_does_not_stand(rig: Rig) {
    for by_request in [false, true] {
        let request = rig.opened(rig.question()).await;
        let grant = rig.granted(rig.window(&request, 9)).await;
        let other = rig.opened(rig.question()).await;
        let theirs = rig.granted(rig.window(&other, 9)).await;
        let call = rig.use_of(&request);
        let held = rig.in_flight(&call).await;
        let before = rig.look(request.id).await;
        let which = if by_request {
            Which::Request(request.id)
        } else {
            Which::Grant(grant.id)
        };
        let ended = rig.revoke(which).await;
        assert_eq!((&*ended.grants, ended.requests.len()), (&[grant.id][..], 0));
        let by = word("carol");
        let revoked = Claimed::Refused(Mismatch::Revoked { by });
        assert_eq!(rig.turned().claim(&held, &grant, &call).await, revoked);
        assert_eq!(rig.standing().await, [theirs.id]);
        assert_eq!(rig.look(request.id).await, before, "what was decided stays decided");
        rig.used(&held, &theirs, &call).await;
        rig.revoke(Which::Grant(theirs.id)).await;
    }
    let request = rig.opened(rig.question()).await;
    let ended = rig.revoke(Which::Request(request.id)).await;
    assert_eq!((ended.grants.len(), &*ended.requests), (0, &[request.id][..]));
    let cancelled = rig.look(request.id).await;
    assert!(matches!(cancelled.state, State::Cancelled { .. }), "{cancelled:?}");
    assert_eq!(cancelled.version, 1);
}

/// A revocation under a target ends the grants and the open requests that a lock on it would stop, and no others.
pub async fn a_revocation_ends_what_a_lock_on_its_target_would_stop(rig: Rig) {
    for (target, hit) in [
        (Target::All, [true, true]),
        (Target::Session(word("s-1")), [true, false]),
        (Target::Session(word("s-2")), [false, true]),
        (Target::Agent(word("planner")), [true, true]),
        (Target::Agent(word("ops-7")), [true, true]),
        (Target::Tool(word("restart")), [true, false]),
        (Target::Tool(word("stop")), [false, true]),
        (Target::Person(word("alice")), [true, true]),
        (Target::Person(word("bob")), [false, false]),
        (Target::Agent(word("restart")), [false, false]),
    ] {
        let mut grants = Vec::new();
        let mut requests = Vec::new();
        for (path, hit) in [path("s-1", "restart"), path("s-2", "stop")].into_iter().zip(hit) {
            let request = rig.opened(rig.question().along(path.clone())).await;
            let grant = rig.granted(rig.approval(&request)).await;
            let open = rig.opened(rig.question().along(path)).await;
            if hit {
                grants.push(grant.id);
                requests.push(open.id);
            }
        }
        let (before, pending) = (rig.standing().await, rig.pending().await);
        let mut ended = rig.revoke(Which::Under(target.clone())).await;
        ended.grants.sort_unstable();
        ended.requests.sort_unstable();
        grants.sort_unstable();
        requests.sort_unstable();
        assert_eq!((&ended.grants, &ended.requests), (&grants, &requests), "{target}");
        let left: Vec<_> = before.into_iter().filter(|id| !grants.contains(id)).collect();
        assert_eq!(rig.standing().await, left, "{target}");
        let left: Vec<_> = pending.into_iter().filter(|id| !requests.contains(id)).collect();
        assert_eq!(rig.pending().await, left, "{target}");
        rig.revoke(Which::Under(Target::All)).await;
    }
}

/// A revocation by rule ends the grants that lift it and cancels the open requests that it asks in, whatever the rule said
/// when it asked and whatever else asked too; and no others.
pub async fn a_revocation_by_rule_ends_what_it_lifts_and_asks(rig: Rig) {
    let both = || rig.question().asked_by("others");
    let elsewhere = || rig.question().asked_by("others").along(path("s-2", "stop"));
    let (lifted, grant) = granted(&rig, both()).await;
    let (_, theirs) = granted(&rig, elsewhere()).await;
    let (_, untouched) = granted(&rig, rig.question()).await;
    let mut changed = both().done();
    let hash = glassbreak_core::finding::RuleHash::from_bytes([8; 32]);
    changed.request.rules.iter_mut().for_each(|asked| asked.hash = hash);
    let asks = [rig.opened(changed).await.id, rig.opened(elsewhere()).await.id];
    let outside = rig.opened(rig.question()).await;
    let rule = |id: &str| match RuleId::new(Layer::Policy, id) {
        Ok(rule) => Which::Rule(rule),
        Err(error) => fail(&error.to_string()),
    };
    // No part of a name, and nothing that nobody knows.
    for other in ["other", "others.x", "unknown"] {
        let ended = rig.revoke(rule(other)).await;
        assert!(ended.grants.is_empty() && ended.requests.is_empty(), "{other}");
    }
    let mut ended = rig.turned().revoke(rule("others")).await;
    ended.grants.sort_unstable();
    ended.requests.sort_unstable();
    let (mut grants, mut requests) = (vec![grant.id, theirs.id], asks.to_vec());
    grants.sort_unstable();
    requests.sort_unstable();
    assert_eq!((ended.grants, ended.requests), (grants, requests));
    assert_eq!(rig.standing().await, [untouched.id]);
    assert_eq!(rig.pending().await, [outside.id]);
    let why = rig.unfit(&grant, &rig.use_of(&lifted)).await;
    assert!(matches!(why, Mismatch::Revoked { .. }), "{why:?}");
    for id in asks {
        assert!(matches!(rig.look(id).await.state, State::Cancelled { .. }));
    }
    let again = rig.revoke(rule("others")).await;
    assert!(again.grants.is_empty() && again.requests.is_empty());
}

async fn granted(rig: &Rig, question: Question) -> (Request, Grant) {
    let request = rig.opened(question).await;
    let grant = rig.granted(rig.approval(&request)).await;
    (request, grant)
}

/// A second time nothing is left to end, and nothing changes; nor is there anything to end of what nobody knows, of a
/// grant that has ended, or of a request that is settled.
pub async fn a_revocation_is_made_once(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.approval(&request)).await;
    let open = rig.opened(rig.question()).await;
    let under = || Which::Under(Target::Session(word("s-1")));
    let first = rig.revoke(under()).await;
    assert_eq!((first.grants.len(), first.requests.len()), (1, 1));
    let cancelled = rig.look(open.id).await;
    let nothing = Ended {
        grants: Vec::new(),
        requests: Vec::new(),
        position: first.position,
    };
    let unknown = rig.question().done().request.id;
    for which in [
        under(),
        Which::Grant(grant.id),
        Which::Request(request.id),
        Which::Request(unknown),
    ] {
        assert_eq!(rig.turned().revoke(which).await, nothing);
    }
    assert_eq!(rig.look(open.id).await, cancelled);
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.approval(&request)).await;
    rig.pass(Grant::MAX_WINDOW.as_millis().try_into().unwrap_or(i64::MAX));
    rig.hold(rig.call()).await;
    assert!(rig.revoke(Which::Grant(grant.id)).await.grants.is_empty());
}

/// A clock that nobody believes does not keep a grant alive.
pub async fn a_revocation_needs_no_good_clock(rig: Rig) {
    for jump in [-3_600_000, 3_600_000] {
        let request = rig.opened(rig.question()).await;
        let grant = rig.granted(rig.approval(&request)).await;
        rig.jump(jump);
        assert_eq!(rig.revoke(Which::Grant(grant.id)).await.grants, [grant.id]);
        rig.jump(-jump);
        let why = rig.unfit(&grant, &rig.use_of(&request)).await;
        assert!(matches!(why, Mismatch::Revoked { .. }), "{why:?}");
    }
}

/// A grant that has yet to begin is ended like one that stands: it never begins.
pub async fn a_grant_that_has_not_begun_is_revoked_too(rig: Rig) {
    for lock in [false, true] {
        let request = rig.opened(rig.question()).await;
        let mut approval = rig.approval(&request);
        let begins = rig.at().after(span(1_000));
        approval.grant.iter_mut().for_each(|grant| grant.not_before = begins);
        let grant = rig.granted(approval).await;
        if lock {
            rig.lock(Target::All).await;
            rig.lift(Target::All).await;
        } else {
            assert_eq!(rig.revoke(Which::Request(request.id)).await.grants, [grant.id]);
        }
        rig.pass(1_000);
        let why = rig.unfit(&grant, &rig.use_of(&request)).await;
        assert!(matches!(why, Mismatch::Revoked { .. }), "{why:?}");
    }
}

/// A lock revokes the grants and cancels the requests under it, in the same step; lifting it brings none of them back.
/// Those elsewhere are left alone.
pub async fn a_lock_ends_grants_and_requests_for_good(rig: Rig) {
    let here = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.window(&here, 9)).await;
    let elsewhere = || rig.question().along(path("s-2", "restart"));
    let there = rig.opened(elsewhere()).await;
    let theirs = rig.granted(rig.window(&there, 9)).await;
    let open = rig.opened(rig.question()).await;
    let late = rig.opened(rig.question().asked_by("others").lasting(0)).await;
    let outside = rig.opened(elsewhere()).await;
    let call = rig.use_of(&here);
    let held = rig.in_flight(&call).await;
    let target = Target::Session(word("s-1"));
    let mut ended = rig.locked(target.clone()).await;
    ended.requests.sort();
    // Ids of one millisecond are in no order.
    let mut expected = vec![open.id, late.id];
    expected.sort();
    assert_eq!((ended.grants, ended.requests), (vec![grant.id], expected));
    assert_eq!(rig.standing().await, [theirs.id]);
    assert_eq!(rig.pending().await, [outside.id]);
    for id in [open.id, late.id] {
        let now = rig.turned().look(id).await;
        assert!(
            matches!(now.state, State::Cancelled { .. }) && now.version == 1,
            "{now:?}"
        );
    }
    rig.lift(target).await;
    let claimed = rig.claim(&held, &grant, &call).await;
    assert!(
        matches!(claimed, Claimed::Refused(Mismatch::Revoked { .. })),
        "{claimed:?}"
    );
    assert_eq!(rig.standing().await, [theirs.id]);
    assert_eq!(rig.pending().await, [outside.id]);
    let call = rig.use_of(&there);
    let held = rig.in_flight(&call).await;
    rig.used(&held, &theirs, &call).await;
    rig.decided(rig.approval(&outside)).await;
}

/// However a lock and claims race: no grant is used at an epoch above the lock's, and none after it returned.
pub async fn nothing_is_used_above_the_epoch_of_a_lock(rig: Rig) {
    for _ in 0..10 {
        let request = rig.opened(rig.question()).await;
        let grant = rig.granted(rig.window(&request, 50)).await;
        let call = rig.use_of(&request);
        let mut held = Vec::new();
        for _ in 0..32 {
            held.push(rig.in_flight(&call).await);
        }
        let epochs = race(&rig, 33, |rig, n| {
            let held = usize::try_from(n).ok().and_then(|n| held.get(n)).cloned();
            let (grant, call) = (grant.clone(), call.clone());
            async move {
                let Some(held) = held else {
                    return (rig.lock(Target::All).await.epoch, 0);
                };
                match rig.claim(&held, &grant, &call).await {
                    Claimed::Used { position, .. } => (0, position.epoch),
                    Claimed::Locked(_) => (0, 0),
                    other => fail(&format!("{other:?}")),
                }
            }
        });
        let epochs = epochs.await;
        let lock = epochs.iter().map(|(lock, _)| *lock).max().unwrap_or(0);
        assert!(epochs.iter().all(|(_, used)| *used < lock), "{epochs:?}");
        rig.lift(Target::All).await;
        assert!(rig.standing().await.is_empty());
    }
}

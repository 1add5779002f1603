//! Deciding requests: what is refused, and that one decision wins.

use std::time::Duration;

use glassbreak_core::approval::{Answer, Request, RequestId, State};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Decide, Decided};

use super::super::asking::OPEN;
use super::super::rig::{Rig, fail, path};
use super::races::race;

/// A decision that is done is seen through every handle, at the version after, with its grant.
pub async fn a_decision_is_seen_by_every_handle(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let before = rig.hold(rig.call()).await.position;
    let progress = rig.progress(&first, "bob");
    let Decided::Done { position } = rig.decide(progress.clone()).await else {
        fail("not done");
    };
    assert!(position.generation == before.generation && position.epoch > before.epoch);
    let voted = rig.turned().look(first.id).await;
    assert_eq!(voted, progress.next);
    assert_eq!((voted.version, voted.votes.len()), (1, 1));
    let approval = rig.approval(&voted);
    let grant = rig.turned().granted(approval.clone()).await;
    assert_eq!(rig.look(first.id).await, approval.next);
    assert_eq!(rig.store.grants().await.ok(), Some(vec![grant]));
}

/// A decision on a request that has changed since is told how it stands, and changes nothing.
pub async fn a_decision_on_what_has_changed_is_a_conflict(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let voted = rig.decided(rig.progress(&first, "bob")).await;
    for late in [
        rig.approval(&first),
        rig.denial(&first, Some("eve")),
        rig.cancellation(&first),
    ] {
        assert_eq!(
            rig.turned().decide(late).await,
            Decided::Conflict(Box::new(voted.clone()))
        );
    }
    let mut ahead = rig.cancellation(&voted);
    ahead.expected = 7;
    assert_eq!(rig.decide(ahead).await, Decided::Conflict(Box::new(voted.clone())));
    assert_eq!(rig.look(first.id).await, voted);
    assert!(rig.standing().await.is_empty());
}

async fn is_untimely(rig: &Rig, decide: Decide) {
    let id = decide.next.id;
    let before = rig.look(id).await;
    match rig.decide(decide).await {
        Decided::Untimely { now } => assert_eq!(now.as_millis(), rig.now()),
        other => fail(&format!("{other:?}")),
    }
    assert_eq!(rig.look(id).await, before);
    assert!(rig.standing().await.is_empty());
}

/// At the deadline and after it nobody approves, denies or votes, by the store's time and not by the caller's.
pub async fn an_approval_at_the_deadline_is_untimely(rig: Rig) {
    let request = rig.opened(rig.question().staged(&["leads"])).await;
    let mut early = rig.approval(&request);
    rig.pass(OPEN);
    for _ in 0..2 {
        is_untimely(&rig, rig.approval(&request)).await;
        is_untimely(&rig, rig.window(&request, 3)).await;
        is_untimely(&rig, rig.progress(&request, "bob")).await;
        is_untimely(&rig, rig.denial(&request, Some("bob"))).await;
        is_untimely(&rig, rig.escalation(&request)).await;
        is_untimely(&rig, rig.confirmation(&request)).await;
        // A clock that is behind does not help.
        early.at = Timestamp::from_millis(rig.now() - OPEN);
        is_untimely(&rig, early.clone()).await;
        rig.pass(OPEN);
    }
    rig.decided(rig.expiry(&request)).await;
    // One millisecond earlier it is in time.
    let request = rig.opened(rig.question()).await;
    rig.pass(OPEN - 1);
    rig.decided(rig.approval(&request)).await;
}

/// Before the deadline nothing expires.
pub async fn an_expiry_before_the_deadline_is_untimely(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    is_untimely(&rig, rig.expiry(&request)).await;
    rig.pass(OPEN - 1);
    is_untimely(&rig, rig.expiry(&request)).await;
    rig.pass(1);
    assert_eq!(rig.decided(rig.expiry(&request)).await.state, State::Expired);
}

/// A request that is open is cancelled before its deadline and after it.
pub async fn a_request_may_be_cancelled_at_any_time(rig: Rig) {
    for wait in [0, OPEN, 2 * OPEN] {
        let request = rig.opened(rig.question()).await;
        rig.pass(wait);
        rig.decided(rig.cancellation(&request)).await;
    }
}

/// A time that is not believed decides nothing.
pub async fn a_decision_at_a_time_not_believed_changes_nothing(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let latest = Timestamp::from_millis(rig.now() + 5_000);
    rig.jump(OPEN);
    for decide in [
        rig.approval(&request),
        rig.expiry(&request),
        rig.denial(&request, Some("bob")),
    ] {
        assert_eq!(rig.decide(decide).await, Decided::Clock { latest });
    }
    assert_eq!(rig.look(request.id).await, request);
    rig.jump(-OPEN);
    rig.decided(rig.approval(&request)).await;
}

/// There is nothing to decide where there is no request.
pub async fn a_decision_on_nothing_is_unknown(rig: Rig) {
    let request = rig.question().done().request;
    for decide in [rig.approval(&request), rig.cancellation(&request)] {
        assert_eq!(rig.decide(decide).await, Decided::Unknown);
    }
    assert!(rig.standing().await.is_empty() && rig.pending().await.is_empty());
}

/// Under a lock nothing is approved: what was open is cancelled with it.
pub async fn an_approval_under_a_lock_is_refused(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    rig.lock(Target::Session(path("s-1", "restart").session().clone()))
        .await;
    let answer = rig.turned().decide(rig.approval(&request)).await;
    assert!(
        matches!(answer, Decided::Locked(_) | Decided::Conflict(_)),
        "{answer:?}"
    );
    let now = rig.look(request.id).await;
    assert!(matches!(now.state, State::Cancelled { .. }), "{now:?}");
    let again = rig
        .decide(rig.approval(&Request {
            state: State::Pending,
            ..now.clone()
        }))
        .await;
    assert!(matches!(again, Decided::Locked(_) | Decided::Conflict(_)), "{again:?}");
    assert_eq!(rig.look(request.id).await, now);
    assert!(rig.standing().await.is_empty());
}

/// A request that is settled never changes again, whatever is asked of it and however it was settled.
pub async fn what_is_settled_never_changes(rig: Rig) {
    let ends: [&dyn Fn(&Request) -> Decide; 5] = [
        &|request| rig.approval(request),
        &|request| rig.denial(request, Some("bob")),
        &|request| rig.denial(request, None),
        &|request| rig.cancellation(request),
        &|request| {
            rig.pass(OPEN);
            rig.expiry(request)
        },
    ];
    for end in ends {
        let request = rig.opened(rig.question().staged(&["leads"])).await;
        let settled = rig.decided(end(&request)).await;
        let standing = rig.standing().await;
        let open = Request {
            state: State::Pending,
            ..settled.clone()
        };
        for base in [&request, &open] {
            for decide in [
                rig.approval(base),
                rig.window(base, 9),
                rig.progress(base, "eve"),
                rig.denial(base, Some("eve")),
                rig.expiry(base),
                rig.cancellation(base),
                rig.escalation(base),
                rig.confirmation(base),
            ] {
                assert_eq!(rig.decide(decide).await, Decided::Conflict(Box::new(settled.clone())));
            }
        }
        rig.pass(2 * OPEN);
        assert_eq!(
            rig.decide(rig.expiry(&open)).await,
            Decided::Conflict(Box::new(settled.clone()))
        );
        assert_eq!(rig.turned().look(request.id).await, settled);
        assert!(rig.standing().await.iter().all(|id| standing.contains(id)));
    }
}

/// There is one grant of a request: not a second by a second approval, not by the message again, and not after the first
/// was revoked.
pub async fn there_is_never_a_second_grant_of_one_request(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let approval = rig.approval(&request);
    let grant = rig.granted(approval.clone()).await;
    let settled = rig.look(request.id).await;
    let open = Request {
        state: State::Pending,
        ..settled.clone()
    };
    for again in [
        approval,
        rig.approval(&request),
        rig.approval(&open),
        rig.window(&open, 9),
    ] {
        assert!(matches!(rig.decide(again).await, Decided::Conflict(_)));
    }
    assert_eq!(rig.standing().await, [grant.id]);
    rig.revoke(glassbreak_core::store::Which::Grant(grant.id)).await;
    assert!(matches!(rig.decide(rig.approval(&open)).await, Decided::Conflict(_)));
    assert!(rig.standing().await.is_empty());
}

/// Of 200 votes, denials, expiries and cancellations that race over both handles, one ends the request; versions follow
/// each other without a gap, and everybody sees the same end.
pub async fn of_many_decisions_that_race_one_wins(rig: Rig) {
    for round in 0..5_i64 {
        let rule = format!("r{round}");
        // The deadline comes while they race: some callers' clocks are past it.
        let request = rig.opened(rig.question().asked_by(&rule).lasting(1_000)).await;
        let begin = rig.now();
        let results = race(&rig, 200, |rig, n| {
            let request = request.clone();
            async move {
                let mut done = Vec::new();
                let mut now = request;
                while !now.state.is_final() {
                    let mut decide = match n % 5 {
                        0 => rig.approval(&now),
                        1 => rig.denial(&now, Some("bob")),
                        2 => rig.cancellation(&now),
                        3 => rig.expiry(&now),
                        _ => rig.progress(&now, "eve"),
                    };
                    // Round by round another end is likely.
                    let late = n % 5 == 3 && i64::try_from(n / 5 % 5).is_ok_and(|n| n <= round);
                    decide.at = Timestamp::from_millis(begin + if late { 1_000 } else { 0 });
                    let next = decide.next.clone();
                    match rig.decide(decide).await {
                        Decided::Done { position } => {
                            done.push((position.epoch, next.version, next.state.clone()));
                            now = next;
                        }
                        Decided::Conflict(current) => now = *current,
                        Decided::Untimely { .. } => break,
                        other => fail(&format!("{other:?}")),
                    }
                    if done.len() > 3 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                (done, rig.look(now.id).await)
            }
        });
        let (done, mut seen): (Vec<_>, Vec<_>) = results.await.into_iter().unzip();
        let mut done: Vec<_> = done.into_iter().flatten().collect();
        done.sort_by_key(|(epoch, ..)| *epoch);
        let last = rig.look(request.id).await;
        assert!(last.state.is_final());
        let versions: Vec<u32> = done.iter().map(|(_, version, _)| *version).collect();
        assert_eq!(versions, (1..=last.version).collect::<Vec<_>>());
        let ends: Vec<_> = done.iter().filter(|(.., state)| state.is_final()).collect();
        assert!(
            matches!(&*ends, [(_, version, state)] if *version == last.version && *state == last.state),
            "{ends:?}"
        );
        seen.retain(|request| request.state.is_final());
        assert!(seen.iter().all(|request| *request == last));
        let grants = rig.store.grants().await.unwrap_or_default();
        let of_this: Vec<_> = grants
            .iter()
            .filter(|grant| grant.request == request.id)
            .map(|grant| grant.id)
            .collect();
        match &last.state {
            State::Approved { grant } => assert_eq!(of_this, [*grant]),
            _ => assert!(of_this.is_empty()),
        }
        let yes = |vote: &&glassbreak_core::approval::Vote| vote.answer == Answer::Once;
        assert!(last.votes.iter().filter(yes).count() <= done.len());
        rig.pass(1_000);
    }
}

/// Whoever waits for a request gets it when it has moved, at once where it already has, and nothing where there is none.
pub async fn whoever_waits_for_a_request_is_woken(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let waits = |through: &Rig, id: RequestId, version: u32| {
        let store = std::sync::Arc::clone(&through.store);
        tokio::spawn(async move { store.moved(id, version).await })
    };
    assert_eq!(within(waits(&rig, RequestId::mint(rig.at()), 0)).await, None);
    assert_eq!(within(waits(&rig, request.id, 9)).await, Some(request.clone()));
    // Nobody needs to hear the end of it.
    waits(&rig, request.id, 0).abort();
    let steps: [&dyn Fn(&Request) -> Decide; 2] = [&|now| rig.progress(now, "bob"), &|now| rig.approval(now)];
    let mut now = request;
    for step in steps {
        let waiting = [&rig, &rig.turned()].map(|rig| waits(rig, now.id, now.version));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let next = rig.decided(step(&now)).await;
        for waiting in waiting {
            // It may return early, with what it waited for not there yet.
            let mut seen = within(waiting).await;
            while seen == Some(now.clone()) {
                seen = within(waits(&rig, now.id, now.version)).await;
            }
            assert_eq!(seen, Some(next.clone()));
        }
        now = next;
    }
    // A lock and a revocation move what they cancel.
    for lock in [true, false] {
        let request = rig.opened(rig.question()).await;
        let waiting = waits(&rig.turned(), request.id, 0);
        if lock {
            rig.lock(Target::All).await;
            rig.lift(Target::All).await;
        } else {
            rig.revoke(glassbreak_core::store::Which::Request(request.id)).await;
        }
        let seen = within(waiting).await;
        assert!(matches!(seen.map(|seen| seen.state), Some(State::Cancelled { .. })));
    }
}

async fn within<E: std::fmt::Debug>(waiting: tokio::task::JoinHandle<Result<Option<Request>, E>>) -> Option<Request> {
    match tokio::time::timeout(Duration::from_secs(10), waiting).await {
        Ok(Ok(Ok(request))) => request,
        other => fail(&format!("{other:?}")),
    }
}

//! Stages: that each is reached once, and stays so.

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::store::{Decided, Opened};

use super::super::rig::{Rig, fail};
use super::races::race;

/// A stage that is reached is reached through every handle, with what was said before, and votes go on from there; the same
/// question joins it as it stands.
pub async fn a_stage_is_reached_and_stays_reached(rig: Rig) {
    let first = rig.opened(rig.question().staged(&["leads", "managers"])).await;
    assert_eq!(first.stage(), 1);
    let voted = rig.decided(rig.progress(&first, "bob")).await;
    rig.pass(1_000);
    let second = rig.decided(rig.escalation(&voted)).await;
    assert_eq!((second.stage(), second.version, second.votes.len()), (2, 2, 1));
    assert_eq!(rig.turned().look(first.id).await, second);
    let joined = rig.put(rig.question().staged(&["others"])).await;
    assert!(matches!(joined, Opened::Joined(request) if *request == second));
    // Before its time as well: why it is reached is not the store's to say.
    let third = rig.turned().decided(rig.escalation(&second)).await;
    let said = rig.decided(rig.progress(&third, "carol")).await;
    assert_eq!((said.stage(), said.votes.len()), (3, 2));
    let grant = rig.granted(rig.approval(&said)).await;
    assert_eq!(rig.standing().await, [grant.id]);
    assert_eq!(rig.look(first.id).await.stages, third.stages);
}

/// That people see a request is kept with it, and neither decides nor delays anything.
pub async fn what_notifiers_confirm_is_kept(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let seen = rig.decided(rig.confirmation(&first)).await;
    assert!(seen.shown && seen.state == State::Pending && !first.shown);
    assert_eq!(rig.turned().look(first.id).await, seen);
    let twice = rig.confirmation(&first);
    assert!(matches!(rig.decide(twice).await, Decided::Conflict(_)));
    let voted = rig.decided(rig.progress(&seen, "bob")).await;
    assert!(rig.look(first.id).await.shown);
    rig.granted(rig.approval(&voted)).await;
}

/// Whoever reaches a stage of a request that was approved meanwhile is told so, and nothing changes.
pub async fn a_stage_that_is_reached_after_an_approval_is_a_conflict(rig: Rig) {
    let first = rig.opened(rig.question().staged(&["leads"])).await;
    let late = rig.escalation(&first);
    let approval = rig.approval(&first);
    let approved = approval.next.clone();
    let grant = rig.granted(approval).await;
    assert_eq!(
        rig.turned().decide(late).await,
        Decided::Conflict(Box::new(approved.clone()))
    );
    assert_eq!(rig.look(first.id).await, approved);
    assert_eq!(rig.standing().await, [grant.id]);
}

/// Of any number of callers that reach the same stage at once, over both handles, one does; and a vote that races with them
/// is not lost.
pub async fn of_many_that_reach_a_stage_at_once_one_does(rig: Rig) {
    for round in 0..5 {
        let question = rig.question().asked_by(&format!("r{round}"));
        let first = rig.opened(question.staged(&["leads", "managers"])).await;
        let done = race(&rig, 33, |rig, n| {
            let first = first.clone();
            async move {
                let mut now = first;
                loop {
                    // One votes; the others want stage 2, and no more than that.
                    let decide = match n {
                        0 => rig.progress(&now, "bob"),
                        _ if now.stage() > 1 => return false,
                        _ => rig.escalation(&now),
                    };
                    match rig.decide(decide).await {
                        Decided::Done { .. } => return n > 0,
                        Decided::Conflict(current) => now = *current,
                        other => fail(&format!("{other:?}")),
                    }
                }
            }
        });
        assert_eq!(done.await.into_iter().filter(|done| *done).count(), 1);
        let last = rig.look(first.id).await;
        assert_eq!((last.stage(), last.version), (2, 2));
        assert!(matches!(&*last.votes, [vote] if vote.answer == Answer::Once));
    }
}

/// Whoever waits for a request hears that a stage was reached.
pub async fn whoever_waits_hears_of_a_stage(rig: Rig) {
    let first = rig.opened(rig.question().staged(&["leads"])).await;
    let store = std::sync::Arc::clone(&rig.other);
    let id = first.id;
    let waiting = tokio::spawn(async move {
        loop {
            match store.moved(id, 0).await {
                // It may return early.
                Ok(Some(request)) if request.version == 0 => {}
                other => return other.ok().flatten(),
            }
        }
    });
    let second = rig.decided(rig.escalation(&first)).await;
    let seen = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
    match seen {
        Ok(Ok(seen)) => assert_eq!(seen, Some(second)),
        other => fail(&format!("{other:?}")),
    }
}

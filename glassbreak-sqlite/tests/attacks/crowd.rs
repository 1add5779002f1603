//! Very many at one moment: one end, and the same answer to all who come later.

use std::collections::BTreeSet;
use std::sync::Arc;

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::gate::Verdict;
use glassbreak_core::store::Which;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::world::{Cards, World, asked, deploy, files, opened, rules, text, vote, window, word};

const CROWD: usize = 200;

pub(crate) async fn two_hundred_end_one_request_at_once_and_all_see_the_same_end(world: World) {
    let cards = Cards::default();
    let shows = cards.clone();
    let gate = world.gate_of(&files(), |builder| builder.notifier(shows)).await;
    let mut desks = vec![gate.desk().clone()];
    for _ in 0..3 {
        desks.push(world.desk().await);
    }
    let store = world.store().await;
    let mut ends = BTreeSet::new();
    // Who are in the crowd: approvers, deniers, whoever says that time is up, and whoever takes it back.
    for (round, mix) in [[9, 1, 1, 1], [1, 9, 1, 1], [1, 1, 1, 9], [1, 0, 9, 0]]
        .into_iter()
        .enumerate()
    {
        let session = world.session(&gate, &format!("s-{round}"));
        let waiting = asked(&session, "web", "test").await;
        let request = waiting.request().clone();
        cards.comes_to(&request, "pending").await;
        let of_all: usize = mix.iter().sum();
        let start = Arc::new(Barrier::new(CROWD));
        let mut crowd = JoinSet::new();
        for n in 0..CROWD {
            let (desk, request, start) = (desks[n % desks.len()].clone(), request.clone(), Arc::clone(&start));
            let mut place = n % of_all;
            let kind = mix.iter().position(|many| {
                let found = place < *many;
                place = place.saturating_sub(*many);
                found
            });
            crowd.spawn(async move {
                start.wait().await;
                end(&desk, &request, kind.unwrap(), n).await
            });
        }
        let done: Vec<bool> = crowd.join_all().await;
        let now = gate.desk().request(request.id).await.unwrap().unwrap();
        assert!(now.state.is_final(), "{now:?}");
        // Who was told that they did it, did it; a withdrawal says only how it stands.
        let told = done.iter().filter(|done| **done).count();
        let by_vote = matches!(now.state, State::Approved { .. } | State::Denied { .. });
        assert_eq!(told, usize::from(by_vote), "{:?}", now.state);
        // One that was approved has its grant, also where somebody has taken it back since.
        if let State::Approved { grant } = now.state {
            let grant = store.grant(grant).await.unwrap().unwrap();
            assert_eq!((grant.request, grant.uses), (request.id, 0));
        }
        let grants = gate.desk().grants().await.unwrap();
        let others = grants.iter().filter(|grant| grant.request == request.id);
        let of_end = |grant: &&glassbreak_core::grant::Grant| now.state == State::Approved { grant: grant.id };
        assert_eq!(
            others.filter(|grant| !of_end(grant)).count(),
            0,
            "a grant of another end"
        );
        // All who come later get one answer, by every way in.
        for desk in &desks {
            assert_eq!(desk.request(request.id).await.unwrap().as_ref(), Some(&now));
            assert_eq!(desk.moved(request.id, 0).await.unwrap().as_ref(), Some(&now));
            assert_eq!(desk.expire(request.id).await.unwrap().as_ref(), Some(&now));
            assert_eq!(desk.cancel(request.id, "late").await.unwrap().as_ref(), Some(&now));
            let late = vote(desk, "webhook:first", &request, Answer::Once).await;
            assert!(
                matches!(&late, Err(VoteError::Refused(why)) if why.to_string() == format!("the request is {} already", now.state)),
                "{late:?}"
            );
        }
        cards.comes_to(&request, now.state.as_str()).await;
        let settled = world.recorded("request.settled");
        let of_it: Vec<_> = settled
            .iter()
            .filter(|record| record["request"] == request.id.to_string())
            .collect();
        assert_eq!(of_it.len(), 1, "{of_it:?}");
        assert_eq!(of_it[0]["state"], now.state.as_str());
        // Who waited hears of that end.
        let stands = match now.state {
            State::Approved { grant } => store.grant(grant).await.unwrap().unwrap().revoked.is_none(),
            _ => false,
        };
        // Where the grant was taken back it would ask once more.
        if stands || !matches!(now.state, State::Approved { .. }) {
            let waited = waiting.wait().await;
            assert_eq!(waited.is_ok(), stands, "{waited:?}");
        }
        ends.insert(now.state.as_str());
    }
    println!("ended as {ends:?}");
    assert!(ends.len() > 1, "every round ended alike: {ends:?}");
}

/// Whether this one was told that it brought about the end.
async fn end(desk: &Desk, request: &glassbreak_core::approval::Request, kind: usize, n: usize) -> bool {
    let who = ["sso:bob", "sso:carol", "webhook:first", "pager:bob"][n % 4];
    match kind {
        0 | 1 => {
            let answer = match kind {
                0 if n.is_multiple_of(3) => window(60_000, 3),
                0 => Answer::Once,
                _ => Answer::Deny,
            };
            match vote(desk, who, request, answer).await {
                Ok(now) => now.state.is_final(),
                Err(VoteError::Refused(_) | VoteError::Busy) => false,
                Err(error) => panic!("{error}"),
            }
        }
        2 => {
            let now = desk.expire(request.id).await.unwrap().unwrap();
            assert_ne!(now.state, State::Expired, "before its deadline");
            false
        }
        _ if n.is_multiple_of(2) => {
            desk.cancel(request.id, "nobody needs it").await.unwrap();
            false
        }
        _ => {
            let which = Which::Request(request.id);
            desk.revoke(which, text("no"), word("bob")).await.unwrap();
            false
        }
    }
}

pub(crate) async fn two_hundred_calls_at_once_use_a_window_up_exactly(world: World) {
    let (one, two) = (world.gate().await, world.gate().await);
    let session = world.session(&one, "s");
    let grant = opened(&session, "test", window(60_000, 17)).await;
    let start = Arc::new(Barrier::new(CROWD));
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let session = world.session(if n % 2 == 0 { &one } else { &two }, "s");
        let start = Arc::clone(&start);
        crowd.spawn(async move {
            start.wait().await;
            deploy(&session, &format!("web-{n}"), "test").check().await
        });
    }
    let verdicts = crowd.join_all().await;
    let passed = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Allow(_)))
        .count();
    // A machine that is so busy that a gate hears nothing of locks for a second refuses what it cannot know.
    let deaf = |verdict: &&Verdict| matches!(verdict, Verdict::Deny(denial) if rules(denial) == ["lock.unknown"]);
    let denials = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Deny(_)));
    let deaf = denials.clone().filter(deaf).count();
    assert_eq!(denials.count(), deaf, "{verdicts:?}");
    assert!(
        passed == 17 || (passed < 17 && deaf > 0),
        "{passed} of 17, {deaf} refused"
    );
    let kept = world.store().await.grant(grant.id).await.unwrap().unwrap();
    let permitted = world.recorded("call.permitted");
    assert_eq!((permitted.len(), kept.uses), (passed, u32::try_from(passed).unwrap()));
    assert!(permitted.iter().all(|record| record["grant"] == grant.id.to_string()));
}

//! A1 to A8: the same answer again, two at once, restarts, and clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glassbreak_core::approval::{Answer, RequestId, State};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::desk::VoteError;
use glassbreak_core::store::{Caps, Open, Opened, StoreError, StoreErrorKind};
use glassbreak_testkit::store::When;
use tokio::task::JoinSet;

use crate::world::{
    Cards, World, agrees, asked, ballot, denied, deploy, files, poke, refused, rules, use_up, vote, window,
};

pub(crate) async fn a01_an_answer_that_is_replayed_changes_nothing_and_is_recorded(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "test").await;
    let ballot = ballot("sso:bob", waiting.request(), Answer::Once);
    let first = gate.desk().vote(waiting.request().id, &ballot).await.unwrap();
    let grants = gate.desk().grants().await.unwrap();
    for desk in [gate.desk().clone(), world.desk().await] {
        let again = desk.vote(waiting.request().id, &ballot).await;
        assert!(
            matches!(&again, Err(VoteError::Refused(why)) if why.code() == "settled"),
            "{again:?}"
        );
        assert!(again.unwrap_err().to_string().contains("approved already"));
    }
    // To another question, which the same words would answer.
    let other = asked(&session, "web", "stage").await;
    let replayed = gate.desk().vote(other.request().id, &ballot).await;
    assert!(
        matches!(&replayed, Err(VoteError::Refused(why)) if why.code() == "other-card"),
        "{replayed:?}"
    );
    let now = gate.desk().request(first.id).await.unwrap();
    assert_eq!((now, gate.desk().grants().await.unwrap()), (Some(first), grants));
    assert_eq!(world.recorded("vote.cast").len(), 1);
    assert_eq!(world.recorded("vote.refused").len(), 3);
}

pub(crate) async fn a02_of_two_approvers_at_once_one_wins_and_the_other_sees_it(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let (one, two) = (world.desk().await, world.desk().await);
    for round in 0..8 {
        let waiting = asked(&session, &format!("web-{round}"), "test").await;
        let request = waiting.request();
        let answers = tokio::join!(
            vote(&one, "sso:bob", request, Answer::Once),
            vote(&two, "sso:carol", request, Answer::Once),
        );
        let (won, lost) = match answers {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(&lost, VoteError::Refused(why) if why.code() == "settled"),
            "{lost:?}"
        );
        assert_eq!(won.votes.len(), 1);
        let State::Approved { grant } = won.state else {
            panic!("{won:?}")
        };
        let grants = gate.desk().grants().await.unwrap();
        let of_it: Vec<_> = grants.iter().filter(|one| one.request == won.id).collect();
        assert_eq!(of_it.len(), 1);
        assert_eq!(of_it[0].id, grant);
        use_up(waiting.wait().await.unwrap()).await.unwrap();
    }
}

pub(crate) async fn a03_an_answer_that_is_delivered_many_times_counts_once(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request().clone();
    let mut deliveries = JoinSet::new();
    for n in 0..24 {
        let desk = if n % 2 == 0 {
            gate.desk().clone()
        } else {
            world.desk().await
        };
        let request = request.clone();
        deliveries.spawn(async move { vote(&desk, "sso:bob", &request, Answer::Once).await });
    }
    let answers = deliveries.join_all().await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 1, "{answers:?}");
    let again = |answer: &Result<_, VoteError>| matches!(answer, Err(VoteError::Refused(why)) if why.code() == "again");
    assert_eq!(answers.iter().filter(|answer| again(answer)).count(), 23, "{answers:?}");
    let now = gate.desk().request(request.id).await.unwrap().unwrap();
    // Of the two that must agree it is one.
    assert_eq!((now.state, now.votes.len()), (State::Pending, 1));
}

pub(crate) async fn a04_an_answer_is_acknowledged_only_where_it_took_effect(world: World) {
    let fails = |operation: &'static str| Err(StoreError::new(StoreErrorKind::Unavailable, operation, "gone"));
    // Never asked; and asked, and its reply lost.
    for lost in [When::Before, When::After] {
        let broken = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&broken);
        let hook = move |operation: &'static str, when| match operation {
            "decide" if when == lost && breaks.load(Ordering::SeqCst) => fails(operation),
            _ => Ok(()),
        };
        let gate = world.gate_over(&files(), |builder| builder, hook).await;
        let session = world.session(&gate, &format!("s-{lost:?}"));
        let waiting = asked(&session, "web", "test").await;
        let request = waiting.request().clone();
        broken.store(true, Ordering::SeqCst);
        let answer = vote(gate.desk(), "sso:bob", &request, Answer::Once).await;
        broken.store(false, Ordering::SeqCst);
        let now = gate.desk().request(request.id).await.unwrap().unwrap();
        let applied = matches!(now.state, State::Approved { .. });
        assert_eq!(answer.is_ok(), applied, "{answer:?}, and {:?}", now.state);
        assert_eq!(applied, lost == When::After);
        let settled = world.recorded("request.settled");
        let on_record = settled.iter().any(|record| record["request"] == request.id.to_string());
        assert_eq!(on_record, applied, "the log says otherwise than the store");
        if !applied {
            // It can be said again, and then it counts.
            agrees(gate.desk(), "sso:bob", &request).await;
        }
        use_up(waiting.wait().await.unwrap()).await.unwrap();
    }
}

pub(crate) async fn a05_what_is_asked_outlives_the_gate_that_asked(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let half = asked(&session, "db", "prod").await;
    agrees(gate.desk(), "sso:bob", half.request()).await;
    let (ticket, request) = (half.ticket(), half.request().clone());
    drop((half, session, gate));

    let cards = Cards::default();
    let shows = cards.clone();
    let gate = world.gate_of(&files(), |builder| builder.notifier(shows)).await;
    cards.comes_to(&request, "pending").await;
    let now = gate.desk().request(request.id).await.unwrap().unwrap();
    assert_eq!((now.votes.len(), now.deadline), (1, request.deadline));
    assert_eq!(refused(gate.desk(), "sso:bob", &request, Answer::Once).await, "again");
    agrees(gate.desk(), "sso:carol", &request).await;
    let session = world.session(&gate, "s");
    let waiting = session.resume(ticket).await.unwrap();
    use_up(waiting.wait().await.unwrap()).await.unwrap();
    // What was never asked is told from what was.
    let unknown = RequestId::mint(Timestamp::now());
    let ballot = ballot("sso:bob", &request, Answer::Once);
    let answer = gate.desk().vote(unknown, &ballot).await;
    assert!(
        matches!(&answer, Err(VoteError::Unknown(id)) if *id == unknown),
        "{answer:?}"
    );
}

pub(crate) async fn a06_after_a_restart_only_what_is_open_is_shown(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let open = asked(&session, "web", "one").await.request().clone();
    let agreed = asked(&session, "web", "two").await.request().clone();
    let no = asked(&session, "web", "three").await.request().clone();
    let withdrawn = asked(&session, "web", "four").await.request().clone();
    agrees(gate.desk(), "sso:bob", &agreed).await;
    vote(gate.desk(), "sso:bob", &no, Answer::Deny).await.unwrap();
    gate.desk().cancel(withdrawn.id, "nobody needs it").await.unwrap();
    drop((session, gate));
    let cards = Cards::default();
    let shows = cards.clone();
    let gate = world.gate_of(&files(), |builder| builder.notifier(shows)).await;
    cards.comes_to(&open, "pending").await;
    // Whatever else would be shown is shown by now: this one was asked last.
    let last = asked(&world.session(&gate, "s"), "web", "five").await.request().clone();
    cards.comes_to(&last, "pending").await;
    assert_eq!(cards.shown(), [open.id.to_string(), last.id.to_string()].into());
}

pub(crate) async fn a07_an_answer_at_the_deadline_is_too_late_by_the_stores_time(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "test").await;
    let request = waiting.request().clone();
    let just_before = Timestamp::from_millis(request.deadline.as_millis() - 1);
    // The machine's clock is five minutes behind, and does not matter.
    world.store_comes_to(just_before).await;
    let in_time = asked(&session, "web", "other").await;
    agrees(gate.desk(), "sso:carol", in_time.request()).await;
    world.store_comes_to(request.deadline).await;
    for (who, answer) in [
        ("sso:bob", Answer::Once),
        ("sso:carol", window(1_000, 1)),
        ("sso:bob", Answer::Deny),
    ] {
        assert_eq!(refused(gate.desk(), who, &request, answer).await, "too-late");
    }
    let grants = gate.desk().grants().await.unwrap();
    assert!(grants.iter().all(|grant| grant.request != request.id), "{grants:?}");
    let now = gate.desk().request(request.id).await.unwrap().unwrap();
    assert!(now.votes.is_empty() && !matches!(now.state, State::Approved { .. }));
}

pub(crate) async fn a08_a_clock_that_is_ahead_of_the_stores_or_goes_back_grants_nothing(world: World) {
    // A question as a gate would put it, in a store whose time is a minute behind this machine's.
    let elsewhere = World::new(world.kind);
    let made = asked(&elsewhere.session(&elsewhere.gate().await, "s"), "web", "test").await;
    let behind = Timestamp::from_millis(Timestamp::now().as_millis() - 60_000);
    let store = world.store().await;
    let open = Open {
        request: made.request().clone(),
        lasts: Span::from_millis(600_000),
        caps: Caps {
            pending: 9,
            per_hour: 9,
            cooldown: None,
        },
        at: behind,
    };
    let Opened::Opened(request) = store.open(open).await.unwrap() else {
        panic!("not opened")
    };
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let ahead = vote(gate.desk(), "sso:bob", &request, Answer::Once).await;
    assert!(matches!(ahead, Err(VoteError::Clock { .. })), "{ahead:?}");
    assert!(gate.desk().grants().await.unwrap().is_empty());
    let denial = denied(deploy(&session, "web", "test").check().await);
    assert_eq!(rules(&denial), ["store.clock"]);
    assert_eq!(world.recorded("vote.refused")[0]["code"], "clock");
    // The minute goes by for the store too, and then it is believed.
    world.pass(60_000);
    agrees(gate.desk(), "sso:bob", &request).await;
    // The machine's clock is put back: time stands still, and nothing is opened or ended by it.
    let later = Timestamp::now().after(Span::from_millis(4_000));
    let _ = store.reserve(poke(later)).await.unwrap();
    let waiting = asked(&session, "db", "test").await;
    assert!(waiting.request().opened_at >= later);
    agrees(gate.desk(), "sso:bob", waiting.request()).await;
    use_up(waiting.wait().await.unwrap()).await.unwrap();
}

//! Opening requests, and finding them again.

use glassbreak_core::approval::{RequestId, State};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Open, Opened, StoreErrorKind, Unasked};

use super::super::asking::OPEN;
use super::super::rig::{Rig, fail, path, word};
use super::races::race;

const HOUR: i64 = 3_600_000;

fn refused(opened: Opened) -> Unasked {
    match opened {
        Opened::Refused { why, .. } => why,
        other => fail(&format!("not refused: {other:?}")),
    }
}

fn joined(opened: Opened) -> RequestId {
    match opened {
        Opened::Joined(request) => request.id,
        other => fail(&format!("not joined: {other:?}")),
    }
}

/// A request is opened pending and without votes, at the store's time, for as long as is asked.
pub async fn a_request_is_opened_with_the_times_of_the_store(rig: Rig) {
    rig.hold(rig.call()).await;
    rig.jump(-10_000);
    let question = rig.question().lasting(7_000).done();
    let request = rig.opened(question.clone()).await;
    let now = rig.now() + 10_000;
    assert_eq!(
        (request.opened_at.as_millis(), request.deadline.as_millis()),
        (now, now + 7_000)
    );
    assert_eq!(
        (request.version, &request.state, request.votes.len()),
        (0, &State::Pending, 0)
    );
    let mut expected = question.request;
    (expected.opened_at, expected.deadline) = (request.opened_at, request.deadline);
    assert_eq!(request, expected);
    assert_eq!(rig.look(request.id).await, request);
}

/// The same question joins the one that is open, through every handle, and whatever the caps: also with another digest,
/// and with facts that are not held fixed.
pub async fn the_same_question_joins_while_it_is_open(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let mut loose = rig.question().capped(0, 0).done();
    loose.request.facts.insert("command".into(), "restart".into());
    for question in [rig.question().capped(0, 0).of_another_call().done(), loose] {
        assert_eq!(joined(rig.put(question.clone()).await), first.id);
        assert_eq!(joined(rig.turned().put(question).await), first.id);
    }
    // The message again.
    let again = Open {
        request: first.clone(),
        ..rig.question().done()
    };
    assert_eq!(joined(rig.put(again).await), first.id);
    // As it stands now.
    let voted = rig.decided(rig.progress(&first, "bob")).await;
    rig.pass(OPEN - 1);
    assert!(matches!(rig.put(rig.question()).await, Opened::Joined(request) if *request == voted));
    assert_eq!(rig.pending().await, [first.id]);
}

/// What was asked before is told: the same question, settled, the newest first and no more than is wanted; not the one
/// that is asked about, none that is open, and no other question.
pub async fn what_was_asked_before_is_told(rig: Rig) {
    let mut settled = Vec::new();
    for n in 0..3 {
        rig.pass(1_000);
        let request = rig.opened(rig.question()).await;
        let next = match n {
            0 => rig.cancellation(&request),
            1 => rig.approval(&request),
            _ => rig.denial(&request, None),
        };
        settled.insert(0, rig.decided(next).await);
    }
    let other = rig.opened(rig.question().asked_by("another")).await;
    rig.decided(rig.cancellation(&other)).await;
    rig.pass(1_000);
    let open = rig.opened(rig.question()).await;
    let newest: Vec<_> = settled.iter().take(2).cloned().collect();
    let before: Vec<_> = settled.iter().skip(1).cloned().collect();
    for rig in [rig.clone(), rig.turned()] {
        assert_eq!(rig.earlier(&open, 9).await, settled);
        assert_eq!(rig.earlier(&open, 2).await, newest);
        assert!(rig.earlier(&open, 0).await.is_empty());
        for last in settled.iter().take(1) {
            assert_eq!(rig.earlier(last, 9).await, before, "not itself");
        }
        assert!(rig.earlier(&other, 9).await.is_empty());
    }
}

/// Another session, agent, person or tool, another pinned fact, one more of them, or another rule: another question.
pub async fn another_question_does_not_join(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let mut unknown = rig.question().done();
    unknown.request.facts.remove("target.namespace");
    let mut action = rig.question().done();
    action.request.action = "tool:stop".into();
    let mut ids = vec![first.id];
    for question in [
        rig.question().along(path("s-2", "restart")).done(),
        rig.question().along(path("s-1", "stop")).done(),
        rig.question().along(alone("s-1", "restart")).done(),
        rig.question().pinned("target.namespace", "db").done(),
        rig.question().pinned("command", "restart").done(),
        rig.question().asked_by("others").done(),
        unknown,
        action,
    ] {
        ids.push(rig.opened(question).await.id);
    }
    let mut pending = rig.pending().await;
    ids.sort_unstable();
    pending.sort_unstable();
    assert_eq!(pending, ids);
}

/// The path of an agent that nobody started, and that acts for nobody.
fn alone(session: &str, tool: &str) -> glassbreak_core::lock::LockPath {
    let actor = glassbreak_core::call::Actor::new(word("ops"), word(session));
    glassbreak_core::lock::LockPath::new(&actor, tool)
}

/// A request whose deadline has come is not open, whatever its state says.
pub async fn a_request_past_its_deadline_is_not_joined(rig: Rig) {
    let first = rig.opened(rig.question().capped(1, 9)).await;
    rig.pass(OPEN - 1);
    assert_eq!(joined(rig.put(rig.question().capped(1, 9)).await), first.id);
    rig.pass(1);
    let second = rig.opened(rig.question().capped(1, 9)).await;
    assert_ne!(second.id, first.id);
    assert_eq!(rig.look(first.id).await.state, State::Pending);
    // Nor one that was settled.
    rig.decided(rig.cancellation(&second)).await;
    rig.opened(rig.question().capped(1, 9)).await;
}

/// Nobody is asked about what a lock stops, whatever else is so.
pub async fn a_request_on_a_locked_path_is_not_opened(rig: Rig) {
    rig.lock(Target::Session(word("s-1"))).await;
    rig.jump(HOUR);
    let why = refused(rig.put(rig.question().capped(0, 0)).await);
    assert!(
        matches!(&why, Unasked::Locked(lock) if lock.target == Target::Session(word("s-1"))),
        "{why:?}"
    );
    rig.jump(-HOUR);
    rig.opened(rig.question().along(path("s-2", "restart"))).await;
    rig.lift(Target::Session(word("s-1"))).await;
    rig.opened(rig.question()).await;
}

/// A time that is not believed opens nothing and joins nothing.
pub async fn a_request_at_a_time_not_believed_is_not_opened(rig: Rig) {
    rig.opened(rig.question()).await;
    let now = rig.now();
    rig.jump(5_001);
    let why = refused(rig.put(rig.question()).await);
    assert_eq!(
        why,
        Unasked::Clock {
            latest: Timestamp::from_millis(now + 5_000)
        }
    );
}

/// An agent has so many questions open and no more; those past their deadline, settled or of other agents are not
/// counted.
pub async fn no_more_are_pending_than_may_be(rig: Rig) {
    let about = |rule: &str| rig.question().asked_by(rule).capped(2, 100);
    let first = rig.opened(about("a")).await;
    rig.opened(about("b").lasting(1_000)).await;
    assert_eq!(refused(rig.put(about("c")).await), Unasked::Pending(2));
    rig.opened(about("c").along(alone("s-1", "restart"))).await;
    let elsewhere = about("c").along(path("s-2", "restart"));
    assert_eq!(
        refused(rig.put(elsewhere).await),
        Unasked::Pending(2),
        "another session of the same agent"
    );
    rig.decided(rig.denial(&first, Some("bob"))).await;
    rig.opened(about("c")).await;
    assert_eq!(refused(rig.put(about("d")).await), Unasked::Pending(2));
    rig.pass(1_000);
    rig.opened(about("d")).await;
}

/// An agent opens so many an hour and no more; those that joined are not counted, those that were settled are.
pub async fn no_more_are_opened_in_an_hour_than_may_be(rig: Rig) {
    let about = |rule: &str| rig.question().asked_by(rule).capped(100, 3);
    let begin = rig.now();
    for rule in ["a", "b", "c"] {
        let request = rig.opened(about(rule)).await;
        joined(rig.put(about(rule)).await);
        rig.decided(rig.cancellation(&request)).await;
        rig.pass(60_000);
    }
    let free = |at: i64| Unasked::PerHour {
        asked: 3,
        free_at: Timestamp::from_millis(at),
    };
    assert_eq!(refused(rig.put(about("d")).await), free(begin + HOUR));
    rig.opened(about("d").along(alone("s-1", "restart"))).await;
    rig.pass(begin + HOUR - 1 - rig.now());
    assert_eq!(refused(rig.put(about("d")).await), free(begin + HOUR));
    rig.pass(1);
    rig.opened(about("d")).await;
    assert_eq!(refused(rig.put(about("e")).await), free(begin + 60_000 + HOUR));
    // Where fewer may be than were, more must leave.
    let fewer = rig.question().asked_by("e").capped(100, 1);
    assert_eq!(refused(rig.put(fewer).await), free(begin + HOUR + HOUR));
}

/// After a person's no the same question rests, also with another digest; other questions do not.
pub async fn a_question_rests_after_a_no(rig: Rig) {
    let resting = || rig.question().resting(60_000);
    let first = rig.opened(resting()).await;
    rig.pass(1_000);
    let first = rig.decided(rig.denial(&first, Some("bob"))).await;
    let until = Timestamp::from_millis(rig.now() + 60_000);
    let rests = Unasked::Resting {
        request: first.id,
        until,
    };
    assert_eq!(refused(rig.put(resting()).await), rests);
    assert_eq!(refused(rig.put(resting().of_another_call().capped(0, 0)).await), rests);
    rig.opened(resting().pinned("target.namespace", "db")).await;
    rig.pass(59_999);
    assert_eq!(refused(rig.turned().put(resting()).await), rests);
    rig.pass(1);
    let second = rig.opened(resting()).await;
    // The last no counts, and a caller that wants no rest has none.
    rig.decided(rig.denial(&second, Some("bob"))).await;
    let why = refused(rig.put(resting()).await);
    assert!(
        matches!(why, Unasked::Resting { request, .. } if request == second.id),
        "{why:?}"
    );
    rig.opened(rig.question()).await;
}

/// What nobody said no to may be asked again at once: too few people, the deadline, a cancellation, an approval.
pub async fn a_question_does_not_rest_after_any_other_end(rig: Rig) {
    let resting = || rig.question().resting(60_000);
    let request = rig.opened(resting()).await;
    rig.decided(rig.denial(&request, None)).await;
    let request = rig.opened(resting()).await;
    rig.decided(rig.cancellation(&request)).await;
    let request = rig.opened(resting()).await;
    rig.decided(rig.approval(&request)).await;
    let request = rig.opened(resting()).await;
    rig.pass(OPEN);
    rig.decided(rig.expiry(&request)).await;
    rig.opened(resting()).await;
}

/// An id that was used before names no other request, and does not bring the first one back.
pub async fn an_id_names_one_request(rig: Rig) {
    let first = rig.opened(rig.question()).await;
    let other = |question: Open| Open {
        request: glassbreak_core::approval::Request {
            id: first.id,
            ..question.request
        },
        ..question
    };
    for settled in [false, true] {
        if settled {
            let now = rig.look(first.id).await;
            rig.decided(rig.denial(&now, Some("bob"))).await;
        }
        let before = rig.look(first.id).await;
        let mut questions = vec![rig.question().asked_by("others").done()];
        questions.extend(settled.then(|| rig.question().done()));
        for question in questions {
            match rig.store.open(other(question)).await {
                Err(error) => assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Invalid, false)),
                Ok(opened) => fail(&format!("{opened:?}")),
            }
        }
        assert_eq!(rig.look(first.id).await, before);
    }
}

/// Of any number of callers that ask the same at once, one opens it and the others join.
pub async fn of_racing_openings_of_one_question_one_opens_it(rig: Rig) {
    for round in 0..10 {
        let rule = format!("r{round}");
        let opened = race(&rig, 32, |rig, n| {
            let question = rig.question().asked_by(&rule);
            let question = if n % 3 == 0 {
                question.of_another_call()
            } else {
                question
            };
            async move { rig.put(question).await }
        });
        let opened = opened.await;
        let new: Vec<_> = opened
            .iter()
            .filter_map(|opened| match opened {
                Opened::Opened(request) => Some(request.id),
                _ => None,
            })
            .collect();
        assert_eq!(new.len(), 1);
        assert!(opened.iter().all(|opened| match opened {
            Opened::Opened(request) | Opened::Joined(request) => new == [request.id],
            Opened::Refused { .. } => false,
        }));
    }
    // And of callers that race for the last place under a cap, one gets it.
    let opened = race(&rig, 32, |rig, n| {
        let question = rig.question().along(alone("s-1", "restart"));
        let question = question.asked_by(&format!("c{n}")).capped(5, 100);
        async move { matches!(rig.put(question).await, Opened::Opened(_)) }
    });
    assert_eq!(opened.await.into_iter().filter(|opened| *opened).count(), 5);
}

/// A request is found by its id, and among the pending ones, the oldest first, until it is settled; also when its
/// deadline has come.
pub async fn requests_are_found_by_id_and_while_they_are_pending(rig: Rig) {
    assert_eq!(rig.store.request(RequestId::mint(rig.at())).await.ok(), Some(None));
    let mut ids = Vec::new();
    for rule in ["c", "a", "b"] {
        ids.push(rig.opened(rig.question().asked_by(rule)).await.id);
        rig.pass(10);
    }
    assert_eq!(rig.pending().await, ids);
    rig.pass(OPEN);
    assert_eq!(rig.turned().pending().await, ids);
    let request = rig.look(ids.remove(1)).await;
    let request = rig.decided(rig.expiry(&request)).await;
    assert_eq!(rig.pending().await, ids);
    rig.pass(24 * HOUR);
    rig.opened(rig.question().asked_by("d")).await;
    assert_eq!(rig.look(request.id).await, request, "kept for a day");
}

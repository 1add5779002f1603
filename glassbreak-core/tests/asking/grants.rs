//! What a grant covers: the call that was shown, or a narrow window, and nothing beside it.

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::call::{Actor, Text};
use glassbreak_core::desk::VoteError;
use glassbreak_core::gate::{PendingExec, Session, Verdict};
use glassbreak_core::lock::Target;
use glassbreak_core::store::Which;

use super::support::{House, deploy, passes, rules, text, waiting, window, word};

/// The call that is approved in these tests.
fn show(session: &Session) -> PendingExec {
    session
        .exec(["show", "a"])
        .in_folder("sub")
        .env("SHOW_MODE", "plain")
        .stdin(b"in")
}

/// Has bob approve what is asked, without anybody waiting.
async fn approve(house: &House, call: PendingExec, answer: Answer) {
    let Verdict::Ask(escalation) = call.check().await else {
        panic!("nothing asks")
    };
    let waiting = escalation.open().await.unwrap();
    let request = house.vote("sso:bob", waiting.request(), answer).await.unwrap();
    assert!(matches!(request.state, State::Approved { .. }), "{:?}", request.state);
}

#[tokio::test]
async fn a_call_that_is_approved_once_runs_once() {
    let house = House::new().await;
    let session = house.session("s");
    let task = tokio::spawn(show(&session).run());
    let request = house.asked().await;
    assert!(request.card.text().contains("show"), "{}", request.card.text());
    house.once("sso:bob", &request).await;
    let (ran, output) = task.await.unwrap().unwrap();
    assert!(ran.exit.is_success());
    assert_eq!(output.stdout, b"below\n");
    assert!(passes(show(&session).check().await).is_none(), "it passed twice");
    assert_eq!(
        house.records()[..7],
        [
            "call.asked",
            "request.opened",
            "vote.cast",
            "grant.opened",
            "request.settled",
            "call.permitted",
            "call.finished"
        ]
    );
}

#[tokio::test]
async fn a_call_that_differs_in_one_thing_is_not_the_one_that_was_approved() {
    type Change = fn(&Session) -> PendingExec;
    let changes: [(&str, Change); 7] = [
        ("argv", |s| show_of(s, &["show", "b"])),
        ("one word more", |s| show_of(s, &["show", "a", "a"])),
        ("folder", |s| {
            s.exec(["show", "a"]).env("SHOW_MODE", "plain").stdin(b"in")
        }),
        ("env", |s| {
            s.exec(["show", "a"])
                .in_folder("sub")
                .env("SHOW_MODE", "loud")
                .stdin(b"in")
        }),
        ("no env", |s| s.exec(["show", "a"]).in_folder("sub").stdin(b"in")),
        ("stdin", |s| {
            s.exec(["show", "a"])
                .in_folder("sub")
                .env("SHOW_MODE", "plain")
                .stdin(b"im")
        }),
        ("no stdin", |s| {
            s.exec(["show", "a"]).in_folder("sub").env("SHOW_MODE", "plain")
        }),
    ];
    let house = House::new().await;
    let session = house.session("s");
    approve(&house, show(&session), Answer::Once).await;
    for (what, change) in changes {
        assert!(
            passes(change(&session).check().await).is_none(),
            "another {what} passed"
        );
    }
    let other_session = house.session("t");
    assert!(
        passes(show(&other_session).check().await).is_none(),
        "another session passed"
    );
    let other_agent = house.session_of("ops-8", "s");
    assert!(
        passes(show(&other_agent).check().await).is_none(),
        "another agent passed"
    );
    let mut actor = Actor::new(word("ops"), word("s"));
    actor.instance = Some(word("ops-7"));
    actor.on_behalf_of = Some(word("carol"));
    let other_person = house.gate.session(actor).workspace(house.root.join("work")).unwrap();
    assert!(
        passes(show(&other_person).check().await).is_none(),
        "another person passed"
    );
    assert!(
        passes(show(&session).check().await).is_some(),
        "the very call does not pass"
    );
}

fn show_of(session: &Session, words: &[&str]) -> PendingExec {
    session
        .exec(words.iter().copied())
        .in_folder("sub")
        .env("SHOW_MODE", "plain")
        .stdin(b"in")
}

#[tokio::test]
async fn another_file_under_the_programs_name_is_not_what_was_approved() {
    for answer in [Answer::Once, window(5, 9)] {
        let house = House::new().await;
        let session = house.session("s");
        approve(&house, show(&session), answer).await;
        let program = house.root.join("bin/show");
        std::fs::copy("/bin/echo", house.root.join("bin/new")).unwrap();
        std::fs::rename(house.root.join("bin/new"), &program).unwrap();
        assert!(passes(show(&session).check().await).is_none(), "a swapped file passed");
    }
}

#[tokio::test]
async fn a_window_passes_what_is_alike_and_nothing_else() {
    let house = House::new().await;
    let session = house.session("s");
    let task = waiting(deploy(&session, "web", "test"));
    let request = house.asked().await;
    let opened = house.vote("sso:bob", &request, window(5, 3)).await.unwrap();
    assert!(matches!(opened.state, State::Approved { .. }));
    task.await.unwrap().unwrap();
    // Another service of the same namespace is what a window is for.
    assert!(passes(deploy(&session, "db", "test").check().await).is_some());
    assert!(
        passes(deploy(&session, "web", "stage").check().await).is_none(),
        "another namespace passed"
    );
    assert!(
        passes(deploy(&session, "web", "prod").check().await).is_none(),
        "one more asking rule passed"
    );
    assert!(
        passes(session.exec(["show", "a"]).check().await).is_none(),
        "another action passed"
    );
    let denied = deploy(&session, "web", "moon").authorize().await.unwrap_err();
    assert_eq!(rules(&denied), ["policy.never"], "a grant lifted a plain forbid");
    assert!(
        passes(deploy(&house.session("t"), "web", "test").check().await).is_none(),
        "another session passed"
    );
    assert!(passes(deploy(&session, "x", "test").check().await).is_some());
    assert!(
        passes(deploy(&session, "y", "test").check().await).is_none(),
        "a fourth use passed"
    );
}

#[tokio::test]
async fn an_approver_may_narrow_and_never_widen() {
    let house = House::new().await;
    let session = house.session("s");
    let Verdict::Ask(escalation) = deploy(&session, "web", "test").check().await else {
        panic!("nothing asks")
    };
    let request = escalation.open().await.unwrap().request().clone();
    for (answer, code) in [
        (window(6, 1), "beyond"),
        (window(0, 1), "beyond"),
        (window(5, 51), "beyond"),
        (window(5, 0), "beyond"),
        (
            Answer::Window {
                span: glassbreak_core::clock::Span::from_millis(1_000),
                uses: 1,
                pins: vec!["target.owner.x".into()],
            },
            "unknown-pin",
        ),
    ] {
        assert_eq!(
            house.refused("sso:bob", &request, answer.clone()).await,
            code,
            "{answer:?}"
        );
    }
    let narrow = Answer::Window {
        span: glassbreak_core::clock::Span::from_millis(60_000),
        uses: 9,
        pins: vec!["target.name".into()],
    };
    house.vote("sso:bob", &request, narrow).await.unwrap();
    assert!(
        passes(deploy(&session, "db", "test").check().await).is_none(),
        "an added pin holds nothing"
    );
    assert!(passes(deploy(&session, "web", "test").check().await).is_some());
}

#[tokio::test]
async fn what_is_revoked_or_locked_is_gone_and_stays_gone() {
    let house = House::new().await;
    let session = house.session("s");
    approve(&house, show(&session), window(5, 9)).await;
    let ended = house
        .gate
        .desk()
        .revoke(Which::Under(Target::Session(word("s"))), text("enough"), word("bob"))
        .await
        .unwrap();
    assert_eq!(ended.grants.len(), 1);
    assert!(passes(show(&session).check().await).is_none(), "a revoked grant passed");

    approve(&house, show(&session), window(5, 9)).await;
    let target = Target::Agent(word("ops-7"));
    house
        .gate
        .lock(target.clone(), text("runaway"), word("bob"))
        .await
        .unwrap();
    let denied = show(&session).authorize().await.unwrap_err();
    assert_eq!(rules(&denied), ["lock.agent"]);
    let _ = house.gate.unlock(target, text("over"), word("bob")).await.unwrap();
    assert!(
        passes(show(&session).check().await).is_none(),
        "unlocking brought a grant back"
    );

    approve(&house, show(&session), window(5, 9)).await;
    session.close().await.unwrap();
    assert!(
        passes(show(&session).check().await).is_none(),
        "a closed session kept its grant"
    );
}

#[tokio::test]
async fn what_nobody_may_operate_is_refused() {
    let house = House::new().await;
    let session = house.session("s");
    approve(&house, show(&session), window(5, 9)).await;
    let all = Which::Under(Target::All);
    let refused = house.gate.desk().revoke(all, text("no"), word("dave")).await;
    assert!(refused.is_err());
    assert!(passes(show(&session).check().await).is_some());
}

#[tokio::test]
async fn a_call_that_cannot_be_shown_whole_cannot_be_agreed_to() {
    let house = House::new().await;
    let session = house.session("s");
    let call = session.exec(["show", "a"]).stdin(b"\xff\x00");
    let Verdict::Ask(escalation) = call.check().await else {
        panic!("nothing asks")
    };
    let waiting = escalation.open().await.unwrap();
    assert_eq!(
        house.refused("sso:bob", waiting.request(), Answer::Once).await,
        "not-whole"
    );
    let denied = house.vote("sso:bob", waiting.request(), Answer::Deny).await.unwrap();
    assert!(matches!(denied.state, State::Denied { .. }));
}

#[tokio::test]
async fn a_vote_on_a_card_that_was_not_shown_does_not_count() {
    let house = House::new().await;
    let session = house.session("s");
    let Verdict::Ask(escalation) = show(&session).check().await else {
        panic!("nothing asks")
    };
    let waiting = escalation.open().await.unwrap();
    let mut ballot = super::support::ballot("sso:bob", waiting.request(), Answer::Once);
    ballot.card = "0".repeat(64).into();
    ballot.reason = Some(Text::new("looks fine").unwrap());
    let refused = house.gate.desk().vote(waiting.request().id, &ballot).await;
    assert!(matches!(refused, Err(VoteError::Refused(why)) if why.code() == "other-card"));
}

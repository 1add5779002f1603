//! A27 to A34: too many questions, ways and stores that fail, and what people may open.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::{Answer, Request, State};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::finding::DenialKind;
use glassbreak_core::gate::{Denied, Verdict};
use glassbreak_core::grant::Scope;
use glassbreak_core::lock::Target;
use glassbreak_core::notify::{Notifier, NotifyError};
use glassbreak_core::store::{StoreError, StoreErrorKind, Which};
use glassbreak_testkit::store::When;

use crate::world::{
    Cards, World, agrees, asked, denied, deploy, eventually, files, of_tool, opened, passes, refused, rules, text,
    use_up, vote, window, with, word,
};

pub(crate) async fn a27_an_agent_that_asks_too_much_is_refused_before_people_are(world: World) {
    let cards = Cards::default();
    let shows = cards.clone();
    let capped = with("glassbreak.toml", "[requests]\npending = 2\nper_hour = 4\n");
    let gate = world.gate_of(&capped, |builder| builder.notifier(shows)).await;
    let other = world.gate_of(&capped, |builder| builder).await;
    let refusal = async |session: &str, env: &str| {
        let denial = deploy(&world.session(&other, session), "web", env).authorize().await;
        rules(&denial.unwrap_err()).join(", ")
    };
    let one = asked(&world.session(&gate, "a"), "web", "test").await;
    let two = asked(&world.session(&gate, "b"), "web", "test").await;
    // The same question is not asked twice, and what is one too many is not asked at all, by whatever session or gate.
    let same = asked(&world.session(&gate, "a"), "db", "test").await;
    assert_eq!(same.request().id, one.request().id);
    assert_eq!(refusal("c", "test").await, "store.request.pending");
    vote(gate.desk(), "sso:bob", one.request(), Answer::Deny).await.unwrap();
    // After a no the question rests, in other words too.
    assert_eq!(refusal("a", "test").await, "store.request.resting");
    let three = asked(&world.session(&gate, "c"), "web", "test").await;
    agrees(gate.desk(), "sso:bob", two.request()).await;
    let four = asked(&world.session(&gate, "d"), "web", "test").await;
    agrees(gate.desk(), "sso:bob", three.request()).await;
    assert_eq!(refusal("e", "test").await, "store.request.per-hour");
    cards.comes_to(four.request(), "pending").await;
    assert_eq!(cards.shown().len(), 4, "people saw more than they were to see");
    assert_eq!(world.recorded("request.refused").len(), 3);
    // People are told that it asks too often, by each process that sees it and not with every question.
    assert_eq!(world.recorded("request.overflow").len(), 1);
}

/// A way to people that goes wrong.
#[derive(Debug)]
enum Way {
    Fails,
    Panics,
    Hangs,
}

#[async_trait]
impl Notifier for Way {
    fn name(&self) -> &str {
        "way"
    }

    async fn deliver(&self, _: &Request, _: &Desk) -> Result<(), NotifyError> {
        match self {
            Self::Fails => Err(NotifyError::new("way", "nobody is there")),
            Self::Panics => panic!("it cannot deliver"),
            Self::Hangs => std::future::pending().await,
        }
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        match self {
            Self::Panics if request.state.is_final() => panic!("it cannot update"),
            Self::Hangs => std::future::pending().await,
            _ => Err(NotifyError::new("way", "nobody is there")),
        }
    }
}

pub(crate) async fn a28_a_notifier_that_reaches_nobody_agrees_to_nothing(world: World) {
    let short = with("glassbreak.toml", "[requests]\ndeadline = \"10s\"\n");
    let mut waiting = tokio::task::JoinSet::new();
    let mut gates = Vec::new();
    for way in [Way::Fails, Way::Panics, Way::Hangs] {
        let name = format!("s-{way:?}");
        let builder = world.builder(&short, |_, _| Ok(())).await;
        let gate = builder.notifier(way).build().await.unwrap();
        let session = world.session_of(&gate, &name, &name);
        waiting.spawn(async move {
            let waiting = asked(&session, "web", "test").await;
            let id = waiting.request().id;
            (id, tokio::time::timeout(Duration::from_secs(20), waiting.wait()).await)
        });
        gates.push(gate);
    }
    while let Some(ended) = waiting.join_next().await {
        let (id, ended) = ended.unwrap();
        let denial = ended.expect("it waits for ever").unwrap_err();
        // Silence that nobody could hear is not the silence of people.
        assert_eq!(rules(&denial), ["store.request.no-route"]);
        let now = gates[0].desk().request(id).await.unwrap().unwrap();
        assert!(
            now.state.is_final() && !matches!(now.state, State::Approved { .. }),
            "{now:?}"
        );
    }
    assert!(gates[0].desk().grants().await.unwrap().is_empty());
    assert!(world.recorded("vote.cast").is_empty() && world.recorded("call.permitted").is_empty());
    assert!(!world.recorded("notify.failed").is_empty(), "nobody learns of it");
}

pub(crate) async fn a29_a_store_that_does_not_answer_allows_nothing(world: World) {
    let broken = Arc::new(Mutex::new(None::<(&'static str, When)>));
    let breaks = Arc::clone(&broken);
    let hook = move |operation: &'static str, when: When| match *breaks.lock().unwrap() {
        Some(fault) if fault == (operation, when) => {
            Err(StoreError::new(StoreErrorKind::Unavailable, operation, "gone"))
        }
        _ => Ok(()),
    };
    let gate = world.gate_over(&files(), |builder| builder, hook).await;
    let ran = Arc::new(AtomicU32::new(0));
    for (n, operation) in ["reserve", "open", "request", "moved", "decide", "claim", "grant"]
        .into_iter()
        .enumerate()
    {
        for when in [When::Before, When::After] {
            let session = world.session(&gate, &format!("s-{n}-{when:?}"));
            let effects = Arc::clone(&ran);
            *broken.lock().unwrap() = Some((operation, when));
            let call = async {
                let waiting = match deploy(&session, "web", "test").check().await {
                    Verdict::Ask(escalation) => escalation.open().await?,
                    Verdict::Deny(denial) => return Err(denial),
                    Verdict::Allow(permit) => panic!("{permit:?}"),
                };
                let voted = vote(gate.desk(), "sso:bob", waiting.request(), Answer::Once).await;
                if voted.is_err() {
                    gate.desk()
                        .cancel(waiting.request().id, "nobody could answer")
                        .await
                        .ok();
                }
                let permit = of_tool(waiting.wait().await?);
                let done = permit.run(async |_| {
                    effects.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Denied>(())
                });
                done.await.map_err(|denied| denied.0)
            };
            // What waits when nothing answers is not what this is about.
            let ended = tokio::time::timeout(Duration::from_secs(3), call).await;
            *broken.lock().unwrap() = None;
            let lost_reply = (operation, when) == ("decide", When::After);
            match ended {
                // It was in the store, and was seen there.
                Ok(Ok(())) => assert!(lost_reply, "it ran although {operation} failed"),
                Ok(Err(denial)) => assert_ne!(denial.why(), "", "{operation}"),
                Err(_) => assert!(["request", "moved", "decide"].contains(&operation), "{operation} hangs"),
            }
            let grants = gate.desk().grants().await.unwrap();
            let known: Vec<_> = world.recorded("grant.opened");
            for grant in grants {
                let on_record = known.iter().any(|record| record["grant"] == grant.id.to_string());
                assert!(on_record, "{grant:?} is not on record");
            }
        }
    }
    assert!(ran.load(Ordering::SeqCst) <= 1);
    // A breakdown is told from a no.
    *broken.lock().unwrap() = Some(("reserve", When::Before));
    let denial = denied(deploy(&world.session(&gate, "last"), "web", "test").check().await);
    assert_eq!(denial.kind(), DenialKind::Unavailable);
}

pub(crate) async fn a30_what_cannot_be_recorded_does_not_happen(world: World) {
    // The question.
    let log = world.log();
    let replace = |log: &glassbreak_core::audit::AuditLog| {
        let log = log.clone();
        |builder: glassbreak_core::gate::GateBuilder| builder.audit(log)
    };
    let gate = world.gate_of(&files(), replace(&log)).await;
    let session = world.session(&gate, "s");
    let Verdict::Ask(escalation) = deploy(&session, "web", "test").check().await else {
        panic!("nothing asks")
    };
    log.close().unwrap();
    let denial = escalation.open().await.unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Unavailable, "{denial}");
    assert!(gate.desk().pending().await.unwrap().is_empty());
    // Every call after that.
    let denial = denied(deploy(&session, "web", "test").check().await);
    assert_eq!(rules(&denial), ["store.audit"]);
    // The vote and its grant.
    let gate = world.gate().await;
    let session = world.session(&gate, "t");
    let waiting = asked(&session, "web", "test").await;
    let deaf = world.log();
    let desk = Desk::new(gate.bundle(), world.store().await, deaf.clone());
    deaf.close().unwrap();
    for answer in [Answer::Once, window(60_000, 9), Answer::Deny] {
        let voted = vote(&desk, "sso:bob", waiting.request(), answer).await;
        assert!(matches!(voted, Err(VoteError::Audit(_))), "{voted:?}");
    }
    let now = gate.desk().request(waiting.request().id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (State::Pending, 0));
    assert!(gate.desk().grants().await.unwrap().is_empty());
    // The permit of what was approved.
    let log = world.log();
    let gate = world.gate_of(&files(), replace(&log)).await;
    let waiting = asked(&world.session(&gate, "u"), "web", "test").await;
    agrees(&world.desk().await, "sso:bob", waiting.request()).await;
    log.close().unwrap();
    let denial = waiting.wait().await.unwrap_err();
    assert_eq!(rules(&denial), ["store.audit"]);
    assert!(world.recorded("call.permitted").is_empty());
    // Stopping does not wait for the log.
    let target = Target::Session(word("u"));
    assert!(gate.lock(target, text("stop"), word("bob")).await.is_err());
    assert_eq!(gate.desk().locks().await.unwrap().locks.iter().count(), 1);
}

pub(crate) async fn a31_a_grant_that_is_still_kept_after_its_end_covers_nothing(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let grant = opened(&session, "test", window(60_000, 9)).await;
    let store = world.store().await;
    let just_before = Timestamp::from_millis(grant.expires_at.as_millis() - 1);
    world.store_comes_to(just_before).await;
    assert!(passes(deploy(&session, "web", "test").check().await).is_some());
    world.store_comes_to(grant.expires_at).await;
    // It is there, with uses left, and its end is in it.
    let kept = store.grant(grant.id).await.unwrap().unwrap();
    assert_eq!((kept.uses, kept.max_uses, kept.revoked.as_ref()), (1, 9, None));
    assert!(passes(deploy(&session, "web", "test").check().await).is_none());
    assert!(gate.desk().grants().await.unwrap().is_empty());
    // What was revoked stays as what was revoked, and a lock that is lifted brings nothing back.
    let revoked = opened(&session, "lab", window(60_000, 9)).await;
    let which = Which::Grant(revoked.id);
    gate.desk().revoke(which, text("enough"), word("bob")).await.unwrap();
    assert!(store.grant(revoked.id).await.unwrap().unwrap().revoked.is_some());
    let locked = opened(&session, "stage", window(60_000, 9)).await;
    let target = Target::Session(word("s"));
    gate.lock(target.clone(), text("stop"), word("bob")).await.unwrap();
    let _ = gate.unlock(target, text("go on"), word("bob")).await.unwrap();
    assert!(store.grant(locked.id).await.unwrap().unwrap().revoked.is_some());
    for env in ["lab", "stage"] {
        assert!(passes(deploy(&session, "web", env).check().await).is_none(), "{env}");
    }
}

pub(crate) async fn a32_what_was_revoked_does_not_run_and_a_permit_ends_with_its_grant(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    // Revoked by another process between the permit and its use.
    let grant = opened(&session, "test", window(60_000, 9)).await;
    let permit = passes(deploy(&session, "web", "test").check().await).unwrap();
    let revoked = world.desk().await;
    revoked
        .revoke(Which::Grant(grant.id), text("enough"), word("bob"))
        .await
        .unwrap();
    let denial = use_up(permit).await.unwrap_err();
    assert_eq!(rules(&denial), ["store.grant.revoked"]);
    // A permit lives no longer than what people gave.
    opened(&session, "lab", window(700, 9)).await;
    let permit = passes(deploy(&session, "web", "lab").check().await).unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let denial = use_up(permit).await.unwrap_err();
    assert_eq!(rules(&denial), ["lock.permit-expired"]);
    // What runs is ended by a lock.
    opened(&session, "stage", window(60_000, 9)).await;
    let permit = of_tool(passes(deploy(&session, "web", "stage").check().await).unwrap());
    let running = tokio::spawn(permit.run(async |_| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, Denied>(())
    }));
    gate.lock(Target::Tool(word("deploy")), text("stop"), word("bob"))
        .await
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
    let denial = ended.expect("it runs on").unwrap().unwrap_err();
    assert_eq!(rules(&denial.0), ["lock.tool"]);
    let finished = world.recorded("call.finished");
    assert!(
        finished.iter().all(|record| record["outcome"] != "done"),
        "{finished:?}"
    );
}

pub(crate) async fn a33_an_answer_to_the_question_before_answers_no_other(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    // The agent takes its question back and asks for something else: that is another request.
    let before = asked(&session, "web", "test").await.request().clone();
    gate.desk()
        .cancel(before.id, "the agent changed its mind")
        .await
        .unwrap();
    let after = asked(&session, "payments", "test").await;
    assert_ne!(after.request().id, before.id);
    assert_eq!(refused(gate.desk(), "sso:bob", &before, Answer::Once).await, "settled");
    let mut stale = crate::world::ballot("sso:bob", &before, Answer::Once);
    let answer = gate.desk().vote(after.request().id, &stale).await;
    assert!(
        matches!(&answer, Err(VoteError::Refused(why)) if why.code() == "other-card"),
        "{answer:?}"
    );
    // A no is no question of what was shown.
    stale.answer = Answer::Deny;
    gate.desk().vote(after.request().id, &stale).await.unwrap();
    assert!(gate.desk().grants().await.unwrap().is_empty());
}

pub(crate) async fn a34_an_approver_narrows_and_never_widens(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request();
    let minutes = |n: u64| n * 60_000;
    for wider in [
        window(minutes(5) + 1, 1),
        window(minutes(60), 1),
        window(0, 1),
        window(u64::MAX, 1),
    ] {
        assert_eq!(refused(gate.desk(), "sso:bob", request, wider).await, "beyond");
    }
    for uses in [0, 51, u32::MAX] {
        assert_eq!(
            refused(gate.desk(), "sso:bob", request, window(minutes(1), uses)).await,
            "beyond"
        );
    }
    let pinned = |name: &str| match window(minutes(4), 7) {
        Answer::Window { span, uses, .. } => Answer::Window {
            span,
            uses,
            pins: vec![name.into()],
        },
        other => other,
    };
    assert_eq!(
        refused(gate.desk(), "sso:bob", request, pinned("colour")).await,
        "unknown-pin"
    );
    // Of two who agree to different windows it is the narrower in each respect.
    vote(gate.desk(), "sso:bob", request, pinned("target.name"))
        .await
        .unwrap();
    vote(gate.desk(), "sso:carol", request, window(minutes(2), 9))
        .await
        .unwrap();
    let grant = gate.desk().grants().await.unwrap().remove(0);
    let Scope::Window { pins, .. } = &grant.scope else {
        panic!("{grant:?}")
    };
    assert_eq!(grant.expires_at.since(grant.not_before).as_millis(), minutes(2));
    assert_eq!((grant.max_uses, pins.contains_key("target.name")), (7, true));
    assert!(passes(deploy(&session, "db", "prod").check().await).is_none());
    assert!(passes(deploy(&session, "web", "prod").check().await).is_some());
    // Where no window is offered there is none to open.
    let own = crate::world::ask(session.tool(word("own"), Default::default()).check().await).await;
    assert_eq!(
        refused(gate.desk(), "sso:bob", own.request(), window(1, 1)).await,
        "no-window"
    );
    eventually(|| world.recorded("grant.opened").len() == 1).await;
}

//! A9 to A15: who answers, and by which rules.

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Args};
use glassbreak_core::gate::Verdict;

use crate::world::{
    World, agrees, ask, asked, changed, deploy, files, refused, reload, rules, use_up, vote, window, with, word,
};

pub(crate) async fn a09_whom_the_agent_acts_for_does_not_approve(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let one = asked(&session, "web", "test").await;
    let two = asked(&session, "web", "prod").await;
    for who in ["sso:alice", "pager:alice"] {
        for request in [one.request(), two.request()] {
            assert_eq!(refused(gate.desk(), who, request, Answer::Once).await, "not-eligible");
            assert_eq!(
                refused(gate.desk(), who, request, window(1_000, 1)).await,
                "not-eligible"
            );
        }
    }
    // Nor by an agent that hers has started, nor where the host names her by an account.
    let child = session.sub_agent(word("ops"), word("child")).unwrap();
    let below = asked(&child, "db", "test").await;
    assert_eq!(
        refused(gate.desk(), "sso:alice", below.request(), Answer::Once).await,
        "not-eligible"
    );
    let mut actor = Actor::new(word("ops"), word("by-account"));
    actor.on_behalf_of = Some(word("pager:alice"));
    let named = asked(&world.session_as(&gate, actor), "web", "test").await;
    assert_eq!(
        refused(gate.desk(), "sso:alice", named.request(), Answer::Once).await,
        "not-eligible"
    );
    assert!(gate.desk().grants().await.unwrap().is_empty());
    // Only where the rule says so, and then the record does too.
    let own = ask(session.tool(word("own"), Args::new()).check().await).await;
    agrees(gate.desk(), "sso:alice", own.request()).await;
    use_up(own.wait().await.unwrap()).await.unwrap();
    let cast = world.recorded("vote.cast");
    assert_eq!((cast.len(), &cast[0]["self_approved"]), (1, &true.into()));
}

pub(crate) async fn a10_two_accounts_are_one_person_and_an_account_is_one_persons(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request();
    assert_eq!(agrees(gate.desk(), "sso:bob", request).await.state, State::Pending);
    assert_eq!(
        refused(&world.desk().await, "pager:bob", request, Answer::Once).await,
        "again"
    );
    assert_eq!(
        refused(gate.desk(), "sso:mallory", request, Answer::Once).await,
        "unknown-account"
    );
    let now = gate.desk().request(request.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (State::Pending, 1));
    // A folder in which one account is two persons' is no folder.
    let shared = changed("people.toml", "[\"sso:dave\"]", "[\"sso:dave\", \"sso:bob\"]");
    let problems = Bundle::from_files(&shared).unwrap_err().to_string();
    assert!(problems.contains("is that of `bob` already"), "{problems}");
}

pub(crate) async fn a11_a_relay_is_one_person_and_both_are_recorded(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request();
    agrees(gate.desk(), "webhook:first", request).await;
    assert_eq!(
        refused(gate.desk(), "webhook:second", request, Answer::Once).await,
        "again"
    );
    assert_eq!(
        gate.desk().request(request.id).await.unwrap().unwrap().state,
        State::Pending
    );
    agrees(gate.desk(), "sso:carol", request).await;
    let cast = world.recorded("vote.cast");
    let said: Vec<_> = cast.iter().map(|vote| (&vote["person"], &vote["account"])).collect();
    let both = [("relay", "webhook:first"), ("carol", "sso:carol")];
    assert!(
        said.into_iter().eq(both
            .map(|(person, account)| (person.into(), account.into()))
            .iter()
            .map(|(p, a): &(serde_json::Value, serde_json::Value)| (p, a)))
    );
}

pub(crate) async fn a12_who_is_not_named_may_not_answer(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "test").await;
    let request = waiting.request();
    let strangers = [
        ("sso:mallory", "unknown-account"),
        ("sso:dave", "not-eligible"),
        ("sso:eve", "not-eligible"),
    ];
    for (who, code) in strangers {
        for answer in [Answer::Once, window(1_000, 1), Answer::Deny] {
            assert_eq!(refused(gate.desk(), who, request, answer).await, code, "{who}");
        }
    }
    let now = gate.desk().request(request.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.version), (State::Pending, request.version));
    assert_eq!(world.recorded("vote.refused").len(), 9);
    assert!(world.recorded("vote.cast").is_empty());
    // Named by the rule, and not allowed by any policy; and a group of nobody is nobody.
    let narrow = changed("p.cedar", "risk != \"high\"", "risk == \"low\"");
    reload(&gate, &narrow);
    assert_eq!(
        refused(gate.desk(), "sso:bob", request, Answer::Once).await,
        "not-eligible"
    );
    let empty = session.tool(word("empty"), Args::new()).authorize().await.unwrap_err();
    assert_eq!(rules(&empty), ["store.request.quorum-impossible"]);
}

pub(crate) async fn a13_a_quorum_that_nobody_can_fill_is_refused_at_once(world: World) {
    // Of alice, bob, carol and the relay three may agree.
    for (quorum, possible) in [("3", true), ("4", false)] {
        let files = changed("p.cedar", "@quorum(\"2\")", &format!("@quorum(\"{quorum}\")"));
        let gate = world.gate_of(&files, |builder| builder).await;
        let session = world.session(&gate, &format!("s-{quorum}"));
        let Verdict::Ask(escalation) = deploy(&session, "web", "prod").check().await else {
            panic!("nothing asks")
        };
        let opened = escalation.open().await;
        assert_eq!(opened.is_ok(), possible, "{opened:?}");
        if let Err(denial) = opened {
            assert_eq!(rules(&denial), ["store.request.quorum-impossible"]);
        }
    }
    // What a folder may not say at all.
    let bad = [
        changed("p.cedar", "@quorum(\"2\")", "@quorum(\"0\")"),
        changed("p.cedar", "@quorum(\"2\")", "@quorum(\"-1\")"),
        changed("p.cedar", "@ask(\"nobody\")", "@ask(\"noone\")"),
        changed(
            "people.toml",
            "[groups.nobody]",
            "[groups.nobody]\ngroups = [\"oncall\"]",
        ),
        changed("people.toml", "[groups.nobody]", "[groups.nobody]\n[groups.nobody]"),
        with("glassbreak.toml", "[ask]\ngroup = \"oncall\"\nquorum = 0\n"),
    ];
    for (n, files) in bad.iter().enumerate() {
        assert!(Bundle::from_files(files).is_err(), "folder {n} loads");
    }
}

pub(crate) async fn a14_who_is_disabled_between_vote_and_quorum_is_not_counted(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request();
    assert_eq!(agrees(gate.desk(), "sso:bob", request).await.state, State::Pending);
    let gone = changed(
        "people.toml",
        "accounts = [\"sso:bob\", \"pager:bob\"]",
        "accounts = [\"sso:bob\", \"pager:bob\"]\ndisabled = true",
    );
    reload(&gate, &gone);
    let after = agrees(gate.desk(), "sso:carol", request).await;
    let voted: Vec<&str> = after.votes.iter().map(|vote| vote.person.as_str()).collect();
    assert_eq!((&after.state, voted), (&State::Pending, vec!["carol"]));
    assert!(gate.desk().grants().await.unwrap().is_empty());
    // A second person who still may makes two.
    let settled = agrees(gate.desk(), "webhook:first", request).await;
    assert!(matches!(settled.state, State::Approved { .. }), "{:?}", settled.state);
}

pub(crate) async fn a15_a_policy_that_is_made_stricter_while_it_waits_wins(world: World) {
    let gate = world.gate().await;
    let session = world.session(&gate, "s");
    // The rule that asks says something else: nobody agrees to what it was.
    let waiting = asked(&session, "web", "test").await;
    let two = changed(
        "p.cedar",
        "@ask(\"oncall\") @window(\"5m\")\nforbid (principal, action == Action::\"tool:deploy\"",
        "@ask(\"oncall\") @quorum(\"2\") @window(\"5m\")\nforbid (principal, action == Action::\"tool:deploy\"",
    );
    reload(&gate, &two);
    assert_eq!(
        refused(gate.desk(), "sso:bob", waiting.request(), Answer::Once).await,
        "rule-changed"
    );
    let denial = waiting.wait().await.unwrap_err();
    assert_eq!(rules(&denial), ["store.request.cancelled"]);
    // It is agreed to, and denied by the time it would run; or asked by one rule more than was agreed to.
    for (more, denies) in [
        (
            "@id(\"freeze\") forbid (principal, action == Action::\"tool:deploy\", resource);",
            true,
        ),
        (
            "@id(\"freeze\") @ask(\"oncall\") forbid (principal, action == Action::\"tool:deploy\", resource);",
            false,
        ),
    ] {
        reload(&gate, &files());
        let env = if denies { "lab" } else { "stage" };
        let waiting = asked(&session, "web", env).await;
        vote(gate.desk(), "sso:bob", waiting.request(), window(60_000, 9))
            .await
            .unwrap();
        let policy = String::from_utf8(files()["p.cedar"].clone()).unwrap();
        reload(&gate, &with("p.cedar", &format!("{policy}\n{more}")));
        let verdict = deploy(&session, "web", env).check().await;
        match verdict {
            Verdict::Deny(denial) => assert!(denies && rules(&denial) == ["policy.freeze"], "{denial}"),
            Verdict::Ask(_) => assert!(!denies),
            Verdict::Allow(permit) => panic!("{permit:?} by what was agreed to before"),
        }
        if denies {
            assert_eq!(rules(&waiting.wait().await.unwrap_err()), ["policy.freeze"]);
        }
    }
}

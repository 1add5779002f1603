//! Which requests are the same question.

use std::collections::BTreeSet;

use super::town::{asked, at, request};
use super::{Answer, Request, RequestId, State, Vote};
use crate::call::{Actor, CallDigest};
use crate::finding::RuleHash;
use crate::grant::FileMark;
use crate::label::Risk;
use crate::lock::LockPath;
use crate::notify::Card;

use super::town::{account, word};

fn question() -> Request {
    request(vec![
        asked("r", Some("oncall"), 1, false),
        asked("s", Some("leads"), 2, false),
    ])
}

fn path(change: &dyn Fn(&mut Actor), tool: &str) -> LockPath {
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.on_behalf_of = Some(word("alice"));
    change(&mut actor);
    LockPath::new(&actor, tool)
}

#[test]
fn the_same_question_is_known_by_caller_action_pins_and_rules_alone() {
    let first = question();
    let same: [fn(&mut Request); 16] = [
        |request| request.id = RequestId::mint(at(7)),
        |request| request.version = 3,
        |request| {
            request.digest = CallDigest::of_tool(&crate::call::Tool {
                name: word("stop"),
                arguments: crate::call::Args::new(),
            });
        },
        |request| request.resource.1 = "db".into(),
        |request| drop(request.facts.insert("target.name".into(), "db".into())),
        |request| request.risk = Risk::High,
        |request| request.labels.push("mutating".into()),
        |request| request.offer = None,
        |request| request.file = Some(FileMark::of("inode 7")),
        |request| request.card = Card::plain("restart db", Risk::High),
        |request| request.call = Some("{}".into()),
        |request| request.bundle = "c".into(),
        |request| (request.opened_at, request.deadline) = (at(1), at(2)),
        |request| {
            request.votes.push(Vote {
                person: word("bob"),
                account: account("sso:bob"),
                answer: Answer::Once,
                reason: None,
                card: "c".into(),
                at: at(0),
                own: false,
            });
        },
        |request| request.state = State::Expired,
        // The rules by name: a changed rule rests like the one it was. In any order, and however often.
        |request| {
            request.rules.reverse();
            request.rules.push(asked("r", None, 9, true));
            request
                .rules
                .iter_mut()
                .for_each(|asked| asked.hash = RuleHash::from_bytes([1; 32]));
            request.pins.push("target.kind".into());
        },
    ];
    for (n, change) in same.into_iter().enumerate() {
        let mut other = question();
        change(&mut other);
        assert_eq!(other.key(), first.key(), "change {n}");
    }
}

#[test]
fn any_other_caller_action_pin_or_rule_is_another_question() {
    let other: [&dyn Fn(&mut Request); 16] = [
        &|_| {},
        &|request| request.path = path(&|actor| actor.session = word("s-2"), "restart"),
        &|request| request.path = path(&|actor| actor.instance = Some(word("ops-7")), "restart"),
        &|request| request.path = path(&|actor| actor.role = word("dev"), "restart"),
        &|request| request.path = path(&|actor| actor.on_behalf_of = Some(word("bob")), "restart"),
        &|request| request.path = path(&|actor| actor.on_behalf_of = None, "restart"),
        &|request| request.path = path(&|actor| actor.parents = vec![word("planner")], "restart"),
        &|request| request.path = path(&|_| {}, "stop"),
        &|request| request.action = "tool:stop".into(),
        &|request| drop(request.facts.insert("target.kind".into(), "db".into())),
        &|request| drop(request.facts.insert("target.kind".into(), "".into())),
        &|request| drop(request.facts.remove("target.kind")),
        &|request| request.pins.push("command".into()),
        &|request| request.pins.clear(),
        &|request| drop(request.rules.pop()),
        &|request| request.rules.push(asked("t", Some("oncall"), 1, false)),
    ];
    let keys: BTreeSet<_> = other
        .iter()
        .map(|change| {
            let mut request = question();
            change(&mut request);
            request.key()
        })
        .collect();
    assert_eq!(keys.len(), other.len());
}

#[test]
fn no_field_of_a_question_can_be_taken_for_another() {
    let with = |pins: &[(&str, Option<&str>)], rules: &[&str]| {
        let mut request = question();
        request.facts.clear();
        request.pins = pins.iter().map(|(name, _)| (*name).into()).collect();
        for (name, value) in pins {
            request.facts.extend(value.map(|value| ((*name).into(), value.into())));
        }
        request.rules = rules.iter().map(|rule| asked(rule, None, 1, false)).collect();
        request.key()
    };
    let keys: BTreeSet<_> = [
        with(&[], &["a", "b"]),
        with(&[("rules", Some("policy.a"))], &["b"]),
        with(&[("rules", None)], &["b"]),
        with(&[("policy.a", Some("policy.b"))], &[]),
        with(&[("a", Some("b")), ("c", Some("d"))], &["a"]),
        with(&[("a", Some("bc")), ("", Some("d"))], &["a"]),
        with(&[("ab", Some("")), ("c", Some("d"))], &["a"]),
        with(&[("a", Some("b\0c")), ("d", None)], &["a"]),
        with(&[("a", Some("\u{ff}"))], &["a"]),
        with(&[("a", None)], &["a"]),
        with(&[("a", Some(""))], &["a"]),
        with(&[], &["a.b"]),
        with(&[], &["a"]),
    ]
    .into();
    assert_eq!(keys.len(), 13);
}

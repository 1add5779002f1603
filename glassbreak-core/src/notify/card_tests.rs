//! What somebody wrote stays in its place on a card: nothing is shown as something else, and no line is faked.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::attacks::attacks;
use super::card::{Card, Shown};
use crate::approval::{Asked, Offer};
use crate::bundle::Bundle;
use crate::call::{Actor, ArgValue, Args, Argv, Call, Conversation, Exec, Operation, Text, Tool, Word};
use crate::clock::Span;
use crate::facts::Fact;
use crate::finding::{Finding, Layer, Requirement, RuleHash, RuleId};
use crate::grant::Pins;
use crate::judge::{Judgement, refused};

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::read_only().unwrap());

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn judgement() -> Judgement {
    let rule = RuleId::new(Layer::Hygiene, "example").unwrap();
    refused(&BUNDLE, Finding::deny(rule, "an example", ""))
}

fn call(operation: Operation, reason: Option<&str>) -> Call {
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.parents = vec![word("planner")];
    Call {
        actor,
        operation,
        reason: reason.map(|reason| Text::new(reason).unwrap()),
        conversation: None,
    }
}

fn asked(id: &str, why: &str) -> Asked {
    Asked {
        rule: RuleId::known(Layer::Argv, id),
        hash: RuleHash::from_bytes([7; 32]),
        requirement: Requirement {
            group: Some(word("oncall")),
            ..Requirement::default()
        },
        why: why.into(),
    }
}

fn card_of(call: &Call, judgement: &Judgement, rules: &[Asked]) -> Card {
    let facts = Pins::from([("target.name".into(), "we\"b\n".into())]);
    let offer = Offer {
        span: Span::from_millis(60_000),
        uses: 3,
    };
    let shown = Shown {
        call,
        judgement,
        action: "tool:restart",
        labels: &["mutating".into()],
        possible: &[],
        rules,
        offer: Some(&offer),
        facts: &facts,
        pins: &["target.name".into()],
        file: None,
    };
    let card = Card::of(&shown);
    stays_in_place(&card);
    card
}

fn card(call: &Call) -> Card {
    card_of(call, &judgement(), &[asked("example", "it restarts")])
}

fn tool(arguments: Args) -> Call {
    let name = word("restart");
    call(Operation::Tool(Tool { name, arguments }), None)
}

fn exec(exec: Exec) -> Call {
    call(Operation::Exec(exec), None)
}

/// The titles in the order in which they may come.
const TITLES: [&str; 21] = [
    "beware",
    "runs",
    "in",
    "environment",
    "input",
    "calls",
    "with",
    "connects",
    "file",
    "changes",
    "acts on",
    "hands over",
    "asked by",
    "started by",
    "model",
    "for",
    "context",
    "stopped by",
    "may open",
    "not opened",
    "agent says",
];

/// Every line of the text begins with one title, in order, or goes on under it; there are as many lines as the card has
/// facts; and every character can be seen.
fn stays_in_place(card: &Card) {
    let text = card.text();
    assert!(
        text.chars()
            .all(|c| c == '\n' || c == ' ' || !(c.is_whitespace() || crate::text::is_unshowable(c)))
    );
    let says = usize::from(card.says.is_some());
    let facts: usize = card.sections.iter().map(|section| section.lines.len()).sum();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines.len(), 1 + facts + says, "{text}");
    assert!(lines[0].starts_with("HIGH risk: "));
    let mut place = 0;
    for line in &lines[1..] {
        let (title, _) = line.strip_prefix("  ").unwrap().split_at(12);
        if !title.trim().is_empty() {
            let next = TITLES.iter().position(|known| *known == title.trim_end()).unwrap();
            assert!(next >= place, "{text}");
            place = next;
        }
    }
}

fn section<'c>(card: &'c Card, title: &str) -> &'c [Box<str>] {
    let found = card.sections.iter().find(|section| &*section.title == title);
    found.map_or(&[], |section| &section.lines)
}

#[test]
fn nothing_in_the_words_of_a_program_fakes_a_line() {
    let mut taken = 0;
    for attack in attacks() {
        let Ok(argv) = Argv::new(["restart", &attack, "last"]) else {
            continue;
        };
        taken += 1;
        let card = card(&exec(Exec::new(argv)));
        let runs = section(&card, "runs");
        assert_eq!((runs.len(), &*runs[0], &*runs[2]), (3, "restart", "last"), "{attack:?}");
        assert!(card.is_whole());
    }
    assert!(taken > 10, "{taken}");
}

#[test]
fn nothing_in_environment_folder_and_input_fakes_a_line() {
    let base = || Exec::new(Argv::new(["restart"]).unwrap());
    for attack in attacks() {
        if let Ok(with) = base().with_env("NAME", &attack) {
            let card = card(&exec(with));
            assert_eq!(section(&card, "environment").len(), 1, "{attack:?}");
        }
        if let Ok(with) = base().in_folder(&attack) {
            assert_eq!(section(&card(&exec(with)), "in").len(), 1, "{attack:?}");
        }
        // Input is the one thing that has lines of its own, and each of them stays under its title.
        if let Ok(with) = base().with_stdin(attack.as_bytes()) {
            let card = card(&exec(with));
            let lines = attack.split_inclusive('\n').count().max(1);
            assert_eq!(section(&card, "input").len(), lines, "{attack:?}");
            assert!(card.is_whole());
        }
    }
}

#[test]
fn nothing_in_the_arguments_of_a_tool_fakes_a_line() {
    for attack in attacks() {
        let text = || ArgValue::Str(attack.as_str().into());
        let named = Args::from([(attack.as_str().into(), ArgValue::Bool(true))]);
        let deep = ArgValue::List(vec![text(), ArgValue::Record(named.clone())]);
        let card = card(&tool(Args::from([
            (attack.as_str().into(), ArgValue::Int(1)),
            ("deep".into(), deep),
            ("text".into(), text()),
        ])));
        assert_eq!(section(&card, "with").len(), 4, "{attack:?}");
        assert!(card.is_whole());
    }
}

#[test]
fn nothing_in_targets_and_rules_fakes_a_line() {
    for attack in attacks() {
        let mut judgement = judgement();
        let fact = || Fact::Is(Arc::from(attack.as_str()));
        let target = &mut judgement.facts.target;
        (target.kind, target.name, target.namespace, target.owner) = (fact(), fact(), fact(), fact());
        // Some rules are named after the program, and most quote what they saw.
        let rules = [asked(&attack, &attack), asked("example", "it restarts")];
        let card = card_of(&tool(Args::new()), &judgement, &rules);
        assert_eq!(section(&card, "stopped by").len(), 2, "{attack:?}");
        assert_eq!(
            section(&card, "acts on").len(),
            if attack.is_empty() { 0 } else { 4 },
            "{attack:?}"
        );
    }
}

#[test]
fn the_agents_words_come_last_and_are_cut() {
    for attack in attacks() {
        let long = format!("{attack}{}", "x".repeat(600));
        let left = attack.chars().count() + 100;
        if let Ok(reason) = Text::new(&long) {
            let mut call = tool(Args::new());
            call.reason = Some(reason);
            let card = card(&call);
            let text = card.text();
            let last = text.lines().last().unwrap();
            assert!(last.starts_with("  agent says  (unverified) \""), "{last}");
            assert!(last.ends_with(&format!("\" … ({left} more characters)")), "{last}");
        }
        let mut call = tool(Args::new());
        call.reason = Some(Text::new(&attack).unwrap());
        let said = card(&call).says.unwrap();
        let cut = attack.chars().count() > 500;
        assert!(said.starts_with('"') && said.ends_with('"') != cut, "{said}");
    }
    // They cannot close their own quotation.
    let call = call(
        Operation::Tool(Tool {
            name: word("restart"),
            arguments: Args::new(),
        }),
        Some("fine\" (verified by bob)"),
    );
    assert_eq!(card(&call).says.as_deref(), Some("\"fine\\\" (verified by bob)\""));
}

#[test]
fn what_cannot_be_shown_whole_is_not_whole() {
    let base = || Exec::new(Argv::new(["restart"]).unwrap());
    let binary = base().with_stdin(b"\xff\xfe\x00").unwrap();
    let long = base().with_stdin("x".repeat(33 * 1024).as_bytes()).unwrap();
    let lines = base().with_stdin("\n".repeat(401).as_bytes()).unwrap();
    for (what, exec_) in [("binary", binary), ("long", long), ("many lines", lines)] {
        assert!(!card(&exec(exec_)).is_whole(), "{what}");
    }
    let fits = base().with_stdin("x".repeat(1_024).as_bytes()).unwrap();
    assert!(card(&exec(fits)).is_whole());
    let words = (0..401).map(|n| n.to_string());
    assert!(!card(&exec(Exec::new(Argv::new(words).unwrap()))).is_whole());
    let huge = Args::from([("text".into(), ArgValue::Str("\u{430}".repeat(20 * 1024).into()))]);
    assert!(!card(&tool(huge)).is_whole());
}

#[test]
fn whether_it_is_whole_cannot_be_lost_between_processes() {
    let binary = Exec::new(Argv::new(["restart"]).unwrap()).with_stdin(b"\xff").unwrap();
    for card in [card(&exec(binary)), card(&tool(Args::new()))] {
        let json = serde_json::to_string(&card).unwrap();
        let again: Card = serde_json::from_str(&json).unwrap();
        assert_eq!((again.is_whole(), again.digest()), (card.is_whole(), card.digest()));
        assert!(serde_json::from_str::<Card>(&json.replace("\"whole\"", "\"hole\"")).is_err());
    }
}

#[test]
fn calls_that_differ_have_cards_that_differ() {
    let text = |text: &str| ArgValue::Str(text.into());
    let one = |name: &str, value: ArgValue| Args::from([(name.into(), value)]);
    let nested = |name: &str, value: ArgValue| ArgValue::Record(one(name, value));
    let mut calls: Vec<Call> = [
        Args::new(),
        one("a", nested("b", ArgValue::Int(1))),
        one("a.b", ArgValue::Int(1)),
        one("a = 1", text("x")),
        one("a", text("1 = \"x\"")),
        one("a", text("1\" = \"x")),
        one("a", ArgValue::Int(1)),
        one("a", text("1")),
        one("a", ArgValue::List(vec![ArgValue::Int(1)])),
        one("a[0]", ArgValue::Int(1)),
        one("a", ArgValue::List(Vec::new())),
        one("a", text("[]")),
        one("a", ArgValue::Record(Args::new())),
        one("a", text("{}")),
        one("a", ArgValue::Bool(true)),
        one("a", text("true")),
        one("a", text("b\n")),
        one("a", text("b\\n")),
        one("a", text("\u{202e}")),
        one("a", text("\\u{202e}")),
    ]
    .map(tool)
    .into();
    for words in [
        &["a", "b"][..],
        &["a b"],
        &["a", "\"b\""],
        &["a", "b "],
        &["a", ""],
        &["a", "\"\""],
        &["a", "b\\"],
    ] {
        calls.push(exec(Exec::new(Argv::new(words.iter().copied()).unwrap())));
    }
    let base = || Exec::new(Argv::new(["a"]).unwrap());
    calls.push(exec(base()));
    calls.push(exec(base().in_folder("the workspace").unwrap()));
    calls.push(exec(base().in_folder("docs").unwrap()));
    for value in ["b", "b ", "", "\"b\""] {
        calls.push(exec(base().with_env("A", value).unwrap()));
    }
    let digests: BTreeSet<_> = calls.iter().map(|call| card(call).digest()).collect();
    assert_eq!(digests.len(), calls.len());
}

#[test]
fn a_headline_cannot_be_taken_for_another() {
    let headline = |program: &str, kind: &str, name: &str| {
        let mut judgement = judgement();
        judgement.facts.target.kind = Fact::Is(kind.into());
        judgement.facts.target.name = Fact::Is(name.into());
        judgement.facts.target.namespace = Fact::Is("web".into());
        let argv = Argv::new([program]).unwrap();
        card_of(&exec(Exec::new(argv)), &judgement, &[]).headline
    };
    assert_eq!(&*headline("kubectl", "pod", "web-1"), "kubectl pod web-1 in web");
    assert_eq!(
        &*headline("kubectl get", "pod", "x in test\n"),
        "\"kubectl get\" pod \"x in test\\n\" in web"
    );
    assert_eq!(
        &*headline("kubectl", "pod", "\"x\""),
        "kubectl pod \"\\\"x\\\"\" in web"
    );
}

#[test]
fn the_conversation_is_shown_where_the_host_names_one() {
    let restart = || {
        let tool = Tool {
            name: word("restart"),
            arguments: Args::new(),
        };
        call(Operation::Tool(tool), None)
    };
    assert!(!card(&restart()).text().contains("context"));
    let mut call = restart();
    call.conversation = Some(Conversation {
        id: word("c-7"),
        digest: Some(word("d1")),
        link: Some(Text::new("https://x/\u{202e}c-7").unwrap()),
    });
    let text = card(&call).text();
    let expected = "  context     c-7\n              link https://x/\\u{202e}c-7\n              digest d1\n";
    assert!(text.contains(expected), "{text}");
}

//! Every rendering of every call: nothing alive in it, and the whole call can be read back from it.

use std::sync::{Arc, LazyLock};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::attacks::{attacks, odd};
use super::card::{Card, Shown};
use super::rows::{TITLE, Tone};
use super::sheet::Sheet;
use crate::approval::{Offer, Request, State, Vote};
use crate::bundle::Bundle;
use crate::call::{Actor, ArgValue, Args, Argv, Call, Conversation, Exec, Model, Operation, Text, Tool, Word};
use crate::clock::Span;
use crate::facts::Fact;
use crate::finding::{Finding, Layer, RuleId};
use crate::grant::Pins;
use crate::judge::{Judgement, refused};
use crate::label::Risk;

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::read_only().unwrap());

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// A text of nasty and of arbitrary characters.
fn text() -> impl Strategy<Value = String> {
    let odd: Vec<char> = odd().collect();
    let one = prop_oneof![
        3 => any::<char>(),
        3 => select(odd),
        3 => select(" \\\"=.[]{}()u20*,\n\tn'`$<>|…ab1\u{301}\u{430}\u{5d0}".chars().collect::<Vec<_>>()),
        1 => Just(' '),
    ];
    let any = vec(one, 0..24).prop_map(|all| all.into_iter().collect::<String>());
    prop_oneof![4 => any, 1 => select(attacks())]
}

fn value() -> impl Strategy<Value = ArgValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(ArgValue::Bool),
        any::<i64>().prop_map(ArgValue::Int),
        text().prop_map(|text| ArgValue::Str(text.into())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(ArgValue::List),
            args(inner).prop_map(ArgValue::Record),
        ]
    })
}

fn args(value: impl Strategy<Value = ArgValue>) -> impl Strategy<Value = Args> {
    btree_map(text().prop_map(Into::into), value, 0..4)
}

fn exec() -> impl Strategy<Value = Exec> {
    let env = vec((select(vec!["A", "NAME", "B_2"]), text()), 0..3);
    let stdin = proptest::option::of(text());
    (vec(text(), 1..5), text(), env, stdin).prop_filter_map("no call", |(words, cwd, env, stdin)| {
        let mut exec = Exec::new(Argv::new(words).ok()?);
        exec = exec.clone().in_folder(&cwd).unwrap_or(exec);
        for (name, value) in env {
            exec = exec.clone().with_env(name, &value).unwrap_or(exec);
        }
        Some(match stdin {
            Some(stdin) => exec.clone().with_stdin(stdin.as_bytes()).unwrap_or(exec),
            None => exec,
        })
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        exec().prop_map(Operation::Exec),
        args(value()).prop_map(|arguments| Operation::Tool(Tool {
            name: word("restart"),
            arguments,
        })),
    ]
}

/// A request about a call that holds `nasty` wherever an agent could put it.
fn request(operation: Operation, nasty: &str) -> Request {
    let rule = RuleId::new(Layer::Hygiene, "example").unwrap();
    let mut judgement: Judgement = refused(&BUNDLE, Finding::deny(rule, nasty.to_owned(), ""));
    let fact = || Fact::Is(Arc::from(nasty));
    let target = &mut judgement.facts.target;
    (target.kind, target.name, target.namespace, target.owner) = (fact(), fact(), fact(), fact());
    let name = |prefix: &str| {
        let ascii: String = nasty.chars().filter(char::is_ascii_alphanumeric).take(100).collect();
        word(&format!("{prefix}{ascii}"))
    };
    let mut actor = Actor::new(name("ops"), name("s"));
    actor.instance = Some(name("i"));
    actor.model = Some(Model {
        id: name("m"),
        digest: None,
    });
    let call = Call {
        actor,
        operation,
        reason: Text::new(nasty).ok(),
        conversation: Some(Conversation {
            id: name("c"),
            digest: None,
            link: Text::new(nasty).ok(),
        }),
    };
    let mut asked = crate::approval::town::asked("example", Some("oncall"), 2, false);
    asked.why = nasty.into();
    let mut request = crate::approval::town::request(vec![asked]);
    let offer = Offer {
        span: Span::from_millis(60_000),
        uses: 3,
    };
    request.card = Card::of(&Shown {
        call: &call,
        judgement: &judgement,
        action: nasty,
        labels: &["mutating".into()],
        possible: &["bulk".into()],
        rules: &request.rules,
        offer: Some(&offer),
        facts: &Pins::from([("target.name".into(), nasty.into())]),
        pins: &["target.name".into()],
        file: Some(nasty),
    });
    request.votes.push(Vote {
        person: word("bob"),
        account: crate::approval::town::account("sso:bob"),
        answer: crate::approval::Answer::Once,
        reason: Text::new(nasty).ok(),
        card: request.card.digest(),
        at: crate::approval::town::at(1),
        own: false,
    });
    request
}

fn can_be_seen(text: &str) -> bool {
    let blank = |c: char| c.is_whitespace() && c != ' ';
    !text
        .chars()
        .any(|c| c.is_control() || crate::text::is_unshowable(c) || blank(c) || "\u{2800}\u{fffc}".contains(c))
}

fn all_texts<'a>(json: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::String(text) => texts.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| all_texts(item, texts)),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            texts.push(name);
            all_texts(item, texts);
        }),
        _ => {}
    }
}

/// What must hold of every rendering.
fn renders_safely(request: &Request, nasty: &str) {
    let mut before = request.clone();
    before.id = crate::approval::RequestId::mint(crate::approval::town::at(7));
    before.state = State::Denied {
        why: nasty.into(),
        by: None,
    };
    let sheet = Sheet::of(request, Some(&[before]), crate::approval::town::at(9));
    for width in [40, 80, 200] {
        let (plain, colour) = (sheet.text(width), sheet.ansi(width));
        assert!(plain.split('\n').all(can_be_seen), "{plain:?}");
        let begins = [
            Tone::Risk(Risk::High),
            Tone::Risk(Risk::Medium),
            Tone::Risk(Risk::Low),
            Tone::Says,
        ];
        let mut bare = colour.replace(TITLE, "").replace("\u{1b}[0m", "");
        for tone in begins {
            bare = bare.replace(tone.begin(), "");
        }
        assert_eq!(bare, plain, "the colours are the only escapes");
        for row in plain.split('\n') {
            let columns: usize = row.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            assert!(columns <= width, "{row}");
        }
    }
    let json = sheet.json();
    let mut texts = Vec::new();
    all_texts(&json, &mut texts);
    for text in texts {
        assert!(can_be_seen(text), "{text:?}");
    }
    let whole = request.card.is_whole();
    assert_eq!(sheet.can_be_approved(), whole);
    assert_eq!(json["can_be_approved"], serde_json::Value::Bool(whole));
    let choices = super::page::choices(request);
    assert_eq!(
        choices.contains("once") || choices.contains("window"),
        whole,
        "{choices}"
    );
    assert_eq!(json["card"]["digest"].as_str(), Some(&*request.card.digest()));
}

/// What an escaped text stands for.
fn read(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            '\\' => out.push('\\'),
            '"' => out.push('"'),
            'u' => {
                let rest = chars.as_str().strip_prefix('{')?;
                let (number, rest) = rest.split_once('}')?;
                chars = rest.chars();
                let (number, times) = number.split_once('*').unwrap_or((number, "1"));
                let c = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
                out.extend(std::iter::repeat_n(c, times.parse().ok()?));
            }
            _ => return None,
        }
    }
    Some(out)
}

/// A text between quotes, and what comes after it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            '"' if !escaped => {
                let (quoted, after) = rest.split_at(at);
                return Some((read(quoted)?, after.strip_prefix('"')?));
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn read_word(line: &str) -> Option<String> {
    if !line.starts_with('"') {
        return read(line);
    }
    let (text, rest) = read_quoted(line)?;
    rest.is_empty().then_some(text)
}

/// One step on the way to an argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(String),
    Place(usize),
}

type Leaf = (Vec<Step>, String);

fn leaves(value: &ArgValue, way: &mut Vec<Step>, all: &mut Vec<Leaf>) {
    match value {
        ArgValue::List(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                way.push(Step::Place(n));
                leaves(item, way, all);
                way.pop();
            }
        }
        ArgValue::Record(args) if !args.is_empty() => {
            for (name, item) in args {
                way.push(Step::Name(name.to_string()));
                leaves(item, way, all);
                way.pop();
            }
        }
        leaf => all.push((way.clone(), format!("{leaf:?}"))),
    }
}

fn read_argument(line: &str) -> Option<Leaf> {
    let mut way = Vec::new();
    let mut rest = line;
    loop {
        if let Some(value) = rest.strip_prefix(" = ") {
            let leaf = match value {
                "true" => ArgValue::Bool(true),
                "false" => ArgValue::Bool(false),
                "[]" => ArgValue::List(Vec::new()),
                "{}" => ArgValue::Record(Args::new()),
                text if text.starts_with('"') => {
                    let (text, rest) = read_quoted(text)?;
                    rest.is_empty().then_some(())?;
                    ArgValue::Str(text.into())
                }
                number => ArgValue::Int(number.parse().ok()?),
            };
            return Some((way, format!("{leaf:?}")));
        }
        if let Some(place) = rest.strip_prefix('[') {
            let (place, after) = place.split_once(']')?;
            way.push(Step::Place(place.parse().ok()?));
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.starts_with('"') {
            let (name, after) = read_quoted(rest)?;
            way.push(Step::Name(name));
            rest = after;
        } else {
            let (name, after) = rest.split_at(rest.find(['.', '[', ' '])?);
            way.push(Step::Name(name.to_owned()));
            rest = after;
        }
    }
}

fn lines<'c>(card: &'c Card, title: &str) -> &'c [Box<str>] {
    let found = card.sections.iter().find(|section| &*section.title == title);
    found.map_or(&[], |section| &section.lines)
}

/// The whole call, read back from the card.
fn reads_back(card: &Card, operation: &Operation) {
    assert!(card.is_whole());
    match operation {
        Operation::Exec(exec) => {
            let words: Vec<String> = lines(card, "runs")
                .iter()
                .map(|line| read_word(line).unwrap())
                .collect();
            let expected: Vec<&str> = exec.argv().words().iter().map(|word| &**word).collect();
            assert_eq!(words, expected);
            let folder = &*lines(card, "in")[0];
            let folder = if folder == "the workspace" {
                String::new()
            } else {
                read_word(folder).unwrap()
            };
            assert_eq!(folder, if exec.cwd() == "." { "" } else { exec.cwd() });
            let env = lines(card, "environment").iter().map(|line| {
                let (name, value) = line.split_once('=').unwrap();
                (name.into(), read_word(value).unwrap().into_boxed_str())
            });
            assert_eq!(env.collect::<std::collections::BTreeMap<Box<str>, _>>(), *exec.env());
            let input: Option<String> = exec.stdin().map(|_| {
                let lines = lines(card, "input").iter();
                lines
                    .map(|line| read_word(line).or_else(|| read(line)).unwrap())
                    .collect()
            });
            assert_eq!(input.as_deref().map(str::as_bytes), exec.stdin());
        }
        Operation::Tool(tool) => {
            let mut expected = Vec::new();
            if !tool.arguments.is_empty() {
                leaves(
                    &ArgValue::Record(tool.arguments.clone()),
                    &mut Vec::new(),
                    &mut expected,
                );
            }
            let read: Vec<Leaf> = lines(card, "with")
                .iter()
                .map(|line| read_argument(line).unwrap())
                .collect();
            assert_eq!(read, expected);
        }
        Operation::Connect(_) => panic!("not generated"),
    }
}

#[test]
fn a23_no_attack_lives_in_any_rendering() {
    let mut taken = 0;
    for nasty in attacks() {
        let text = || ArgValue::Str(nasty.as_str().into());
        let arguments = Args::from([(nasty.as_str().into(), ArgValue::List(vec![text(), text()]))]);
        let tool = Operation::Tool(Tool {
            name: word("restart"),
            arguments,
        });
        let mut operations = vec![tool];
        if let Ok(argv) = Argv::new([nasty.as_str(), "x", nasty.as_str()]) {
            let mut exec = Exec::new(argv);
            exec = exec.clone().with_stdin(nasty.as_bytes()).unwrap_or(exec);
            exec = exec.clone().with_env("A", &nasty).unwrap_or(exec);
            exec = exec.clone().in_folder(&nasty).unwrap_or(exec);
            operations.push(Operation::Exec(exec));
            taken += 1;
        }
        for operation in operations {
            let request = request(operation.clone(), &nasty);
            renders_safely(&request, &nasty);
            reads_back(&request.card, &operation);
        }
    }
    assert!(taken > 10, "{taken}");
}

#[test]
fn a23_what_cannot_be_shown_whole_offers_no_yes_in_any_rendering() {
    let argv = || Argv::new(["restart"]).unwrap();
    let binary = Exec::new(argv()).with_stdin(b"\xff\0").unwrap();
    let long = Exec::new(argv()).with_stdin("x\n".repeat(500).as_bytes()).unwrap();
    let wide = Args::from([("a".into(), ArgValue::Str("\u{202e}".repeat(8_000).into()))]);
    let tool = Tool {
        name: word("restart"),
        arguments: wide,
    };
    for operation in [Operation::Exec(binary), Operation::Exec(long), Operation::Tool(tool)] {
        let request = request(operation, "x");
        assert!(!request.card.is_whole());
        renders_safely(&request, "x");
        let text = request.card.text();
        assert!(
            text.lines().nth(1).unwrap().contains("nobody can agree to it"),
            "{text}"
        );
    }
}

#[test]
fn what_is_escaped_is_told_at_the_top() {
    for c in odd() {
        let nasty = format!("a{c}b");
        let arguments = Args::from([("x".into(), ArgValue::Str(nasty.into()))]);
        let tool = Tool {
            name: word("restart"),
            arguments,
        };
        let card = request(Operation::Tool(tool), "").card;
        let told = lines(&card, "beware")
            .iter()
            .any(|line| line.contains(&format!("U+{:04X}", u32::from(c))));
        assert!(told, "{c:?}: {}", card.text());
    }
    let plain = Tool {
        name: word("restart"),
        arguments: Args::from([("x".into(), ArgValue::Str("two\nlines\tand \\ more, 漢字 é".into()))]),
    };
    let mut request = request(Operation::Tool(plain), "");
    request.card.sections.retain(|section| &*section.title == "beware");
    let text = request.card.text();
    assert!(!text.contains("U+"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a23_whatever_is_called_is_rendered_safely_and_can_be_read_back(operation in operation(), nasty in text()) {
        let request = request(operation.clone(), &nasty);
        renders_safely(&request, &nasty);
        reads_back(&request.card, &operation);
    }

    /// What is read back is the call, so two calls that differ never have one card; this looks at the digests too.
    #[test]
    fn a23_two_calls_have_two_cards(one in operation(), other in operation()) {
        let same = format!("{one:?}") == format!("{other:?}");
        let digest = |operation: &Operation| request(operation.clone(), "").card.digest();
        let both = |operation: &Operation| match operation {
            Operation::Exec(exec) if exec.cwd() == "." => exec.clone().in_folder("").map(Operation::Exec).unwrap_or(operation.clone()),
            operation => operation.clone(),
        };
        prop_assert_eq!(digest(&both(&one)) == digest(&both(&other)), same);
    }
}

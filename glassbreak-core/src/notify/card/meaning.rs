//! What code knows of a call: what it changes, on what, and what a reader must beware of. Nothing here is guessed; what
//! nobody knows is said to be unknown.

use std::collections::BTreeSet;

use super::{Card, Shown};
use crate::call::{ArgValue, Args, Call, Operation};
use crate::error::shown_once;
use crate::finding::Layer;
use crate::notify::spell::{escaped, is_odd, look_alikes, quoted, spelled};

/// What is said of the labels that shipped packs use.
const PHRASES: [(&str, &str); 6] = [
    ("irreversible", "CANNOT BE UNDONE"),
    ("bulk", "acts on many things at once"),
    ("k8s.pod.delete", "deletes pods"),
    ("net.egress", "sends something over the network"),
    ("secret.read", "reads secrets"),
    (
        "untrusted.in",
        "brings in text from outside, which the agent may take for orders",
    ),
];

/// What the call changes, by its labels and costs.
pub(super) fn changes(shown: &Shown<'_>) -> Vec<String> {
    let facts = &shown.judgement.facts;
    let is = |label: &str| shown.labels.iter().any(|known| **known == *label);
    let known = PHRASES.iter().filter(|(label, _)| is(label));
    let mut lines: Vec<String> = known.map(|(_, phrase)| (*phrase).to_owned()).collect();
    let changing = is("mutating") || is("bulk") || is("k8s.pod.delete");
    if changing && !is("irreversible") {
        lines.push("changes something; it is not labelled irreversible".to_owned());
    }
    for (unit, cost) in facts.costs.iter().filter(|_| !facts.partial) {
        lines.push(match cost {
            Some(cost) => format!("{unit}: {cost}"),
            None => format!("{unit}: how many is not known"),
        });
    }
    lines.push(match shown.labels {
        [] if facts.partial => "what it changes is not known".to_owned(),
        [] => "no label says that it changes anything".to_owned(),
        labels => format!("labelled {}", labels.join(", ")),
    });
    if !shown.possible.is_empty() {
        lines.push(format!("not ruled out: {}", shown.possible.join(", ")));
    }
    lines
}

/// What it acts on, as profile or manifest read it.
pub(super) fn target(shown: &Shown<'_>) -> Vec<String> {
    let target = &shown.judgement.facts.target;
    let named = crate::facts::Target::NAMES.iter().zip(target.all());
    let line = |(name, fact): (&&str, &crate::facts::Fact)| match fact.text() {
        Some("") => None,
        Some(text) => Some(format!("{name} {}", spelled(text))),
        None => Some(format!("{name}: several, or more than it names")),
    };
    named.filter_map(line).collect()
}

/// What a tired reader must not overlook.
pub(super) fn beware(shown: &Shown<'_>, card: &Card) -> Vec<String> {
    let mut lines = Vec::new();
    if shown.judgement.facts.partial {
        lines.push("not understood whole: treat it as able to do anything".to_owned());
        let findings = shown.judgement.ruling.findings().iter();
        let argv = findings.filter(|finding| finding.rule().layer() == Some(Layer::Argv));
        lines.extend(argv.map(|finding| shown_once(finding.why())));
    }
    let mut found = BTreeSet::new();
    let facts = card.sections.iter().flat_map(|section| section.lines.iter());
    facts.chain(card.says.iter()).for_each(|line| escaped(line, &mut found));
    if !found.is_empty() {
        const MOST: usize = 8;
        let mut numbers: Vec<String> = found
            .iter()
            .take(MOST)
            .map(|number| format!("U+{number:04X}"))
            .collect();
        if found.len() > MOST {
            numbers.push(format!("and {} more", found.len() - MOST));
        }
        lines.push(format!(
            "characters that cannot be seen, or move others, are written as \\u{{…}}: {}",
            numbers.join(", ")
        ));
    }
    let mut texts = Vec::new();
    every_text(shown.call, &mut texts);
    lines.extend(look_alikes(texts.iter().copied()));
    if let Operation::Connect(connect) = &shown.call.operation
        && is_odd(connect.host.as_str())
    {
        lines.push(format!(
            "the host {} stands for a name in other letters",
            quoted(connect.host.as_str())
        ));
    }
    lines
}

/// Every text of the operation.
fn every_text<'a>(call: &'a Call, texts: &mut Vec<&'a str>) {
    match &call.operation {
        Operation::Exec(exec) => {
            texts.extend(exec.argv().words().iter().map(|word| &**word));
            texts.push(exec.cwd());
            texts.extend(exec.env().values().map(|value| &**value));
            texts.extend(exec.stdin().and_then(|bytes| std::str::from_utf8(bytes).ok()));
        }
        Operation::Tool(tool) => of_arguments(&tool.arguments, texts),
        Operation::Connect(_) => {}
    }
}

fn of_arguments<'a>(args: &'a Args, texts: &mut Vec<&'a str>) {
    for (name, value) in args {
        texts.push(name);
        of_value(value, texts);
    }
}

fn of_value<'a>(value: &'a ArgValue, texts: &mut Vec<&'a str>) {
    match value {
        ArgValue::Str(text) => texts.push(text),
        ArgValue::List(items) => items.iter().for_each(|item| of_value(item, texts)),
        ArgValue::Record(args) => of_arguments(args, texts),
        ArgValue::Bool(_) | ArgValue::Int(_) | ArgValue::Secret(_) => {}
    }
}

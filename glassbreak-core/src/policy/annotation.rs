//! What stands before a policy: its id, and for a soft forbid who must agree.
//!
//! A misspelt key must not pass: `@aks("oncall") forbid` would be a plain forbid, which is safe, but
//! `@widow("5m")` would silently be an ask without a window.

use cedar_policy::{Effect, Policy};

use crate::call::Word;
use crate::clock::Span;
use crate::error::{Problem, shown};
use crate::finding::{Layer, Requirement, RuleId};
use crate::people::People;
use crate::source::Source;
use crate::text;

use super::validate::suggest;

const KEYS: [&str; 6] = ["id", "ask", "window", "quorum", "self", "reason"];
const MAX_ID: usize = 128;
const MAX_REASON: usize = 512;
const MAX_QUORUM: u8 = 20;
/// Ids that findings of this layer itself go by.
const TAKEN: [&str; 9] = [
    "approve",
    "operate",
    "no-permit",
    "unknown-role",
    "unknown-action",
    "context-too-large",
    "facts",
    "internal",
    "oracle",
];

/// What was read.
#[derive(Debug)]
pub(super) struct Annotations {
    pub(super) id: Box<str>,
    pub(super) reason: Option<Box<str>>,
    /// Of a soft forbid.
    pub(super) requirement: Option<Requirement>,
}

/// Reads the annotations of `policy`, which begins at the byte `at`.
pub(super) fn read(
    policy: &Policy,
    source: &Source<'_>,
    at: usize,
    people: &People,
) -> Result<Annotations, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut id = None;
    let mut reason = None;
    let mut ask = None;
    let mut requirement = Requirement::default();
    // The first key that makes sense with `@ask` only.
    let mut qualifies = None;
    for (key, annotation) in policy.as_ref().annotations() {
        let key: &str = key.as_ref();
        let value: &str = annotation.as_ref();
        let here = annotation.loc.as_ref().map_or(at, |place| place.start());
        let read = match key {
            "id" => read_id(value).map(|value| id = Some(value)),
            "reason" => read_reason(value).map(|value| reason = Some(value)),
            "ask" => read_group(value, people).map(|group| ask = Some((group, here))),
            "window" => read_window(value).map(|window| requirement.window = Some(window)),
            "quorum" => read_quorum(value).map(|quorum| requirement.quorum = quorum),
            "self" => read_self(value).map(|()| requirement.self_approval = true),
            _ => Err((
                format!("there is no annotation `@{}`", shown(key)),
                suggest(
                    key,
                    KEYS,
                    "write `@id`, `@ask`, `@window`, `@quorum`, `@self` or `@reason`",
                ),
            )),
        };
        if let Err((what, help)) = read {
            problems.push(source.problem(here, what, help));
        }
        if matches!(key, "window" | "quorum" | "self") {
            qualifies.get_or_insert((key.to_owned(), here));
        }
    }
    match (&ask, policy.effect(), qualifies) {
        (Some((_, here)), Effect::Permit, _) => problems.push(source.problem(
            *here,
            "`@ask` stands on a permit",
            "write `@ask` on a forbid: it asks where the forbid holds",
        )),
        (None, _, Some((key, here))) if !stands(policy, "ask") => problems.push(source.problem(
            here,
            format!("`@{key}` stands without `@ask`"),
            "add `@ask(\"group\")`, or remove it",
        )),
        _ => {}
    }
    if !stands(policy, "id") {
        let help = "write `@id(\"a-name\")` before it; records, grants and refusals name it";
        problems.push(source.problem(at, "this policy has no `@id`", help));
    }
    match id {
        Some(id) if problems.is_empty() => Ok(Annotations {
            id,
            reason,
            requirement: ask.map(|(group, _)| Requirement {
                group: Some(group),
                ..requirement
            }),
        }),
        // Where it has a good id, it is named by that.
        Some(id) => Err(problems.iter().map(|problem| named(&id, problem)).collect()),
        None => Err(problems),
    }
}

fn named(id: &str, problem: &Problem) -> Problem {
    let what = format!("policy `{id}`: {}", problem.what());
    Problem::at(problem.file(), problem.line(), problem.column(), what, problem.help())
}

/// Whether the annotation stands before it, whatever it says. Cedar would parse the key to look.
fn stands(policy: &Policy, key: &str) -> bool {
    policy.as_ref().annotations().any(|(known, _)| {
        let known: &str = known.as_ref();
        known == key
    })
}

type Bad = (String, String);

fn read_id(value: &str) -> Result<Box<str>, Bad> {
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let plain = value.len() <= MAX_ID && value.bytes().all(fit) && RuleId::new(Layer::Policy, value).is_ok();
    if !plain {
        let what = format!("`{}` is not an id", shown(value));
        return Err((what, "write letters, digits, `_`, `-` and `.`, at most 128".to_owned()));
    }
    // Else `x.error` could mean the policy `x` in error, or another policy; and grants lift rules by name.
    if TAKEN.contains(&value) || value.ends_with(".error") || value.ends_with(".partial") {
        let what = format!("the id `{value}` is taken");
        return Err((
            what,
            "choose another; ids may not end in `.error` or `.partial`".to_owned(),
        ));
    }
    Ok(value.into())
}

fn read_reason(value: &str) -> Result<Box<str>, Bad> {
    let shown_as_is = !value.trim().is_empty() && value.len() <= MAX_REASON && !value.contains(['\n', '\t']);
    if shown_as_is && text::check(value).is_ok() {
        return Ok(value.into());
    }
    let help = "write one line of at most 512 bytes, without characters that cannot be shown";
    Err(("this `@reason` cannot be shown".to_owned(), help.to_owned()))
}

fn read_group(value: &str, people: &People) -> Result<Word, Bad> {
    let declared = people.groups().find(|group| group.as_str() == value);
    declared.cloned().ok_or_else(|| {
        let what = format!("no group `{}` is declared", shown(value));
        let known = people.groups().map(Word::as_str);
        (what, suggest(value, known, "declare it in people.toml"))
    })
}

fn read_window(value: &str) -> Result<Span, Bad> {
    Span::from_word(value).map_err(|bad| (bad.to_string(), "write `@window(\"5m\")`".to_owned()))
}

fn read_quorum(value: &str) -> Result<u8, Bad> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(n @ 1..=MAX_QUORUM) if digits => Ok(n),
        _ => {
            let what = format!("`{}` is not a quorum", shown(value));
            Err((what, "write a number from 1 to 20, as in `@quorum(\"2\")`".to_owned()))
        }
    }
}

fn read_self(value: &str) -> Result<(), Bad> {
    if value == "allow" {
        return Ok(());
    }
    let what = format!("`@self(\"{}\")` is not known", shown(value));
    Err((what, "write `@self(\"allow\")`, or leave it out".to_owned()))
}

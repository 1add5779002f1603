//! What is checked of all policies together, and how Cedar's words become ours.

use std::collections::HashSet;
use std::fmt::Write as _;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;

use crate::error::{Problem, nearest, shown};
use crate::source::Source;
use crate::text;

use super::entities::Snapshot;
use super::load::Read;

/// Refuses what Cedar's strict validator objects to or warns of, and names that nothing declares.
pub(super) fn validate(
    read: &[Read],
    files: &[Source<'_>],
    schema: &Schema,
    snapshot: &Snapshot,
) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut refused = HashSet::new();
    let place = |id: &PolicyId| {
        let found = read.iter().find(|read| read.policy.id() == id);
        found.and_then(|read| files.get(read.file).map(|file| (file, read.at)))
    };
    let object = |id: &PolicyId, error: &dyn Diagnostic, help: &str| match place(id) {
        Some((file, at)) => problem_from(error, Some(id), file, at, help),
        None => Problem::in_file(".", one_line(error), help),
    };
    let set = match PolicySet::from_policies(read.iter().map(|read| read.policy.clone())) {
        Ok(set) => set,
        Err(error) => return Err(vec![Problem::in_file(".", one_line(&error), "report this")]),
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    for error in result.validation_errors() {
        refused.insert(error.policy_id().clone());
        problems.push(object(
            error.policy_id(),
            error,
            "see `glassbreak schema` for what a call has",
        ));
    }
    for warning in result.validation_warnings() {
        // A policy that does not type-check, or whose scope nothing meets, is also impossible: once is enough.
        if refused.insert(warning.policy_id().clone()) {
            let help = match warning {
                ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                    "correct or remove it: it can never hold"
                }
                _ => "write what cannot be mistaken for something else",
            };
            problems.push(object(warning.policy_id(), warning, help));
        }
    }
    // Cedar checks a policy once for every action it may meet, and says the same thing each time.
    problems.sort();
    problems.dedup_by(|a, b| (a.file(), a.line(), a.column()) == (b.file(), b.line(), b.column()));
    for read in read {
        let Some(file) = files.get(read.file) else { continue };
        for name in read.policy.entity_literals() {
            if let Err(near) = snapshot.declared(&name) {
                let name_shown = shown(&name.to_string());
                let what = format!("policy `{}`: `{name_shown}` is not declared", read.rule.id);
                let help = match near {
                    Some(near) => format!("did you mean `{}`?", shown(&near)),
                    None => "declare it, or remove the policy: it would never match".to_owned(),
                };
                // The literal, as it is most often written; else the policy.
                let text = file.text.get(read.at..).unwrap_or("");
                let at = read.at + text.find(&name.to_string()).unwrap_or(0);
                problems.push(file.problem(at, what, help));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What Cedar says, at the place it says it of.
pub(super) fn problem_of(error: &dyn Diagnostic, source: &Source<'_>, help: &str) -> Problem {
    problem_from(error, None, source, 0, help)
}

fn problem_from(
    error: &dyn Diagnostic,
    policy: Option<&PolicyId>,
    source: &Source<'_>,
    otherwise: usize,
    help: &str,
) -> Problem {
    let at = error
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(otherwise, |label| label.offset());
    let help = error
        .help()
        .map_or_else(|| help.to_owned(), |help| cleaned(&help.to_string()));
    let what = one_line(error);
    // Most of what Cedar says of a policy names it, but not all.
    let policy = policy.map(|id| format!("policy `{id}`"));
    match policy.filter(|policy| !what.contains(policy)) {
        Some(policy) => source.problem(at, format!("{policy}: {what}"), help),
        None => source.problem(at, what, help),
    }
}

/// An error and its causes in one line.
pub(super) fn one_line(error: &dyn Diagnostic) -> String {
    let mut out = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !out.contains(&text) {
            let _ = write!(out, ": {text}");
        }
        cause = error.source();
    }
    cleaned(&out)
}

/// In one line, with what cannot be shown escaped.
fn cleaned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if text::is_unshowable(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A nearest-name suggestion, else what stands in its place.
pub(super) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

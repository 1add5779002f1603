//! Programs that run another: `timeout 5 kubectl get pods` is a call of kubectl.
//!
//! What is run is judged by its own profile, as if it had been called alone, and the stricter of the two verdicts
//! counts. Facts, target and labels are those of the program that is run, so that policies, budgets and locks about it
//! hold however it is wrapped; what it would be run with (words and variables that its profile puts in) is put in here
//! too. A wrapper whose own words are not understood hides nothing: programs named behind them count as run.

use std::sync::Arc;

use super::parse::Role;
use super::plan::ExecPlan;
use super::program::Program;
use super::types::{Ground, rule};
use super::{Judged, Others, deny, environment, judge_any};
use crate::call::{Argv, Exec};
use crate::error::shown;
use crate::facts::ArgvFacts;
use crate::finding::{Finding, Level};

/// How deep wrappers may be nested.
const MOST_DEPTH: u8 = 4;

/// The command that a form's slot has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// The place of its name among the words.
    pub(crate) at: usize,
    /// Whether the program adds words of its own to it.
    pub(crate) adds_words: bool,
}

/// Judges the command at `command` and joins it to what was judged of the wrapper.
pub(crate) fn join(
    program: &Program,
    outer: Judged,
    exec: &Exec,
    command: Command,
    ground: Ground<'_>,
    others: Others<'_>,
) -> Judged {
    let Some(mut inner) = judge_inner(exec, command.at, ground, others) else {
        let why = format!("wrappers are nested deeper than {MOST_DEPTH}, or what they run is no call");
        let finding = Finding::deny(rule(&program.name, "command"), why, "call the program itself");
        return with(outer, finding);
    };
    if command.adds_words {
        let why = format!(
            "`{}` adds words to `{}` that this call does not show",
            program.name, inner.facts.program
        );
        inner.findings.push(Finding::ask(
            rule(&program.name, "adds-words"),
            why,
            super::refuse::ASK_FOR_IT,
            None,
        ));
        inner.partial = true;
    }
    let mut findings: Vec<Finding> = outer.findings;
    findings.append(&mut inner.findings);
    // One clear finding says which rule let the call pass; none is needed beside an objection.
    let objects = findings.iter().any(|finding| finding.level() > Level::Note);
    let mut clear = findings
        .iter()
        .filter(|finding| finding.level() == Level::Clear)
        .count();
    findings.retain(|finding| {
        let drop = finding.level() == Level::Clear && (objects || clear > 1);
        clear -= usize::from(drop);
        !drop
    });
    let mut roles = outer.roles;
    roles.truncate(command.at);
    roles.push(Role::Command);
    roles.extend(inner.roles.into_iter().skip(1));
    let partial = outer.partial || inner.partial;
    Judged {
        findings,
        labels: outer.labels.union(inner.labels),
        // How much is only known of a call that is understood whole.
        costs: inner
            .costs
            .into_iter()
            .map(|(unit, cost)| (unit, cost.filter(|_| !partial)))
            .collect(),
        possible_labels: outer.possible_labels.union(inner.possible_labels),
        partial,
        plan: ExecPlan::around(outer.plan, exec.argv().words().len() - command.at, inner.plan),
        paths: outer.paths.into_iter().chain(inner.paths).collect(),
        program_at: command.at + inner.program_at,
        roles,
        facts: inner.facts,
        target: inner.target,
    }
}

fn judge_inner(exec: &Exec, at: usize, ground: Ground<'_>, others: Others<'_>) -> Option<Judged> {
    let depth = others.depth.checked_add(1).filter(|depth| *depth <= MOST_DEPTH)?;
    let argv = Argv::new(exec.argv().words().get(at..)?.iter().cloned()).ok()?;
    Some(judge_any(&exec.running(argv), ground, Others { depth, ..others }))
}

/// Adds to the judgement of a wrapper that was not understood what the programs named in it might be run for: what they
/// deny in the words behind their names. The call counts as one of the program it names, and two are too many.
pub(crate) fn suspect(program: &Program, mut outer: Judged, words: &[Box<str>], others: Others<'_>) -> Judged {
    let open = |role: &Role| matches!(role, Role::Operand(_) | Role::Unread | Role::Unknown | Role::Value(_));
    let mut named: Vec<(usize, &Program)> = Vec::new();
    for (at, word) in words.iter().enumerate().skip(1) {
        if !outer.roles.get(at).is_some_and(open) {
            continue;
        }
        if let Some(finding) = deny::never(word) {
            outer.findings.push(finding);
        }
        if let Some((variable, _)) = word.split_once('=').filter(|(name, _)| environment::is_loader(name)) {
            outer.findings.push(environment::refuse(&program.name, variable));
        }
        // Two are denied whatever they would be run for, so no more is looked for than that: the cost stays linear.
        let found = others
            .find(word)
            .filter(|found| found.name != program.name && named.len() < 2);
        if let Some(found) = found.filter(|found| named.iter().all(|(_, known)| known.name != found.name)) {
            if named.is_empty() {
                let behind = words.get(at..).unwrap_or_default();
                outer.findings.extend(deny::suspect(found, behind));
            }
            outer.possible_labels = outer.possible_labels.union(found.all_labels);
            named.push((at, found));
        }
    }
    outer.findings.dedup();
    match named.as_slice() {
        [] => outer,
        [(at, found)] => {
            outer.program_at = *at;
            outer.costs = found.costs.iter().map(|(unit, _)| (Arc::clone(unit), None)).collect();
            outer.facts = ArgvFacts {
                program: Arc::clone(&found.name),
                listed: true,
                operands: outer.facts.operands,
                sets: found
                    .sets
                    .iter()
                    .map(|name| (Arc::clone(name), Default::default()))
                    .collect(),
                ..ArgvFacts::default()
            };
            outer
        }
        [(_, first), (_, second), ..] => {
            let why = format!(
                "`{}` may run `{}` or `{}`",
                shown(&program.name),
                first.name,
                second.name
            );
            let finding = Finding::deny(rule(&program.name, "command"), why, "call the program itself");
            with(outer, finding)
        }
    }
}

fn with(mut judged: Judged, finding: Finding) -> Judged {
    judged.findings.push(finding);
    judged.partial = true;
    judged
}

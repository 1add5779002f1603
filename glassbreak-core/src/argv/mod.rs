//! Programs and their words: what may run, and what a call of it means.
//!
//! Filters on strings and lists of bad flags are beaten by spelling. Here every program has a [profile]
//! that says how *it* reads its words; a call is read the same way, and each word must be covered by exactly one
//! rule. Outcomes only ever rise: allow, ask, deny; there is no order, no priority and no exception that lowers one.
//!
//! The way of a call, all of it a pure function of values:
//!
//! 1. `identity`: the program by its bare name, exactly;
//! 2. `parse`: words by the program's dialect, verb by verb, until one is not understood;
//! 3. `forms`: operands by the first form of the verb that fits, each of a type;
//! 4. `deny`: denied options and verbs in every spelling behind a word that was not understood;
//! 5. `environment`: the variables that the call adds;
//! 6. `wrapper`: the program that a program runs, by its own profile, from 1 again;
//! 7. `plan`: what would run, an [`ExecPlan`].
//!
//! Loading is apart: [`profile`] is the file format, `safe_bins`, `write_up` and `packs` read it, `compile` makes of it what
//! judging uses, `examples` tries it, and `listed` keeps it; a shipped pack is read when it is first needed. Rule ids are `argv.<program>.<verb>` for a verb, `argv.<program>[.<verb>].--option` for
//! an option, `argv.<program>.unknown-option` and the like for a word that is not covered, and `argv.unlisted.*` for a
//! program without a profile.
//!
//! **Invariant**: this module knows nothing of Cedar, budgets, time or files on disk.

mod canonical;
mod compile;
mod compile_types;
mod compile_whole;
mod deny;
#[cfg(test)]
mod dialect_tests;
mod environment;
mod examples;
mod explain;
mod forms;
mod identity;
mod known;
mod listed;
mod names;
mod nearest;
mod packs;
mod parse;
mod path;
mod pattern;
mod pins;
mod plan;
pub mod profile;
mod program;
mod refuse;
mod safe_bins;
mod script;
#[cfg(test)]
mod spelling_tests;
mod types;
mod url;
mod wrapper;
#[cfg(test)]
mod wrapper_tests;
mod write_up;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::explain::Token;
pub use self::known::KnownOption;
use self::listed::{Listed, Table};
pub use self::parse::Role;
pub use self::plan::ExecPlan;
use self::profile::Verdict;
use self::program::{FactRef, Program};
use self::types::{Ground, Said};
use crate::call::{Exec, Workspace};
use crate::error::{Problem, Problems};
use crate::facts::{ArgvFacts, PinFact, Target};
use crate::finding::{Finding, Layer, Outcome, RuleId};
use crate::label::{LabelSet, Vocabulary};
use crate::shape::ProgramShape;
use crate::source::Source;

/// The programs that have a profile.
#[derive(Debug)]
pub struct Programs {
    by_name: Table,
    unlisted: Outcome,
    every_label: LabelSet,
}

/// What the argv engine says of a call.
#[derive(Debug)]
pub struct Judged {
    /// Its objections, or one clear finding that names the rule which let the call pass.
    pub findings: Vec<Finding>,
    /// The facts.
    pub facts: ArgvFacts,
    /// What it acts on.
    pub target: Target,
    /// What it means.
    pub labels: LabelSet,
    /// What it costs, by unit; `None` where the words do not say how much.
    pub costs: Vec<(Arc<str>, Option<u64>)>,
    /// What it might mean: every label that the profile could give, when it was not understood to its end.
    pub possible_labels: LabelSet,
    /// Whether some word was not covered by exactly one rule.
    pub partial: bool,
    /// What would run.
    pub plan: ExecPlan,
    /// The words that name paths: whoever runs the plan looks where they lead on disk.
    pub paths: Vec<Box<str>>,
    /// What each word was taken for: the certificate of coverage.
    pub roles: Vec<Role>,
    /// The place of the word that names the program the facts are of: 0, or behind a wrapper.
    pub program_at: usize,
}

/// The programs that a judged program may run in its turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others<'a> {
    programs: &'a Table,
    unlisted: Outcome,
    every_label: LabelSet,
    /// How many wrappers stand around.
    depth: u8,
}

impl<'a> Others<'a> {
    /// For examples: no program beside these is known, and what is not known is denied.
    pub(crate) const fn of(programs: &'a Table) -> Self {
        Self {
            programs,
            unlisted: Outcome::Deny,
            every_label: LabelSet::EMPTY,
            depth: 0,
        }
    }

    fn find(&self, name: &str) -> Option<&'a Program> {
        listed::find(self.programs, name).map(Listed::program)
    }
}

impl Programs {
    /// Reads `safe-bins.toml` or `safe-bins.json`; with neither, no program has a profile.
    ///
    /// Returns the programs, and reports on profiles that load but have a hole.
    pub(crate) fn load(
        source: Option<Source<'_>>,
        unlisted: Outcome,
        vocabulary: &Vocabulary,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (by_name, lints) = match source {
            None => (Table::new(), Vec::new()),
            Some(source) if source.file.ends_with(".json") => safe_bins::load_json(source, vocabulary)?,
            Some(source) => safe_bins::load_toml(source, vocabulary)?,
        };
        let every_label = vocabulary.words().filter_map(|word| vocabulary.get(word)).collect();
        Ok((
            Self {
                by_name,
                unlisted,
                every_label,
            },
            lints,
        ))
    }

    /// The shipped packs, every one of them and nothing else; a program without one is denied.
    ///
    /// # Errors
    /// When a shipped pack is broken.
    pub fn shipped() -> Result<Self, Problems> {
        let vocabulary = Vocabulary::built_in();
        let mut by_name = Table::new();
        for (file, _) in packs::PACKS {
            let shipped = listed::shipped(file).ok_or_else(|| Problems::new(vec![packs::missing(file)]))?;
            let listed = Listed::Shipped(shipped);
            by_name.insert(listed.name().into(), listed);
        }
        Ok(Self {
            by_name,
            unlisted: Outcome::Deny,
            every_label: vocabulary.words().filter_map(|word| vocabulary.get(word)).collect(),
        })
    }

    /// The name and text of each shipped pack. All are a part of every bundle's digest.
    pub fn pack_texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        packs::PACKS.iter().copied()
    }

    /// What the schema needs to know of the programs.
    pub(crate) fn shapes(&self) -> Vec<ProgramShape> {
        self.by_name.values().map(Listed::shape).collect()
    }

    /// The programs' names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.by_name.keys().map(|name| &**name)
    }

    /// The name of the profile that a call beginning with `word` is judged by: `word` itself, or the name it is an alias
    /// of.
    pub fn name_of(&self, word: &str) -> Option<&str> {
        listed::find(&self.by_name, word).map(Listed::name)
    }

    /// All names of the profile that a call beginning with `word` is judged by; none where it has no profile.
    #[cfg(target_os = "linux")]
    pub(crate) fn called(&self, word: &str) -> impl Iterator<Item = &str> {
        listed::find(&self.by_name, word).into_iter().flat_map(Listed::called)
    }

    /// The profile that a call beginning with `word` is judged by.
    pub(crate) fn find(&self, word: &str) -> Option<&Program> {
        listed::find(&self.by_name, word).map(Listed::program)
    }

    /// For each program: its name, the version its profile was written for, what the profile allows, and its pins.
    pub fn list(&self) -> impl Iterator<Item = (&str, Option<&str>, Option<&str>, &[PinFact])> {
        self.by_name
            .values()
            .map(|listed| (listed.name(), listed.version(), listed.about(), listed.pins()))
    }

    /// What a window grant for `program` holds fixed, beside the command and the kind of target. Nothing more for a
    /// program without profile: it gets no window.
    pub fn pins(&self, program: &str) -> &[PinFact] {
        self.by_name.get(program).map_or(&[], Listed::pins)
    }

    /// A hash of the profile of each program that `rule` can be of; none for a rule of programs without profile.
    ///
    /// The names of programs may hold dots, so a rule can look like one of two programs: it counts as of both.
    pub(crate) fn hashes_of<'a>(&'a self, rule: &'a RuleId) -> impl Iterator<Item = (&'a str, &'a [u8; 32])> {
        let prefix = Layer::Argv.as_str();
        let said = rule
            .as_str()
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('.'));
        let programs = self.by_name.values().filter(move |program| {
            let rest = said.and_then(|said| said.strip_prefix(program.name()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        programs.map(|program| (program.name(), program.hash()))
    }

    /// The interpreter that the profile names for `program`, if that is a script.
    pub fn interpreter(&self, program: &str) -> Option<&str> {
        listed::find(&self.by_name, program)?.interpreter()
    }

    const fn others(&self) -> Others<'_> {
        Others {
            programs: &self.by_name,
            unlisted: self.unlisted,
            every_label: self.every_label,
            depth: 0,
        }
    }

    /// Judges a call. `cwd` is its working folder, relative to `workspace`.
    pub fn judge(&self, exec: &Exec, cwd: &str, workspace: &Workspace) -> Judged {
        judge_any(exec, Ground { workspace, cwd }, self.others())
    }
}

/// Judges a call of whatever program.
fn judge_any(exec: &Exec, ground: Ground<'_>, others: Others<'_>) -> Judged {
    match others.find(exec.argv().program()) {
        Some(program) => judge_listed(program, exec, ground, others),
        None => judge_unlisted(exec, ground.cwd, others),
    }
}

fn judge_unlisted(exec: &Exec, cwd: &str, others: Others<'_>) -> Judged {
    let name = exec.argv().program();
    let known = others.programs.values().flat_map(Listed::called);
    let mut findings = vec![identity::unlisted(name, others.unlisted, known)];
    findings.extend(environment::check(None, exec.env()).0);
    let words = exec.argv().words();
    let mut roles = vec![Role::Unread; words.len()];
    if let Some(first) = roles.first_mut() {
        *first = Role::Unknown;
    }
    Judged {
        findings,
        facts: ArgvFacts {
            program: name.into(),
            operands: words.iter().skip(1).cloned().collect(),
            ..ArgvFacts::default()
        },
        target: Target::default(),
        labels: LabelSet::EMPTY,
        costs: Vec::new(),
        possible_labels: others.every_label,
        partial: true,
        plan: ExecPlan::as_it_came(exec, cwd, None),
        paths: Vec::new(),
        roles,
        program_at: 0,
    }
}

fn judge_listed(program: &Program, exec: &Exec, ground: Ground<'_>, others: Others<'_>) -> Judged {
    let words = exec.argv().words();
    let mut said = Said::default();
    let mut parse = parse::parse(program, words, ground, &mut said);
    let Some(node) = program.node(parse.node) else {
        return broken(program, exec, ground.cwd);
    };
    let mut partial = parse.stopped.is_some();
    match parse.stopped.take() {
        Some(stop) => {
            // What an option of a known type was given has been judged by that type; the rest may be anything.
            let misfit = stop.rule().as_str().ends_with(".unfit-value");
            let open = |role: &Role| match role {
                Role::Operand(_) | Role::Unread => true,
                Role::Unknown => !misfit,
                Role::Program | Role::Command | Role::Verb(_) | Role::Option(_) | Role::Value(_) | Role::DashDash => {
                    false
                }
            };
            let rest = words
                .iter()
                .zip(&parse.roles)
                .filter(|(_, role)| open(role))
                .map(|(word, _)| &**word);
            said.findings.push(stop);
            said.findings
                .extend(deny::scan(program, words, &parse.roles, parse.node));
            said.findings.extend(path::scan(program, rest, ground));
        }
        None => {
            if let Err(unfit) = forms::take(program, node, &mut parse, ground, &mut said) {
                partial = true;
                said.findings.push(unfit);
                let script = usize::from(forms::begins_with_script(program, node, &parse));
                let operands = parse.operands.iter().skip(script).chain(&parse.after);
                said.findings
                    .extend(path::scan(program, operands.map(|(_, word)| *word), ground));
            }
        }
    }
    said.findings.extend(refuse::verb(program, node));
    for (required, value) in &node.require {
        let given: Vec<_> = parse
            .options
            .iter()
            .filter(|present| present.opt == *required)
            .collect();
        let met = matches!(given.as_slice(), [only] if only.value.unwrap_or_default() == &**value);
        if let (false, Some(opt)) = (met, program.opt(*required)) {
            said.findings.push(refuse::required(program, node, opt, value));
        }
    }
    if program.at_workspace && !ground.cwd.is_empty() {
        said.findings.push(refuse::elsewhere(program, ground.cwd));
    }
    if exec.stdin().is_some() && !node.stdin {
        said.findings.push(refuse::input(program, node));
        partial = true;
    }
    if !exec.env().is_empty() {
        let (findings, covered) = environment::check(Some(program), exec.env());
        said.findings.extend(findings);
        partial |= !covered;
    }

    let mut sets: Vec<_> = program
        .sets
        .iter()
        .map(|name| (Arc::clone(name), Default::default()))
        .collect();
    let mut target = Target::default();
    types::tell(said.facts, &mut sets, &mut target);
    let mut labels = said.labels.union(node.labels);
    for (fact, has, more) in &node.labels_if {
        let holds = match fact {
            FactRef::Set(index) => sets
                .get(*index)
                .is_some_and(|(_, set)| set.contains(&**has) || ArgvFacts::is_open(set)),
            // A fact that is several things, or more than the call names, may be this one too.
            FactRef::Target(name) => target
                .get(name)
                .is_some_and(|fact| fact.text().is_none_or(|text| *text == **has)),
        };
        if holds {
            labels = labels.union(*more);
        }
    }
    if said.findings.is_empty() {
        said.findings.push(Finding::clear(node.rule.clone(), ""));
    }
    let costs = program.costs.iter().map(|(unit, facts)| {
        let size = |index: &usize| {
            let (_, set) = sets.get(*index)?;
            // What names nothing, or everything, does not say how many.
            let many = u64::try_from(set.len()).ok()?;
            (many > 0 && !ArgvFacts::is_open(set)).then_some(many)
        };
        let cost = facts
            .iter()
            .map(size)
            .try_fold(1_u64, |all, many| all.checked_mul(many?));
        (Arc::clone(unit), cost.filter(|_| !partial))
    });
    let costs = costs.collect();
    // One by one: collecting would first put them in a row.
    let mut options = BTreeSet::new();
    for opt in parse.options.iter().filter_map(|present| program.opt(present.opt)) {
        options.insert(Arc::clone(&opt.name));
    }
    let mut operands = BTreeSet::new();
    for (_, word) in parse.operands.iter().chain(&parse.after) {
        operands.insert((*word).into());
    }
    let understood = parse.stopped.is_none() && !parse.roles.contains(&Role::Unknown);
    let command = said.command;
    let judged = Judged {
        facts: ArgvFacts {
            program: Arc::clone(&program.name),
            listed: true,
            command: Arc::clone(&node.path),
            options,
            operands,
            sets,
        },
        target,
        labels,
        costs,
        possible_labels: if partial {
            labels.union(program.all_labels)
        } else {
            labels
        },
        partial,
        plan: if understood {
            ExecPlan::emit(exec, ground, program, &parse, partial)
        } else {
            ExecPlan::as_it_came(exec, ground.cwd, Some(program))
        },
        findings: said.findings,
        paths: said.paths,
        roles: parse.roles,
        program_at: 0,
    };
    match command {
        Some(command) => wrapper::join(program, judged, exec, command, ground, others),
        None if program.runs && partial => wrapper::suspect(program, judged, words, others),
        None => judged,
    }
}

fn broken(program: &Program, exec: &Exec, cwd: &str) -> Judged {
    Judged {
        findings: vec![refuse::broken(program)],
        facts: ArgvFacts {
            program: Arc::clone(&program.name),
            listed: true,
            ..ArgvFacts::default()
        },
        target: Target::default(),
        labels: program.all_labels,
        costs: program.costs.iter().map(|(unit, _)| (Arc::clone(unit), None)).collect(),
        possible_labels: program.all_labels,
        partial: true,
        plan: ExecPlan::as_it_came(exec, cwd, Some(program)),
        paths: Vec::new(),
        roles: vec![Role::Unread; exec.argv().words().len()],
        program_at: 0,
    }
}

/// Whether a path relative to the workspace is where secrets are kept: for a place that only the disk tells of, such
/// as what a link leads to.
#[cfg(target_os = "linux")]
pub(crate) fn is_sensitive(path: &str, workspace: &Workspace) -> bool {
    let ground = Ground { workspace, cwd: "" };
    !path.is_empty() && path::fit(path, profile::PathUse::Read, ground) != path::PathFit::Fits
}

/// The verdict that findings of this engine amount to, for checking a profile's examples.
fn verdict_of(findings: &[Finding]) -> Verdict {
    use crate::finding::Level;
    match findings.iter().map(Finding::level).max() {
        Some(Level::Clear | Level::Note) => Verdict::Allow,
        Some(Level::Ask) => Verdict::Ask,
        Some(Level::Deny | Level::DenyAndLock) | None => Verdict::Deny,
    }
}

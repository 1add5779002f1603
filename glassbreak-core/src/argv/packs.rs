//! The packs that ship with the library, and how a profile builds on one.

use std::collections::BTreeMap;

use super::compile::compile;
use super::profile::{Node, Profile, Verdict};
use super::program::Program;
use crate::error::{Problem, nearest};
use crate::label::Vocabulary;
use crate::source::{Source, Step};

/// Every shipped pack: its name as `extends` and `use` write it, and its text.
pub(crate) const PACKS: &[(&str, &str)] = &[
    ("builtin:awk-readonly", include_str!("packs/awk-readonly.toml")),
    ("builtin:aws-readonly", include_str!("packs/aws-readonly.toml")),
    ("builtin:cargo-readonly", include_str!("packs/cargo-readonly.toml")),
    ("builtin:cat-readonly", include_str!("packs/cat-readonly.toml")),
    ("builtin:chmod-readonly", include_str!("packs/chmod-readonly.toml")),
    ("builtin:cp-readonly", include_str!("packs/cp-readonly.toml")),
    ("builtin:curl-readonly", include_str!("packs/curl-readonly.toml")),
    ("builtin:cut-readonly", include_str!("packs/cut-readonly.toml")),
    ("builtin:dd-readonly", include_str!("packs/dd-readonly.toml")),
    ("builtin:docker-readonly", include_str!("packs/docker-readonly.toml")),
    ("builtin:env-readonly", include_str!("packs/env-readonly.toml")),
    ("builtin:find-readonly", include_str!("packs/find-readonly.toml")),
    ("builtin:git-readonly", include_str!("packs/git-readonly.toml")),
    ("builtin:grep-readonly", include_str!("packs/grep-readonly.toml")),
    ("builtin:head-readonly", include_str!("packs/head-readonly.toml")),
    ("builtin:helm-readonly", include_str!("packs/helm-readonly.toml")),
    (
        "builtin:journalctl-readonly",
        include_str!("packs/journalctl-readonly.toml"),
    ),
    ("builtin:jq-readonly", include_str!("packs/jq-readonly.toml")),
    ("builtin:kubectl-readonly", include_str!("packs/kubectl-readonly.toml")),
    ("builtin:less-readonly", include_str!("packs/less-readonly.toml")),
    ("builtin:ls-readonly", include_str!("packs/ls-readonly.toml")),
    ("builtin:man-readonly", include_str!("packs/man-readonly.toml")),
    (
        "builtin:mcporter-readonly",
        include_str!("packs/mcporter-readonly.toml"),
    ),
    ("builtin:mv-readonly", include_str!("packs/mv-readonly.toml")),
    ("builtin:nice-readonly", include_str!("packs/nice-readonly.toml")),
    ("builtin:node-readonly", include_str!("packs/node-readonly.toml")),
    ("builtin:npm-readonly", include_str!("packs/npm-readonly.toml")),
    ("builtin:pip-readonly", include_str!("packs/pip-readonly.toml")),
    ("builtin:psql-readonly", include_str!("packs/psql-readonly.toml")),
    ("builtin:python-readonly", include_str!("packs/python-readonly.toml")),
    (
        "builtin:redis-cli-readonly",
        include_str!("packs/redis-cli-readonly.toml"),
    ),
    ("builtin:rg-readonly", include_str!("packs/rg-readonly.toml")),
    ("builtin:rsync-readonly", include_str!("packs/rsync-readonly.toml")),
    ("builtin:sed-readonly", include_str!("packs/sed-readonly.toml")),
    ("builtin:sort-readonly", include_str!("packs/sort-readonly.toml")),
    ("builtin:ssh-readonly", include_str!("packs/ssh-readonly.toml")),
    (
        "builtin:systemctl-readonly",
        include_str!("packs/systemctl-readonly.toml"),
    ),
    ("builtin:tail-readonly", include_str!("packs/tail-readonly.toml")),
    ("builtin:tar-readonly", include_str!("packs/tar-readonly.toml")),
    ("builtin:tee-readonly", include_str!("packs/tee-readonly.toml")),
    (
        "builtin:terraform-readonly",
        include_str!("packs/terraform-readonly.toml"),
    ),
    ("builtin:timeout-readonly", include_str!("packs/timeout-readonly.toml")),
    ("builtin:tr-readonly", include_str!("packs/tr-readonly.toml")),
    ("builtin:uniq-readonly", include_str!("packs/uniq-readonly.toml")),
    ("builtin:vim-readonly", include_str!("packs/vim-readonly.toml")),
    ("builtin:wc-readonly", include_str!("packs/wc-readonly.toml")),
    ("builtin:wget-readonly", include_str!("packs/wget-readonly.toml")),
    ("builtin:xargs-readonly", include_str!("packs/xargs-readonly.toml")),
];

/// The shipped pack called `name`.
pub(crate) fn source(name: &str) -> Option<Source<'static>> {
    PACKS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(file, text)| Source { file, text })
}

/// The shipped pack for `program`.
pub(crate) fn source_for(program: &str) -> Option<Source<'static>> {
    PACKS.iter().map(|(file, text)| Source { file, text }).find(|source| {
        let stem = source.file.strip_prefix("builtin:").unwrap_or(source.file);
        stem.strip_suffix("-readonly") == Some(program)
    })
}

/// The problem of a pack that the index says nothing of, or nothing that can be.
pub(crate) fn missing(name: &str) -> Problem {
    Problem::in_file(
        name,
        "the index of packs has no entry for it",
        "this is a fault of the guard; report it",
    )
}

/// What to say when there is no pack called `name`.
pub(crate) fn unknown(name: &str) -> String {
    match nearest(name, PACKS.iter().map(|(known, _)| *known)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "shipped packs: {}",
            PACKS.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Reads a shipped pack.
pub(crate) fn read(source: Source<'_>) -> Result<(String, Profile), Problem> {
    let profile: Profile = source.read_toml("this is a fault of the shipped pack; report it")?;
    let Some(name) = profile.program.clone() else {
        return Err(Problem::in_file(
            source.file,
            "the pack names no program",
            "write program = \"…\"",
        ));
    };
    Ok((name, profile))
}

/// Compiles a shipped pack, with the labels that every vocabulary begins with.
pub(crate) fn compiled(source: Source<'_>) -> Result<Program, Vec<Problem>> {
    let (name, profile) = read(source).map_err(|problem| vec![problem])?;
    compile(&name, &profile, source, &[], &Vocabulary::built_in())
}

/// Adds a bundle's profile to the pack it extends. Everything of the pack stays; verbs may get another verdict, but a
/// deny stays a deny; what is added must be new.
pub(crate) fn extend(
    mut base: Profile,
    more: &Profile,
    source: Source<'_>,
    at: &[Step<'_>],
) -> Result<Profile, Vec<Problem>> {
    let mut problems = Vec::new();
    for (given, key) in [
        (more.dialect.is_some(), "dialect"),
        (!more.inject.is_empty(), "inject"),
        (
            more.root.verdict.is_some()
                || !more.root.options.is_empty()
                || !more.root.forms.is_empty()
                || more.root.canonical,
            "root",
        ),
    ] {
        if given {
            let help = "it is taken from the pack; write a whole profile of your own to change it";
            problems.push(source.problem_at(
                &[at, &[Step::Key(key)]].concat(),
                format!("`{key}` cannot be set with `extends`"),
                help,
            ));
        }
    }
    for (name, spec) in &more.types {
        if base.types.insert(name.clone(), spec.clone()).is_some() {
            let place = [at, &[Step::Key("types"), Step::Key(name)]].concat();
            problems.push(source.problem_at(
                &place,
                format!("the pack has a type `{name}`"),
                "give yours another name",
            ));
        }
    }
    base.aliases.extend(more.aliases.iter().cloned());
    base.globals.extend(more.globals.iter().cloned());
    base.facts.extend(more.facts.iter().cloned());
    // The profile's own first, so that their places in the file stay theirs. Those of the pack stay.
    let pins = std::mem::replace(&mut base.pin, more.pin.clone());
    base.pin.extend(pins.into_iter().filter(|pin| !more.pin.contains(pin)));
    for (unit, facts) in &more.cost {
        if base.cost.insert(unit.clone(), facts.clone()).is_some() {
            let place = [at, &[Step::Key("cost"), Step::Key(unit)]].concat();
            let help = "it is taken from the pack; give yours another name";
            problems.push(source.problem_at(&place, format!("the pack says what a call costs in `{unit}`"), help));
        }
    }
    base.env.pass.extend(more.env.pass.iter().cloned());
    for (name, value) in &more.env.set {
        if base.env.set.insert(name.clone(), value.clone()).is_some() {
            let place = [at, &[Step::Key("env"), Step::Key("set"), Step::Key(name)]].concat();
            problems.push(source.problem_at(&place, format!("the pack sets `{name}`"), "leave it out"));
        }
    }
    if more.interpreter.is_some() {
        base.interpreter.clone_from(&more.interpreter);
    }
    if more.cwd.is_some() {
        base.cwd = more.cwd;
    }
    extend_verbs(
        &mut base.verbs,
        &more.verbs,
        source,
        &[at, &[Step::Key("verbs")]].concat(),
        &mut problems,
    );
    base.examples = more.examples.clone();
    if problems.is_empty() { Ok(base) } else { Err(problems) }
}

fn extend_verbs(
    base: &mut BTreeMap<String, Node>,
    more: &BTreeMap<String, Node>,
    source: Source<'_>,
    at: &[Step<'_>],
    problems: &mut Vec<Problem>,
) {
    for (word, node) in more {
        let place = [at, &[Step::Key(word)]].concat();
        let Some(known) = base.get_mut(word) else {
            base.insert(word.clone(), node.clone());
            continue;
        };
        if known.verdict == Some(Verdict::Deny) && node.verdict.is_some_and(|verdict| verdict != Verdict::Deny) {
            let what = format!("the pack denies `{word}`, and a deny cannot be loosened");
            problems.push(source.problem_at(&[&place[..], &[Step::Key("verdict")]].concat(), what, "leave it out"));
        }
        if !node.forms.is_empty() || node.dialect.is_some() || !node.inject.is_empty() || node.stdin || node.canonical {
            let help = "only `verdict`, `why`, `options`, `require`, `labels`, `labels-if` and `verbs` may be added";
            problems.push(source.problem_at(&place, format!("the pack says how `{word}` is read"), help));
        }
        known.verdict = node.verdict.or(known.verdict);
        known.why = node.why.clone().or(known.why.take());
        known.unknown_verb = known.unknown_verb.max(node.unknown_verb);
        known.options.extend(node.options.iter().cloned());
        known.require.extend(node.require.clone());
        known.labels.extend(node.labels.iter().cloned());
        known.labels_if.extend(node.labels_if.iter().cloned());
        extend_verbs(
            &mut known.verbs,
            &node.verbs,
            source,
            &[&place[..], &[Step::Key("verbs")]].concat(),
            problems,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::listed::Table;
    use super::super::{Others, Programs, examples};
    use super::*;

    #[test]
    fn every_shipped_pack_loads_and_does_what_its_examples_say() {
        let all = Programs::shipped().unwrap();
        let mut problems = Vec::new();
        for (file, text) in PACKS {
            let source = Source { file, text };
            let program = compiled(source).unwrap_or_else(|problems| panic!("{problems:?}"));
            let (_, profile) = read(source).unwrap();
            let examples = &profile.examples;
            assert!(
                !examples.allow.is_empty() || !examples.ask.is_empty(),
                "{file} has no examples"
            );
            // What a wrapper runs in them is judged by the other packs.
            problems.extend(examples::check(&program, examples, source, &[], all.others()));
        }
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn no_shipped_pack_has_a_free_value_that_loads_something() {
        for (file, text) in PACKS {
            let program = compiled(Source { file, text }).unwrap();
            let holes = crate::argv::safe_bins::holes(&program, Source { file, text });
            assert!(holes.is_empty(), "{holes:?}");
        }
    }

    #[test]
    fn an_unknown_word_anywhere_loosens_no_denied_example() {
        use super::super::{judge_listed, types::Ground, verdict_of};
        use crate::call::{Argv, Exec, Workspace};
        let workspace = Workspace::new("/workspace").unwrap();
        let ground = Ground {
            workspace: &workspace,
            cwd: "",
        };
        let none = Table::new();
        let mut loosened = Vec::new();
        let mut tried = 0;
        for (file, text) in PACKS {
            let source = Source { file, text };
            let program = compiled(source).unwrap();
            let (_, profile) = read(source).unwrap();
            for example in &profile.examples.deny {
                for at in 1..=example.words().len() {
                    let mut words = example.words();
                    words.insert(at, "--zzq");
                    let Ok(argv) = Argv::new(words.iter().copied()) else {
                        continue;
                    };
                    let exec = Exec::new(argv);
                    let judged = judge_listed(&program, &exec, ground, Others::of(&none));
                    tried += 1;
                    if verdict_of(&judged.findings) != Verdict::Deny {
                        loosened.push(words.join(" "));
                    }
                }
            }
        }
        assert!(tried > 500, "{tried}");
        assert!(
            loosened.is_empty(),
            "{} of {tried}:\n{}",
            loosened.len(),
            loosened.join("\n")
        );
    }
}

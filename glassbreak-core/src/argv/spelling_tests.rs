//! Every spelling of an option gives one verdict, for every option that an example of a shipped pack uses.

use super::listed::Table;
use super::parse::{Role, parse};
use super::profile::{Dialect, Example, LongValue};
use super::program::{Node, Opt, Program};
use super::types::{Ground, Said};
use super::{Judged, Others, judge_listed, packs, verdict_of};
use crate::call::{Argv, Exec, Workspace};
use crate::source::Source;

fn judged(program: &Program, words: &[String]) -> Option<Judged> {
    let exec = Exec::new(Argv::new(words.iter().cloned().map(String::into_boxed_str)).ok()?);
    let workspace = Workspace::new("/workspace").unwrap();
    let ground = Ground {
        workspace: &workspace,
        cwd: "",
    };
    Some(judge_listed(program, &exec, ground, Others::of(&Table::new())))
}

/// The other ways to write `opt` with `value`, each as its words.
fn spellings(node: &Node, index: usize, opt: &Opt, dialect: &Dialect, value: Option<&str>) -> Vec<Vec<String>> {
    let names = node
        .names
        .iter()
        .filter(|(_, known)| *known == index)
        .map(|(name, _)| name);
    let mut ways = Vec::new();
    for name in names.filter(|name| !name.contains("NUM") && !name.starts_with('+')) {
        let long = name.starts_with("--");
        let Some(value) = value else {
            ways.push(vec![name.to_owned()]);
            continue;
        };
        let apart = !opt.optional && !opt.equals_only && (!long || dialect.long_value != LongValue::Equals);
        if apart && !value.starts_with('-') {
            ways.push(vec![name.to_owned(), value.to_owned()]);
        }
        if long && dialect.long_value != LongValue::Space {
            ways.push(vec![format!("{name}={value}")]);
        }
        let short = name.len() == 2 && name.starts_with('-') && !opt.equals_only && !value.is_empty();
        if short && dialect.short_attached && !value.starts_with('=') {
            ways.push(vec![format!("{name}{value}")]);
        }
        if short && dialect.short_equals {
            ways.push(vec![format!("{name}={value}")]);
        }
    }
    ways
}

#[test]
fn every_spelling_of_an_option_gives_one_verdict_and_the_same_facts() {
    let workspace = Workspace::new("/workspace").unwrap();
    let ground = Ground {
        workspace: &workspace,
        cwd: "",
    };
    let mut tried = 0;
    for (file, text) in packs::PACKS {
        let source = Source { file, text };
        let program = packs::compiled(source).unwrap();
        let (_, profile) = packs::read(source).unwrap();
        for words in profile.examples.all().map(Example::words) {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let Some(was) = judged(&program, &words) else { continue };
            let boxed: Vec<Box<str>> = words.iter().map(|word| word.as_str().into()).collect();
            let read = parse(&program, &boxed, ground, &mut Said::default());
            let node = program.node(read.node).unwrap();
            for (at, role) in read.roles.iter().enumerate() {
                let Role::Option(index) = *role else { continue };
                let opt = program.opt(index).unwrap();
                // Only where the option stands alone: not in a cluster, nor with another spelling of its value.
                let here: Vec<_> = read.options.iter().filter(|present| present.opt == index).collect();
                let [only] = here.as_slice() else { continue };
                let detached = read.roles.get(at + 1) == Some(&Role::Value(index));
                let length = match (detached, only.value) {
                    (true, Some(value)) if node.names.get(&words[at]) == Some(index) && words[at + 1] == value => 2,
                    (false, None) if node.names.get(&words[at]) == Some(index) => 1,
                    (false, Some(value))
                        if words[at].ends_with(&format!("={value}")) && words[at].starts_with("--") =>
                    {
                        1
                    }
                    _ => continue,
                };
                if opt.second.is_some() || (opt.value.is_none() && only.value.is_some()) {
                    continue;
                }
                for way in spellings(node, index, opt, &node.dialect, only.value) {
                    let mut other = words.clone();
                    other.splice(at..at + length, way);
                    let is = judged(&program, &other).unwrap();
                    tried += 1;
                    assert_eq!(
                        (
                            verdict_of(&is.findings),
                            &is.facts.options,
                            &is.facts.sets,
                            &is.target,
                            is.labels
                        ),
                        (
                            verdict_of(&was.findings),
                            &was.facts.options,
                            &was.facts.sets,
                            &was.target,
                            was.labels
                        ),
                        "{words:?} and {other:?}: {:?}",
                        is.findings
                    );
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

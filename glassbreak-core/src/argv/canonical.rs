//! A call written anew from how it was understood: for nodes with `canonical = true`.
//!
//! Options come by the name they are known by, with `=` or as words of their own, before the operands (behind them where
//! the program wants that), and `--` stands before the operands where the program knows it. So however a call is
//! spelt, one row of words runs, is shown and is hashed.
//!
//! What runs must be what was judged: the new words are read again, and where they do not say just the same (an operand
//! that only `--` kept from being an option, say) the call runs as it came.

use super::parse::{self, Parse, Present, Role};
use super::profile::{DashDash, Dialect, Long, LongValue, Order};
use super::program::{Node, Program};
use super::types::{Ground, Said};

/// The words, with those that the profile puts in; `None` where they would not be read as the same call.
pub(crate) fn words(
    program: &Program,
    words: &[Box<str>],
    parse: &Parse<'_>,
    ground: Ground<'_>,
) -> Option<Vec<Box<str>>> {
    let anew = written(program, words, parse, false)?;
    let again = parse::parse(program, &anew, ground, &mut Said::default());
    is_same(&again, parse)
        .then(|| written(program, words, parse, true))
        .flatten()
}

/// Whether both are of one verb, with the same options, values and operands in the same order.
fn is_same(again: &Parse<'_>, before: &Parse<'_>) -> bool {
    let options = |one: &Present<'_>, other: &Present<'_>| {
        (one.opt, one.value, one.second) == (other.opt, other.value, other.second)
    };
    let rows = |one: &[(usize, &str)], other: &[(usize, &str)]| {
        one.len() == other.len() && one.iter().zip(other).all(|((_, one), (_, other))| one == other)
    };
    again.stopped.is_none()
        && again.node == before.node
        && again.options.len() == before.options.len()
        && (again.options.iter().zip(&before.options)).all(|(one, other)| options(one, other))
        && rows(&again.operands, &before.operands)
        && rows(&again.after, &before.after)
}

fn written(program: &Program, words: &[Box<str>], parse: &Parse<'_>, inject: bool) -> Option<Vec<Box<str>>> {
    let mut out = vec![words.first()?.clone()];
    if inject {
        out.extend(program.inject.iter().cloned());
    }
    let (mut node, mut from) = (program.node(0)?, 0);
    for (at, role) in parse.roles.iter().enumerate() {
        if let Role::Verb(index) = role {
            options(program, node, parse, words, from..at, &mut out);
            (node, from) = (program.node(*index)?, at);
            out.push(node.path.rsplit(' ').next()?.into());
        }
    }
    if inject {
        out.extend(node.inject.iter().cloned());
    }
    let dialect = &node.dialect;
    let operands =
        |row: &[(usize, &str)], out: &mut Vec<Box<str>>| out.extend(row.iter().map(|(_, word)| (*word).into()));
    if dialect.order == Order::OperandsFirst {
        operands(&parse.operands, &mut out);
        options(program, node, parse, words, from..words.len(), &mut out);
        return Some(out);
    }
    options(program, node, parse, words, from..words.len(), &mut out);
    let only_operands = dialect.verbs_end_options && from != 0;
    match dialect.dashdash {
        DashDash::End if !parse.operands.is_empty() && !only_operands => out.push("--".into()),
        DashDash::End | DashDash::Absent | DashDash::Paths => {}
    }
    operands(&parse.operands, &mut out);
    if dialect.dashdash == DashDash::Paths && parse.roles.contains(&Role::DashDash) {
        out.push("--".into());
        operands(&parse.after, &mut out);
    }
    Some(out)
}

/// The options that were read among the words of `range`.
fn options(
    program: &Program,
    node: &Node,
    parse: &Parse<'_>,
    words: &[Box<str>],
    range: std::ops::Range<usize>,
    out: &mut Vec<Box<str>>,
) {
    for present in parse.options.iter().filter(|present| range.contains(&present.word)) {
        let Some(opt) = program.opt(present.opt) else { continue };
        // The number or the text is in the name: it stays as it came.
        if opt.name.starts_with('+') || &*opt.name == "-NUM" {
            out.extend(words.get(present.word).cloned());
            continue;
        }
        spell(&opt.name, opt.optional || opt.equals_only, *present, &node.dialect, out);
    }
}

fn spell(name: &str, attached: bool, present: Present<'_>, dialect: &Dialect, out: &mut Vec<Box<str>>) {
    let Some(value) = present.value else {
        out.push(name.into());
        return;
    };
    let flag = present.is_switch;
    let long = name.starts_with("--") || matches!(dialect.long, Long::Single | Long::Either) && name.len() > 2;
    let equals = match dialect.long_value {
        LongValue::Equals => true,
        LongValue::Both => name.starts_with("--"),
        LongValue::Space => false,
    };
    if flag || present.second.is_none() && name.starts_with('-') && long && (equals || attached) {
        out.push([name, "=", value].concat().into());
    } else if !long && name.starts_with('-') && present.second.is_none() && (attached || value.starts_with('-')) {
        out.push([name, value].concat().into());
    } else {
        out.push(name.into());
        out.push(value.into());
        out.extend(present.second.map(Into::into));
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::super::listed::Table;
    use super::super::packs::{self, PACKS};
    use super::super::profile::{Example, Node as Spec, Profile, Verdict};
    use super::super::types::Ground;
    use super::super::{Judged, Others, judge_listed, verdict_of};
    use super::*;
    use crate::call::{Argv, Exec, Workspace};
    use crate::label::Vocabulary;
    use crate::source::Source;

    fn everywhere(profile: &mut Profile) {
        fn walk(node: &mut Spec) {
            node.canonical = true;
            node.inject.clear();
            node.verbs.values_mut().for_each(walk);
        }
        profile.inject.clear();
        walk(&mut profile.root);
        profile.verbs.values_mut().for_each(walk);
    }

    fn judged(program: &Program, words: &[&str]) -> Option<Judged> {
        let exec = Exec::new(Argv::new(words.iter().copied()).ok()?);
        let workspace = Workspace::new("/workspace").unwrap();
        let ground = Ground {
            workspace: &workspace,
            cwd: "",
        };
        Some(judge_listed(program, &exec, ground, Others::of(&Table::new())))
    }

    #[test]
    fn what_is_written_anew_is_read_as_the_same_call() {
        let mut tried = 0;
        for (file, text) in PACKS {
            let source = Source { file, text };
            let (name, mut profile) = packs::read(source).unwrap();
            everywhere(&mut profile);
            let Ok(program) = compile(&name, &profile, source, &[], &Vocabulary::built_in()) else {
                // It runs another program.
                continue;
            };
            for words in profile.examples.all().map(Example::words) {
                let Some(first) = judged(&program, &words) else {
                    continue;
                };
                let anew: Vec<String> = first.plan.argv().map(str::to_owned).collect();
                let anew: Vec<&str> = anew.iter().map(String::as_str).collect();
                if first.partial {
                    assert_eq!(anew, words, "what is not understood stays as it came");
                    continue;
                }
                let second = judged(&program, &anew).unwrap();
                assert_eq!(second.facts, first.facts, "{words:?} came out as {anew:?}");
                assert_eq!(second.target, first.target, "{words:?} came out as {anew:?}");
                assert_eq!((second.labels, second.partial), (first.labels, false), "{anew:?}");
                assert_eq!(
                    verdict_of(&second.findings),
                    verdict_of(&first.findings),
                    "{words:?} came out as {anew:?}"
                );
                assert_eq!(second.plan.argv().collect::<Vec<_>>(), anew, "{words:?}");
                tried += 1;
            }
        }
        assert!(tried > 1_000, "{tried}");
    }

    #[test]
    fn one_call_in_many_spellings_runs_as_one_row_of_words() {
        let text = "schema = 1\n[profiles.shop]\nglobals = [{ names = [\"-n\", \"--namespace\"], value = \"text\" },\n\
                    { names = [\"-v\", \"--verbose\"] }]\nverbs.list = { aliases = [\"ls\"], verdict = \"allow\", canonical = true,\n\
                    forms = [{ operands = [{ type = \"text\", min = 0, max = 3 }] }] }\nexamples.allow = [\"shop list\"]\n";
        let shop = super::super::dialect_tests::load(text);
        for line in [
            "shop list --verbose -n web a b",
            "shop ls -vn web a b",
            "shop ls a -nweb b -v",
            "shop list -v --namespace web -- a b",
            "shop list -v a --namespace=web b",
        ] {
            let exec = Exec::new(Argv::new(line.split(' ')).unwrap());
            let judged = shop.judge(&exec, "", &Workspace::new("/workspace").unwrap());
            assert_eq!(verdict_of(&judged.findings), Verdict::Allow, "{line}");
            let mut words: Vec<&str> = judged.plan.argv().collect();
            // In what order options came is told, because programs differ by it.
            words[2..4].sort_unstable();
            assert_eq!(
                words,
                ["shop", "list", "--namespace=web", "--verbose", "--", "a", "b"],
                "{line}"
            );
        }
    }

    #[test]
    fn what_would_be_read_as_another_call_runs_as_it_came() {
        let profile = |dialect: &str, root: &str, line: &str| {
            format!(
                "schema = 1\n[profiles.shop]\n{dialect}\nroot = {{ verdict = \"allow\", canonical = true,\n{root} }}\n\
                 examples.allow = [\"{line}\"]\n"
            )
        };
        let delete = "options = [{ names = [\"-delete\"], verdict = \"deny\" }, { names = [\"-c\"], value = \"text\", dash-value = true }],";
        let some = "operands = [{ type = \"text\", min = 0, max = 3 }]";
        for (dialect, more, line) in [
            // Without `--` the operand would be an option, and that one is denied.
            (
                "dialect = { long = \"single\", order = \"operands-first\", dashdash = \"end\" }",
                "",
                "shop -- -delete",
            ),
            // What stands behind `--` is not left out.
            (
                "dialect = { long = \"single\", order = \"operands-first\", dashdash = \"paths\" }",
                ", after = [{ type = \"text\", min = 0, max = 3 }]",
                "shop a -- b",
            ),
            // Values that may not be attached stay apart.
            (
                "dialect = { long = \"none\", short-attached = false, short-cluster = true }",
                "",
                "shop -c -rf",
            ),
        ] {
            let delete = if dialect.contains("none") {
                delete.replace("-delete", "-r")
            } else {
                delete.to_owned()
            };
            let text = profile(dialect, &format!("{delete} forms = [{{ {some}{more} }}]"), line);
            let shop = super::super::dialect_tests::load(&text);
            let words: Vec<&str> = line.split(' ').collect();
            let judged = super::super::dialect_tests::judged(&shop, &words);
            assert_eq!(verdict_of(&judged.findings), Verdict::Allow, "{line}");
            assert_eq!(judged.plan.argv().collect::<Vec<_>>(), words, "{line}");
        }
    }

    #[test]
    fn what_a_program_runs_is_not_written_anew() {
        let text = "schema = 1\n[profiles.w]\ndialect.order = \"options-first\"\nroot = { verdict = \"allow\", canonical = true,\n\
                    forms = [{ operands = [{ type = \"command\" }] }] }\nexamples.deny = [\"w sh\"]\n";
        let source = Source {
            file: "safe-bins.toml",
            text,
        };
        let problems =
            super::super::Programs::load(Some(source), crate::finding::Outcome::Deny, &Vocabulary::built_in())
                .unwrap_err();
        assert!(
            problems[0]
                .to_string()
                .contains("`canonical` on a program that runs another"),
            "{problems:?}"
        );
    }
}

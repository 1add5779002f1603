//! The deny scan: what is denied is found in every spelling, also behind a word that was not understood.
//!
//! When the reading stopped, nobody knows what the words behind it are; so each of them, and the one it stopped at,
//! is taken for whatever denied option or verb it could be. A reading that came to its end needs no scan: every
//! option in it is known by its exact name, and its verdict has counted.

use std::collections::BTreeSet;

use super::parse::{Role, short_name};
use super::profile::{Long, Verdict};
use super::program::{Node, Opt, Program};
use super::refuse;
use super::types::rule;
use crate::error::shown;
use crate::finding::Finding;

/// The denied options and verbs in a call of `program` of which nothing was read.
pub(crate) fn suspect(program: &Program, words: &[Box<str>]) -> Vec<Finding> {
    let mut roles = vec![Role::Unread; words.len()];
    if let Some(first) = roles.first_mut() {
        *first = Role::Program;
    }
    scan(program, words, &roles, 0)
}

/// The denied options and verbs among the words that were not understood, behind the verb at `reached`.
pub(crate) fn scan(program: &Program, words: &[Box<str>], roles: &[Role], reached: usize) -> Vec<Finding> {
    let unread: Vec<&str> = words
        .iter()
        .zip(roles)
        .filter(|(_, role)| matches!(role, Role::Unknown | Role::Unread))
        .map(|(word, _)| &**word)
        .collect();
    // A first word without dash may be a row of letters: tar's old way to write options.
    let bundle = program.node(0).filter(|root| root.dialect.old_bundle);
    let bundle = bundle
        .and(unread.first())
        .filter(|word| words.get(1).is_some_and(|w| **w == ***word));
    let bundle = bundle
        .filter(|word| !word.starts_with('-'))
        .map(|word| ["-", word].concat());
    let unread: Vec<&str> = unread.into_iter().chain(bundle.as_deref()).collect();
    let mut findings = Vec::new();
    // Most of what a verb knows it has from the program; looking for that once is enough.
    let mut looked_for = BTreeSet::new();
    for (at, node) in possible_nodes(program, reached, &unread) {
        // The options of the program itself, which stand before the verb, are short letters of other meaning
        // behind it.
        let own = at != 0 || reached == 0;
        // Each word is read once, however many letters are denied.
        let letters: Vec<Vec<char>> = unread.iter().map(|word| letters_in(program, node, word)).collect();
        for (name, index) in node.names.iter() {
            let Some(opt) = program.opt(index).filter(|opt| opt.verdict == Verdict::Deny) else {
                continue;
            };
            let short = name.len() == 2 && name.starts_with('-');
            if short && !own || !looked_for.insert((name, index)) {
                continue;
            }
            let letter = name.chars().nth(1).filter(|_| short);
            let is_in = |(word, letters): &(&&str, &Vec<char>)| match letter {
                Some(letter) => letters.contains(&letter),
                None => is_spelling(node, word, name),
            };
            // One word is enough to deny it; naming each would make many words cost their square.
            let named = unread.iter().zip(&letters).find(is_in);
            findings.extend(named.map(|(word, _)| found(opt, word)));
        }
        for word in unread.iter().filter(|_| own) {
            for (_, at) in named_verbs(node, word) {
                let denied = program.node(at).filter(|node| node.verdict == Verdict::Deny);
                findings.extend(denied.and_then(|node| refuse::verb(program, node)));
            }
        }
    }
    // A required option that stands twice is denied where it is read; where it is not, it is counted by its spellings.
    for (_, node) in possible_nodes(program, reached, &unread) {
        for (required, _) in &node.require {
            let spelt = |word: &str| node.names.get(word.split('=').next().unwrap_or(word)) == Some(*required);
            if let (true, Some(opt)) = (
                words.iter().filter(|word| spelt(word)).count() > 1,
                program.opt(*required),
            ) {
                findings.push(refuse::repeated(program, node, *required, opt));
            }
        }
    }
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

/// The program itself, the verb the reading came to, and every verb beneath it that some unread word names: a word
/// that nobody knows must not hide the verb behind it, nor what is denied there.
fn possible_nodes<'p>(program: &'p Program, reached: usize, unread: &[&str]) -> Vec<(usize, &'p Node)> {
    let mut places = vec![0];
    if reached != 0 {
        places.push(reached);
    }
    // Verbs come in order, so those beneath a verb stand behind it.
    for word in unread {
        let known = places.iter().filter(|at| **at != 0 || reached == 0);
        let beneath: Vec<usize> = known
            .filter_map(|at| program.node(*at))
            .flat_map(|node| named_verbs(node, word).map(|(_, at)| at))
            .filter(|at| !places.contains(at))
            .collect();
        places.extend(beneath);
    }
    places
        .into_iter()
        .filter_map(|at| Some((at, program.node(at)?)))
        .collect()
}

/// The verbs of `node` that `word` may name, in any case.
fn named_verbs<'p>(node: &'p Node, word: &str) -> impl Iterator<Item = (&'p str, usize)> {
    node.verbs
        .iter()
        .filter(move |(verb, _)| !verb.is_empty() && verb.eq_ignore_ascii_case(word))
}

fn found(opt: &Opt, word: &str) -> Finding {
    let why = opt.why.as_deref().unwrap_or("the profile denies it");
    let exact = word.split('=').next() == Some(&*opt.name);
    let why = if exact {
        format!("`{}`: {why}", opt.name)
    } else {
        format!("`{}` may be a spelling of `{}`: {why}", shown(word), opt.name)
    };
    Finding::deny(opt.rule.clone(), why, format!("leave `{}` out", opt.name))
}

/// Whether `word` could be `name`, a long name: with any dashes, with a value behind `=` or `:`, with `_` for `-`, in
/// another case, and shortened where the program takes that.
fn is_spelling(node: &Node, word: &str, name: &str) -> bool {
    if let Some(plus) = name.strip_prefix('+') {
        return word.starts_with('+') && (plus.is_empty() || plus == "NUM" || word == name);
    }
    let stem = |text: &str| -> String {
        let text = text.trim_start_matches('-');
        let text = text.split(['=', ':']).next().unwrap_or(text);
        text.chars()
            .filter(|c| !matches!(c, '-' | '_'))
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let (spelt, denied) = (stem(word), stem(name));
    if spelt.is_empty() || denied.is_empty() {
        return false;
    }
    let dashed = word.starts_with('-');
    let keyed = word.contains(['=', ':']);
    // One dash and a letter is a short option, not the beginning of a long one, unless long ones have one dash.
    let shortened = match node.dialect.long {
        Long::Double | Long::None => word.starts_with("--"),
        Long::Single | Long::Either => dashed,
    };
    spelt == denied && (dashed || keyed) || node.dialect.abbreviates && shortened && denied.starts_with(&spelt)
}

/// The letters that could be short options in `word`, read as a cluster; each once.
fn letters_in(program: &Program, node: &Node, word: &str) -> Vec<char> {
    let mut letters = Vec::new();
    let cluster = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    for letter in cluster.unwrap_or_default().chars() {
        if letters.contains(&letter) {
            continue;
        }
        letters.push(letter);
        // What follows a letter that takes a value is that value.
        let mut name = [0; 5];
        let known = node
            .names
            .get(short_name(letter, &mut name))
            .and_then(|index| program.opt(index));
        if letter == '=' || known.is_some_and(|opt| opt.value.is_some()) {
            break;
        }
    }
    letters
}

/// The words that a program without a profile may not even be asked for: shells and programs that run others as
/// somebody else, elsewhere, or under another loader (spec: identity-changing wrappers).
const NEVER: &[(&str, &str)] = &[
    ("ash", SHELL),
    ("bash", SHELL),
    ("busybox", SHELL),
    ("cmd", SHELL),
    ("cmd.exe", SHELL),
    ("csh", SHELL),
    ("dash", SHELL),
    ("elvish", SHELL),
    ("fish", SHELL),
    ("ksh", SHELL),
    ("mksh", SHELL),
    ("nu", SHELL),
    ("powershell", SHELL),
    ("powershell.exe", SHELL),
    ("pwsh", SHELL),
    ("rbash", SHELL),
    ("sh", SHELL),
    ("tcsh", SHELL),
    ("toybox", SHELL),
    ("xonsh", SHELL),
    ("yash", SHELL),
    ("zsh", SHELL),
    ("chroot", OTHER),
    ("doas", OTHER),
    ("fakeroot", OTHER),
    ("firejail", OTHER),
    ("ld.so", OTHER),
    ("linux32", OTHER),
    ("linux64", OTHER),
    ("nsenter", OTHER),
    ("pkexec", OTHER),
    ("proot", OTHER),
    ("runas", OTHER),
    ("runuser", OTHER),
    ("setarch", OTHER),
    ("setpriv", OTHER),
    ("sg", OTHER),
    ("newgrp", OTHER),
    ("strace", OTHER),
    ("ltrace", OTHER),
    ("gdb", OTHER),
    ("su", OTHER),
    ("sudo", OTHER),
    ("sudoedit", OTHER),
    ("systemd-run", OTHER),
    ("unshare", OTHER),
    ("capsh", OTHER),
    ("bwrap", OTHER),
    ("gosu", OTHER),
    ("i386", OTHER),
    ("i686", OTHER),
    ("run0", OTHER),
    ("su-exec", OTHER),
    ("sudo-rs", OTHER),
    ("x86_64", OTHER),
];
const SHELL: &str = "is a shell, and what a shell makes of its words cannot be judged";
const OTHER: &str = "runs another program as somebody else, elsewhere, or under another loader";

/// Why a program without a profile is denied whatever the bundle says of unlisted programs.
pub(crate) fn never(program: &str) -> Option<Finding> {
    let plain = program
        .strip_suffix(".static")
        .or_else(|| program.strip_suffix("-static"))
        .unwrap_or(program);
    let loader = plain.starts_with("ld-linux") || plain.starts_with("ld-musl");
    let (_, why) = NEVER
        .iter()
        .find(|(name, _)| *name == plain || (loader && *name == "ld.so"))?;
    Some(Finding::deny(
        rule("unlisted", "never"),
        format!("`{}` {why}", shown(program)),
        "call the program itself, with its words in argv",
    ))
}

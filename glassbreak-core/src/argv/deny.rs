//! The deny scan: what is denied is found in every spelling, also behind a word that was not understood.
//!
//! When the reading stopped, nobody knows what the words behind it are; so each of them, and the one it stopped at,
//! is taken for whatever denied option or verb it could be. A reading that came to its end needs no scan: every
//! option in it is known by its exact name, and its verdict has counted.

use super::parse::{Parse, Role};
use super::profile::{Long, Verdict};
use super::program::{Node, Opt, Program};
use super::refuse;
use super::types::rule;
use crate::error::shown;
use crate::finding::Finding;

/// The denied options and verbs among the words that were not understood.
pub(crate) fn scan(program: &Program, words: &[Box<str>], parse: &Parse<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let unread = || {
        words
            .iter()
            .zip(&parse.roles)
            .filter(|(_, role)| matches!(role, Role::Unknown | Role::Unread))
    };
    let nodes = reachable(program, parse.node, || unread().map(|(word, _)| &**word));
    for (word, _) in unread() {
        for (at, node) in &nodes {
            // The options of the program itself, which stand before the verb, are short letters of other meaning
            // behind it.
            let own = *at != 0 || parse.node == 0;
            for (name, index) in node.names.iter() {
                let Some(opt) = program.opt(index).filter(|opt| opt.verdict == Verdict::Deny) else {
                    continue;
                };
                let short = name.len() == 2;
                if short && own && in_cluster(program, node, word, name) || !short && is_spelling(node, word, name) {
                    findings.extend(found(opt, word));
                }
            }
        }
    }
    // The verb where the reading stopped speaks for itself.
    let beyond = nodes.iter().filter(|(at, _)| *at != parse.node && *at != 0);
    let denied = beyond.filter(|(_, node)| node.verdict == Verdict::Deny);
    findings.extend(denied.filter_map(|(_, node)| refuse::verb(program, node)));
    // A required option that stands twice is denied where it is read; where it is not, it is counted by its spellings.
    for (_, node) in &nodes {
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
    // An option has several spellings, and globals stand at every verb.
    let mut seen = Vec::new();
    findings.retain(|finding| {
        let new = !seen.contains(&(finding.rule().clone(), finding.why().to_owned()));
        if new {
            seen.push((finding.rule().clone(), finding.why().to_owned()));
        }
        new
    });
    findings
}

/// The nodes whose options the unread words may be: the program itself, the verb where the reading stopped, and every
/// verb beneath it that one of the words may be, in any case of letters.
fn reachable<'p, 'w, W: Iterator<Item = &'w str>>(
    program: &'p Program,
    stopped_at: usize,
    unread: impl Fn() -> W,
) -> Vec<(usize, &'p Node)> {
    let mut places = vec![0];
    if stopped_at != 0 {
        places.push(stopped_at);
    }
    let mut next = places.len() - 1;
    while let Some(node) = places.get(next).and_then(|at| program.node(*at)) {
        for (verb, at) in node.verbs.iter() {
            if !places.contains(&at) && unread().any(|word| word.eq_ignore_ascii_case(verb)) {
                places.push(at);
            }
        }
        next += 1;
    }
    places
        .into_iter()
        .filter_map(|at| Some((at, program.node(at)?)))
        .collect()
}

fn found(opt: &Opt, word: &str) -> Option<Finding> {
    let why = opt.why.as_deref().unwrap_or("the profile denies it");
    let exact = word.split('=').next() == Some(&*opt.name);
    let why = if exact {
        format!("`{}`: {why}", opt.name)
    } else {
        format!("`{}` may be a spelling of `{}`: {why}", shown(word), opt.name)
    };
    Some(Finding::deny(
        opt.rule.clone(),
        why,
        format!("leave `{}` out", opt.name),
    ))
}

/// Whether `word` could be `name`, a long name: with any dashes, with a value behind `=` or `:`, with `_` for `-`, in
/// another case, and shortened where the program takes that.
fn is_spelling(node: &Node, word: &str, name: &str) -> bool {
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

/// Whether the denied short option `name` could be in `word`, read as a cluster of letters.
fn in_cluster(program: &Program, node: &Node, word: &str, name: &str) -> bool {
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else {
        return false;
    };
    for letter in letters.chars() {
        if name.strip_prefix('-').is_some_and(|denied| denied.chars().eq([letter])) {
            return true;
        }
        // What follows a letter that takes a value is that value.
        let known = node
            .names
            .get(&format!("-{letter}"))
            .and_then(|index| program.opt(index));
        if known.is_some_and(|opt| opt.value.is_some()) || letter == '=' {
            return false;
        }
    }
    false
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

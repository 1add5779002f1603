//! The call nearest to a refused one that the profiles allow.
//!
//! Made by trying: a word is replaced by the nearest that is known, a required option is put in, an option or operand is
//! left out, as long as each step meets fewer objections. What comes out has been judged; nothing is guessed.

use super::parse::Role;
use super::profile::Verdict;
use super::program::{Node, Program};
use super::{Judged, Programs, verdict_of};
use crate::call::{Argv, Exec, Workspace};
use crate::error::nearest;

/// The most changes to a call.
const MOST_STEPS: usize = 8;
/// The most words and options that leaving out is tried for.
const MOST_TRIES: usize = 32;

/// How far a call is from being allowed: fewer words unread, then fewer objections.
type Distance = (usize, usize);

impl Programs {
    /// The words of the nearest call that the profiles allow, or `None` where there is none near, or `exec` is allowed
    /// itself. The bundle's policies may refuse it all the same. The environment and input stay as they are.
    pub fn nearest_allowed(&self, exec: &Exec, cwd: &str, workspace: &Workspace) -> Option<Vec<Box<str>>> {
        let judge = |words: &[Box<str>]| {
            let argv = Argv::new(words.iter().cloned()).ok()?;
            Some(self.judge(&exec.running(argv), cwd, workspace))
        };
        let mut words = exec.argv().words().to_vec();
        let mut judged = judge(&words)?;
        if verdict_of(&judged.findings) == Verdict::Allow {
            return None;
        }
        for _ in 0..MOST_STEPS {
            let mut best: Option<(Distance, Vec<Box<str>>, Judged)> = None;
            for changed in self.changes(&words, &judged) {
                let Some(is) = judge(&changed) else { continue };
                if verdict_of(&is.findings) == Verdict::Allow {
                    return Some(changed);
                }
                let far = distance(&is);
                if far < distance(&judged) && best.as_ref().is_none_or(|(known, ..)| far < *known) {
                    best = Some((far, changed, is));
                }
            }
            (_, words, judged) = best?;
        }
        None
    }

    /// The calls one change away, those that keep most of it first.
    fn changes(&self, words: &[Box<str>], judged: &Judged) -> Vec<Vec<Box<str>>> {
        let at = judged.program_at;
        let Some(program) = words.get(at).and_then(|word| self.find(word)) else {
            let name = words
                .get(at)
                .map(|word| word.trim().to_ascii_lowercase())
                .unwrap_or_default();
            let bare = name.rsplit('/').next().unwrap_or(&name);
            let known = self.name_of(bare).map(|_| replaced(words, at, bare));
            return known.into_iter().collect();
        };
        let verb_at = judged.roles.iter().rposition(|role| matches!(role, Role::Verb(_)));
        let node = match verb_at.and_then(|at| judged.roles.get(at)) {
            Some(Role::Verb(index)) => program.node(*index),
            _ => program.node(0),
        };
        let Some(node) = node else { return Vec::new() };
        let mut changes = Vec::new();
        if let Some(unknown) = judged.roles.iter().position(|role| *role == Role::Unknown) {
            changes.extend(meant(program, node, words, unknown));
        }
        for (required, value) in &node.require {
            if let Some(opt) = program.opt(*required) {
                let joint = if value.is_empty() { "" } else { "=" };
                let mut with = words.to_vec();
                let behind = verb_at.unwrap_or(at) + 1;
                with.insert(behind.min(with.len()), [&*opt.name, joint, value].concat().into());
                changes.push(with);
            }
        }
        changes.extend(units(program, words, judged).into_iter().map(|(from, to)| {
            let kept = words.iter().enumerate().filter(|(at, _)| !(from..to).contains(at));
            kept.map(|(_, word)| word.clone()).collect()
        }));
        changes
    }
}

fn distance(judged: &Judged) -> Distance {
    let unread = judged
        .roles
        .iter()
        .filter(|role| matches!(role, Role::Unknown | Role::Unread));
    (unread.count(), judged.findings.len())
}

fn replaced(words: &[Box<str>], at: usize, by: &str) -> Vec<Box<str>> {
    let mut words = words.to_vec();
    if let Some(word) = words.get_mut(at) {
        *word = by.into();
    }
    words
}

/// The word at `at` as the option or verb that is nearest to it.
fn meant(program: &Program, node: &Node, words: &[Box<str>], at: usize) -> Option<Vec<Box<str>>> {
    let word = words.get(at)?;
    if word.starts_with('-') {
        let (stem, value) = word
            .split_once('=')
            .map_or((&**word, None), |(stem, value)| (stem, Some(value)));
        let allowed = |name: &&str| {
            let opt = node.names.get(name).and_then(|index| program.opt(index));
            opt.is_some_and(|opt| opt.verdict == Verdict::Allow)
        };
        let near = nearest(stem, node.names.iter().map(|(name, _)| name).filter(allowed))?;
        let value = value.map_or_else(String::new, |value| format!("={value}"));
        return Some(replaced(words, at, &[near, &value].concat()));
    }
    let free = |index: usize| program.node(index).is_some_and(|node| node.verdict == Verdict::Allow);
    let verbs = node
        .verbs
        .iter()
        .filter(|(_, index)| free(*index))
        .map(|(verb, _)| verb);
    Some(replaced(words, at, nearest(word, verbs)?))
}

/// What may be left out, from and to: an option with its values, an operand if it is not the only one, a word that was
/// not read.
fn units(program: &Program, words: &[Box<str>], judged: &Judged) -> Vec<(usize, usize)> {
    let roles = &judged.roles;
    let operands = roles.iter().filter(|role| matches!(role, Role::Operand(_))).count();
    let mut units = Vec::new();
    for (at, role) in roles.iter().enumerate().take(words.len()) {
        match role {
            Role::Option(index) => {
                let values = roles.iter().skip(at + 1);
                let values = values.take_while(|role| matches!(role, Role::Value(_))).count();
                // A value that does not fit is not understood, and goes with its option.
                let wants = || program.opt(*index).is_some_and(|opt| opt.value.is_some());
                let next = at > judged.program_at && values == 0 && roles.get(at + 1) == Some(&Role::Unknown);
                let misfit = next && wants();
                units.push((at, at + 1 + values + usize::from(misfit)));
            }
            Role::Operand(_) if operands > 1 => units.push((at, at + 1)),
            Role::Unknown | Role::Unread | Role::DashDash => units.push((at, at + 1)),
            _ => {}
        }
    }
    units.truncate(MOST_TRIES);
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::packs;
    use crate::argv::profile::Example;
    use crate::finding::Outcome;
    use crate::label::Vocabulary;
    use crate::source::Source;

    fn all() -> Programs {
        let names: Vec<String> = packs::PACKS.iter().map(|(name, _)| format!("{name:?}")).collect();
        let text = format!("schema = 1\nuse = [{}]\n", names.join(", "));
        let source = Source {
            file: "safe-bins.toml",
            text: &text,
        };
        Programs::load(Some(source), Outcome::Ask, &Vocabulary::built_in())
            .unwrap()
            .0
    }

    fn near(programs: &Programs, words: &[&str]) -> Option<String> {
        let exec = Exec::new(Argv::new(words.iter().copied()).ok()?);
        let workspace = Workspace::new("/workspace").unwrap();
        let near = programs.nearest_allowed(&exec, "", &workspace)?;
        let again = Exec::new(Argv::new(near.iter().cloned()).unwrap());
        let judged = programs.judge(&again, "", &workspace);
        assert_eq!(verdict_of(&judged.findings), Verdict::Allow, "{words:?} gave {near:?}");
        Some(near.join(" "))
    }

    #[test]
    fn the_nearest_call_keeps_what_it_can() {
        let all = all();
        for (call, nearest) in [
            ("kubectl gte pods -n web", Some("kubectl get pods -n web")),
            (
                "kubectl get pods --namespcae=web",
                Some("kubectl get pods --namespace=web"),
            ),
            ("find . -name *.rs -delete", Some("find . -name *.rs")),
            ("./kubectl get pods", Some("kubectl get pods")),
            ("cat README.md /etc/passwd", Some("cat README.md")),
            ("ls -la --zz", Some("ls -la")),
            ("cat /etc/passwd", None),
            ("git push", None),
            ("ls -la", None),
        ] {
            let words: Vec<&str> = call.split(' ').collect();
            assert_eq!(near(&all, &words).as_deref(), nearest, "{call}");
        }
    }

    #[test]
    fn for_every_pack_the_nearest_call_is_allowed_and_a_slip_of_the_pen_is_mended() {
        let all = all();
        let (mut slips, mut mended) = (0usize, 0usize);
        for (file, text) in packs::PACKS {
            let (_, profile) = packs::read(Source { file, text }).unwrap();
            // Whatever is named has been judged: `near` looks again.
            for example in profile.examples.ask.iter().chain(&profile.examples.deny) {
                near(&all, &example.words());
            }
            for words in profile.examples.allow.iter().map(Example::words) {
                let long = words
                    .iter()
                    .position(|word| word.starts_with("--") && word.len() > 6 && !word.contains('='));
                let Some(at) = long else { continue };
                let mut slip = words.clone();
                let mut word = words[at].to_owned();
                word.remove(4);
                slip[at] = &word;
                slips += 1;
                mended += usize::from(near(&all, &slip) == Some(words.join(" ")));
            }
        }
        assert!(slips > 50, "{slips}");
        assert!(mended * 10 >= slips * 8, "{mended} of {slips}");
    }
}

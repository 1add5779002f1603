//! What a policy waits for and no call has: a fact that nothing fills, a label that nothing gives, a program that nobody
//! described. Such a policy loads, because a profile may come to fill it; but a forbid of that kind stops nothing, so
//! people are told.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid, Policy};

use super::PolicyInput;
use super::load::{Read, Uids};
use super::reads::{self, Fixed, Tree};
use crate::error::{Problem, nearest, shown};
use crate::facts::Target;
use crate::label::LabelSet;
use crate::shape::{ProgramShape, Shape, ToolShape};

/// The facts of `context.argv` that every program has.
const OF_ALL: [&str; 4] = ["program", "command", "options", "operands"];

/// One for everything that no call of the bundle has, at the policy that waits for it.
pub(super) fn lints(read: &[Read], input: &PolicyInput<'_>, uids: &Uids) -> Vec<Problem> {
    let mut out = Vec::new();
    for read in read {
        let Some(source) = input.policies.get(read.file) else {
            continue;
        };
        let mut say = |what: String, help: String| {
            let what = format!("policy `{}`: {what}", read.rule.id);
            out.push(source.problem(read.at, what, help));
        };
        strangers(read, input.shape, uids, &mut say);
        let met = Met::of(&read.policy, input.shape);
        if met.programs.is_empty() && met.tools.is_empty() {
            continue;
        }
        for fact in facts(&read.rule.reads.tree) {
            if !met.fills(&fact) {
                let what = format!("no call that it can meet ever has `context.{fact}`, which is always empty");
                let help = "read a fact that a profile or tools.toml fills; `glassbreak explain` shows those of a call";
                say(what, help.to_owned());
            }
        }
        let words = read.policy.as_ref().non_scope_constraints().map(reads::fixed_words);
        let labels: BTreeSet<String> = (words.into_iter().flatten())
            .filter_map(|(kind, word, _)| (kind == Fixed::Label).then_some(word))
            .collect();
        for word in labels {
            let given = input
                .vocabulary
                .get(&word)
                .is_none_or(|label| met.labels().contains(label));
            if !given {
                let what = format!("no call that it can meet is ever labelled `{}`", shown(&word));
                let help = "write a label that a profile or tools.toml gives, or name other actions";
                say(what, help.to_owned());
            }
        }
    }
    out
}

/// Programs that have no profile. Where unlisted programs are denied, nothing is ever one of them.
fn strangers(read: &Read, shape: &Shape, uids: &Uids, say: &mut impl FnMut(String, String)) {
    let programs: BTreeSet<EntityUid> = read.policy.entity_literals().into_iter().collect();
    for program in programs.iter().filter(|name| *name.type_name() == uids.program) {
        let id = program.id().unescaped();
        if shape.programs.iter().any(|known| known.program == id) {
            continue;
        }
        let known = shape.programs.iter().map(|known| known.program.as_str());
        let help = match nearest(id, known) {
            Some(near) => format!("did you mean `Program::\"{near}\"`?"),
            None => "describe it in safe-bins.toml, unless it is to stay unlisted".to_owned(),
        };
        say(format!("no profile describes `Program::\"{}\"`", shown(id)), help);
    }
}

/// The programs and tools that the scope of a policy reaches.
struct Met<'a> {
    programs: Vec<&'a ProgramShape>,
    tools: Vec<&'a ToolShape>,
}

impl<'a> Met<'a> {
    fn of(policy: &Policy, shape: &'a Shape) -> Self {
        let (any, named) = match policy.action_constraint() {
            ActionConstraint::Any => (true, Vec::new()),
            ActionConstraint::Eq(action) => (false, vec![action]),
            ActionConstraint::In(actions) => (false, actions),
        };
        let meets = |group: &str, own: &str| {
            let one_of = |action: &EntityUid| ["call", group, own].contains(&action.id().unescaped());
            any || named.iter().any(one_of)
        };
        let programs = shape.programs.iter();
        let tools = shape.tools.iter();
        Self {
            programs: programs
                .filter(|known| meets("exec", &format!("exec:{}", known.program)))
                .collect(),
            tools: tools
                .filter(|known| meets("tool", &format!("tool:{}", known.name)))
                .collect(),
        }
    }

    fn fills(&self, fact: &str) -> bool {
        let programs = self.programs.iter().map(|known| &known.fills);
        let mut all = programs.chain(self.tools.iter().map(|known| &known.fills));
        all.any(|fills| fills.contains(fact))
    }

    fn labels(&self) -> LabelSet {
        let programs = self.programs.iter().map(|known| known.labels);
        let all = programs.chain(self.tools.iter().map(|known| known.labels));
        all.fold(LabelSet::EMPTY, LabelSet::union)
    }
}

/// The facts of `context.target`, and the profile's own of `context.argv`, that are read by name.
fn facts(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for (part, names) in [("target", &Target::NAMES[..]), ("argv", &[][..])] {
        let Some(Tree::Members(members)) = tree.below(part) else {
            continue;
        };
        let read = members.iter().map(|(name, _)| name.as_str());
        let own = read.filter(|name| names.contains(name) || (part == "argv" && !OF_ALL.contains(name)));
        out.extend(own.map(|name| format!("{part}.{name}")));
    }
    out
}

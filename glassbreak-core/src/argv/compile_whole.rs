//! What is said of a profile as a whole, once its parts are made ready: what it costs, its hash, what it can take.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compile::Compiler;
use super::profile::{DashDash, Order, Profile};
use super::types::{Kind, Type};
use crate::source::Step;

impl Compiler<'_> {
    pub(super) fn costs(
        &mut self,
        costs: &BTreeMap<String, Vec<String>>,
        at: &[Step<'_>],
    ) -> Vec<(Arc<str>, Vec<usize>)> {
        let mut units = Vec::new();
        for (unit, facts) in costs {
            let place = [at, &[Step::Key("cost"), Step::Key(unit)]].concat();
            let found = facts
                .iter()
                .filter_map(|fact| self.sets.iter().position(|set| set == fact));
            let sets: Vec<usize> = found.collect();
            if sets.len() < facts.len() || sets.is_empty() {
                let help = "name some of the profile's own `facts`";
                self.problem(
                    &place,
                    format!("the cost `{}` is not counted by anything", crate::error::shown(unit)),
                    help,
                );
            }
            units.push((unit.as_str().into(), sets));
        }
        units
    }

    /// The hash of what the profile was understood to say: how it is written does not matter, and what the pack says
    /// is in it. Keys are in the order of the format, tables in that of their names.
    pub(super) fn hash(&mut self, profile: &Profile, at: &[Step<'_>]) -> [u8; 32] {
        let text = serde_json::to_vec(profile).unwrap_or_else(|error| {
            let what = format!("it cannot be written down: {error}");
            self.problem(at, what, "this is a fault of the guard; report it");
            Vec::new()
        });
        Sha256::digest(text).into()
    }

    /// Whether a slot or option in use is of a type that has a path in it; the words of a command may be paths too.
    pub(super) fn takes_paths(&self, types: &[Type]) -> bool {
        fn has_path(types: &[Type], ty: usize, fuel: usize) -> bool {
            let within: &[usize] = match types.get(ty).map(|ty| &ty.kind) {
                Some(Kind::Path(_) | Kind::Command) => return true,
                Some(Kind::AnyOf(types)) => types,
                Some(Kind::List { item, .. }) => &[*item],
                Some(Kind::Pair { left, right, .. }) => &[*left, *right],
                _ => &[],
            };
            fuel > 0 && within.iter().any(|ty| has_path(types, *ty, fuel - 1))
        }
        let slots = self
            .nodes
            .iter()
            .flat_map(|node| &node.forms)
            .flat_map(|form| form.operands.iter().chain(&form.after));
        let used = self
            .opts
            .iter()
            .flat_map(|opt| opt.value.into_iter().chain(opt.second))
            .chain(slots.map(|slot| slot.ty));
        used.into_iter().any(|ty| has_path(types, ty, types.len()))
    }

    /// Whether some form takes a command. That is always to the end of the words, and no option of the program itself
    /// stands among them.
    pub(super) fn runs(&mut self, types: &[Type], at: &[Step<'_>]) -> bool {
        let is_command = |ty: usize| types.get(ty).is_some_and(|ty| matches!(ty.kind, Kind::Command));
        let (mut runs, mut misplaced) = (false, self.opts.iter().any(|opt| opt.value.is_some_and(is_command)));
        for node in &self.nodes {
            for form in &node.forms {
                let first = node.dialect.order == Order::OptionsFirst;
                let paths = node.dialect.dashdash == DashDash::Paths;
                for (row, last) in [(&form.operands, first && form.after.is_empty()), (&form.after, paths)] {
                    for (n, slot) in row.iter().enumerate().filter(|(_, slot)| is_command(slot.ty)) {
                        runs = true;
                        misplaced |= !last || n + 1 != row.len() || slot.min == 0;
                    }
                }
            }
        }
        if misplaced {
            let help =
                "let it be the last slot, with order = \"options-first\", or behind `--` with dashdash = \"paths\"";
            self.problem(at, "a `command` that is not the rest of the words", help);
        }
        runs
    }
}

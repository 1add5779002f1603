//! What calls really came to.

use std::collections::BTreeMap;

use super::counters::Counters;
use super::rules::{Budget, Rules};
use super::{Event, Shared};
use crate::call::Actor;
use crate::clock::Timestamp;

/// What whoever performed a call says it came to, by unit; and whether it succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) costs: &'a BTreeMap<Box<str>, u64>,
    pub(crate) done: bool,
}

impl Rules {
    /// For each demand whose cost was told: its place among [`demands`](Self::demands), and how much it was.
    pub(crate) fn actual(&self, event: &Event<'_>, actor: &Actor, said: Said<'_>) -> Vec<(usize, u64)> {
        let demands = self
            .met(event)
            .flat_map(|budget| std::iter::repeat_n(budget, budget.whose.scope_count(actor)));
        demands
            .enumerate()
            .filter_map(|(place, budget)| Some((place, budget.told(event, said)?.1)))
            .collect()
    }

    /// Counts what a call that was admitted at `began` really came to, where the session's own counters hold it.
    pub(crate) fn correct(
        &self,
        counters: &mut Counters,
        event: &Event<'_>,
        actor: &Actor,
        began: Timestamp,
        shared: Shared<'_>,
        said: Said<'_>,
    ) {
        for budget in self.counted_here(event, shared) {
            let Some((counted, actual)) = budget.told(event, said) else {
                continue;
            };
            for key in budget.keys_of(event, actor) {
                counters.correct(budget, key, began, counted, actual);
            }
        }
    }
}

impl Budget {
    /// What the call counted, and what it was told to be. The effect of a call that failed may be partial and its word not
    /// the whole: then it is never less.
    fn told(&self, event: &Event<'_>, said: Said<'_>) -> Option<(u64, u64)> {
        let actual = *said.costs.get(self.amount.unit()?)?;
        let counted = self.amount.of(event, self.limit).amount;
        let actual = actual.min(super::amount::MOST);
        (said.done || actual > counted).then_some((counted, actual))
    }
}

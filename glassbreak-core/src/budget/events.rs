//! Budgets of what became of calls: how many people are asked about, how many are refused.

use super::amount::Counted;
use super::counters::Counters;
use super::rules::{Counts, Rules};
use super::{Event, Taken};
use crate::call::Actor;
use crate::clock::Timestamp;
use crate::finding::Finding;

impl Rules {
    /// What the budgets of asks, or of denials, have against one more: this call, ruled so. Only the first attempt at a
    /// call is one more; and what is admitted is neither.
    ///
    /// Ask where it is known how the call is ruled, and take these findings together with the others. Nothing changes;
    /// [`advance`](Self::advance) counts it.
    pub fn inspect_event(
        &self,
        counters: &Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
        taken: Taken,
    ) -> Vec<Finding> {
        let of = match taken {
            Taken::Asked => Counts::Asks,
            Taken::Denied => Counts::Denials,
            Taken::Held | Taken::Admitted => return Vec::new(),
        };
        if event.attempt > 0 {
            return Vec::new();
        }
        let at = counters.clamp(at);
        let one = Counted {
            amount: 1,
            unknown: None,
        };
        let budgets = self
            .events
            .iter()
            .filter(|budget| budget.of == of && budget.budget.matches.fits(event));
        budgets
            .filter_map(|budget| budget.budget.inspect_here(counters, event, actor, at, one).1)
            .collect()
    }

    /// A call that was [held](Taken::Held) turned out to be one that people are asked about.
    pub fn asked(&self, counters: &mut Counters, event: &Event<'_>, actor: &Actor, at: Timestamp) {
        let at = counters.arrive(at);
        if event.attempt == 0 {
            for rule in &self.loops {
                rule.refused(counters.loops.get_mut(&rule.head), event.norm, false);
            }
            self.count_event(counters, event, actor, at, Counts::Asks);
        }
    }

    pub(super) fn count_event(
        &self,
        counters: &mut Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
        of: Counts,
    ) {
        let budgets = self
            .events
            .iter()
            .filter(|budget| budget.of == of && budget.budget.matches.fits(event));
        for budget in budgets {
            for key in budget.budget.keys_of(event, actor) {
                counters.admit(&budget.budget, key, at, 1);
            }
        }
    }

    /// How many counts a store has to give for this call.
    pub(super) fn wanted(&self, event: &Event<'_>, actor: &Actor) -> usize {
        self.met(event).map(|budget| budget.whose.scope_count(actor)).sum()
    }
}

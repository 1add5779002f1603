//! What the rules say of one call.

use super::counters::{Counters, Spent};
use super::key::Key;
use super::rules::{Budget, Loop, Rules, Then};
use super::story::{Story, Times};
use super::{Event, Shared};
use crate::call::Actor;
use crate::clock::Timestamp;
use crate::facts::{BudgetFacts, LoopFacts, SeqFacts};
use crate::finding::{Finding, Requirement, RuleId};

impl Rules {
    /// What the counts are with this call of `actor`, and what the rules have against it. Nothing changes: ask as often
    /// as you like.
    ///
    /// A time before the newest that `counters` has seen is taken for that one. Where the counts of a store are not one
    /// for each of [`demands`](Self::demands), every shared budget that the call meets denies as unavailable.
    pub fn inspect(
        &self,
        counters: &Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
        shared: Shared<'_>,
    ) -> (SeqFacts, Vec<Finding>) {
        let at = counters.clamp(at);
        let mut given = match shared {
            Shared::Local => None,
            // Counts that are not of these demands are of none: each budget then finds none.
            Shared::Counted(counts) if counts.len() != self.met(event).count() => Some([].iter()),
            Shared::Counted(counts) => Some(counts.iter()),
        };
        let mut facts = SeqFacts {
            budgets: Vec::with_capacity(self.budgets.len()),
            loops: Vec::with_capacity(self.loops.len()),
        };
        let mut findings = Vec::new();
        for budget in &self.budgets {
            let (seen, finding) = if !budget.matches.fits(event) {
                (budget.facts(0, false), None)
            } else if let Some(counts) = given.as_mut().filter(|_| budget.is_shared()) {
                budget.inspect_given(counts.next().copied(), event)
            } else {
                budget.inspect_here(counters, event, actor, at)
            };
            facts.budgets.push(seen);
            findings.extend(finding);
        }
        let streak = if self.loops.is_empty() {
            0
        } else {
            counters.streak(event.digest, event.attempt)
        };
        for rule in &self.loops {
            let fired = streak >= rule.exact_repeat;
            facts.loops.push(LoopFacts {
                streak: long(streak),
                period: 1,
                fired,
            });
            findings.extend(fired.then(|| rule.finding(streak)));
        }
        (facts, findings)
    }

    /// Takes an attempt into account: loops see the first at each call, budgets count it only if it was `admitted`.
    ///
    /// Call it once for an attempt, after judging it, with the same `shared`: what a store counted is not counted here
    /// too. What [`inspect`](Self::inspect) said of it included it already.
    pub fn advance(
        &self,
        counters: &mut Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
        shared: Shared<'_>,
        admitted: bool,
    ) {
        let at = counters.arrive(at);
        counters.attempted(event.digest, event.attempt);
        if admitted {
            for budget in self.counted_here(event, shared) {
                counters.admit(budget, budget.key_of(event, actor), at);
            }
        }
    }

    /// Takes back one call that [`advance`](Self::advance) counted at `at`, because it is proven not to run. Where its
    /// place among the counts is no longer known, it stays: counts are only ever too high. What a store counted is its
    /// own to take back.
    pub fn refund(&self, counters: &mut Counters, event: &Event<'_>, actor: &Actor, at: Timestamp, shared: Shared<'_>) {
        for budget in self.counted_here(event, shared) {
            counters.refund(budget, &budget.key_of(event, actor), at);
        }
    }

    /// The budgets that `event` meets and that the session's own counters hold.
    fn counted_here(&self, event: &Event<'_>, shared: Shared<'_>) -> impl Iterator<Item = &Budget> {
        let all = shared == Shared::Local;
        let budgets = self.budgets.iter();
        budgets.filter(move |budget| (all || !budget.is_shared()) && budget.matches.fits(event))
    }
}

impl Budget {
    /// What the session's own counters hold `event` under.
    fn key_of(&self, event: &Event<'_>, actor: &Actor) -> Key {
        let scope = self.is_shared().then(|| self.whose.scope(actor));
        Key::of(&self.key, event, scope)
    }

    fn inspect_here(
        &self,
        counters: &Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
    ) -> (BudgetFacts, Option<Finding>) {
        let spent: Spent<'_> = counters.spent(self, &self.key_of(event, actor), at);
        // Two rings may hold more than one may; what is past the ceiling is past it, and the fact stays one number.
        let before = spent.count.min(self.ceiling.saturating_add(1));
        self.found(event, before.saturating_add(1), Times::Here(spent, at))
    }

    /// What there is to say with the count of a store. None, or one that leaves this very call out, is not of this call,
    /// and then nothing is known.
    fn inspect_given(&self, count: Option<u32>, event: &Event<'_>) -> (BudgetFacts, Option<Finding>) {
        let Some(count) = count.filter(|count| *count > 0) else {
            let why = "the store's counts are not of what this call meets, so how many there were is not known";
            let facts = self.facts(self.ceiling.saturating_add(1), true);
            return (facts, Some(Finding::unavailable(self.rule.clone(), why)));
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.found(event, count, Times::Elsewhere)
    }

    fn found(&self, event: &Event<'_>, count: usize, times: Times<'_>) -> (BudgetFacts, Option<Finding>) {
        let rungs = self.ladder.iter().filter(|rung| count >= rung.from);
        let strictest = rungs.map(|rung| rung.then).max();
        let story = Story::new(self, event, count, times);
        let finding = if count > self.ceiling {
            Some(story.past_ceiling())
        } else {
            strictest.map(|then| story.rung(then))
        };
        (self.facts(count, finding.is_some()), finding)
    }

    fn facts(&self, count: usize, fired: bool) -> BudgetFacts {
        BudgetFacts {
            count: long(count),
            limit: long(self.limit),
            remaining: long(self.limit.saturating_sub(count)),
            over: long(count.saturating_sub(self.limit)),
            fired,
        }
    }
}

impl Loop {
    fn finding(&self, streak: u64) -> Finding {
        let why = format!("the very same call, {streak} times in a row");
        let hint = format!(
            "at most {} in a row pass; look at what it returned, and do something else",
            self.exact_repeat.saturating_sub(1)
        );
        finding_of(self.rule.clone(), self.then, why, hint, self.requirement.clone())
    }
}

/// What comes of a rule that fires.
pub(super) fn finding_of(
    rule: RuleId,
    then: Then,
    why: String,
    hint: String,
    requirement: Option<Requirement>,
) -> Finding {
    match then {
        Then::Audit => Finding::note(rule, why),
        Then::Ask => Finding::ask(rule, why, hint, requirement),
        Then::Deny => Finding::deny(rule, why, hint),
    }
}

fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

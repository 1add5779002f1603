//! What the rules say of one call.

use super::amount::Counted;
use super::counters::{Counters, Spent};
use super::key::Key;
use super::kinds::loops::Ended;
use super::rules::{Budget, Counts, EventBudget, Rules, Then};
use super::story::{Story, Times};
use super::{Event, Shared, Taken, norm};
use crate::call::{Actor, Operation};
use crate::clock::Timestamp;
use crate::facts::{BudgetFacts, SeqFacts};
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
            Shared::Counted(counts) if counts.len() != self.wanted(event, actor) => Some([].iter()),
            Shared::Counted(counts) => Some(counts.iter()),
        };
        let (first, actions) = counters.life();
        let mut facts = SeqFacts {
            budgets: self.untouched(),
            elapsed_s: long(first.map_or(0, |first| at.since(first).as_millis() / 1_000)),
            actions: long(actions.saturating_add(u64::from(event.attempt == 0))),
            ..SeqFacts::default()
        };
        let mut findings = Vec::new();
        for (place, budget) in self.budgets_of(event.name) {
            if !budget.matches.fits(event) {
                continue;
            }
            let counted = budget.amount.of(event, budget.limit);
            let (seen, finding) = match given.as_mut().filter(|_| budget.is_shared()) {
                Some(counts) => {
                    // The fullest of those whose count it is; all must be there.
                    let scopes = budget.whose.scope_count(actor);
                    let mut fullest = Some(0);
                    for _ in 0..scopes {
                        let count = counts.next().filter(|count| **count >= counted.amount);
                        fullest = fullest.zip(count).map(|(most, count)| u64::max(most, *count));
                    }
                    budget.inspect_given(fullest, counted, event)
                }
                None => budget.inspect_here(counters, event, actor, at, counted),
            };
            if let Some(place) = facts.budgets.get_mut(place) {
                *place = seen;
            }
            findings.extend(finding);
        }
        for EventBudget { budget, .. } in &self.events {
            let count = if budget.matches.fits(event) {
                budget.before(counters, event, actor, at)
            } else {
                0
            };
            facts.budgets.push(budget.facts(count, count > budget.limit));
        }
        self.inspect_kinds(counters, event, at, &mut facts, &mut findings);
        (facts, findings)
    }

    /// What the call and others like it have in common, for loop rules: nothing else looks at it.
    pub(crate) fn norm(&self, operation: &Operation) -> u64 {
        if self.loops.is_empty() {
            return 0;
        }
        norm(operation)
    }

    fn inspect_kinds(
        &self,
        counters: &Counters,
        event: &Event<'_>,
        at: Timestamp,
        facts: &mut SeqFacts,
        findings: &mut Vec<Finding>,
    ) {
        for rule in &self.distincts {
            let (seen, finding) = rule.inspect(counters.distincts.get(&rule.head), event, at);
            facts.distincts.push(seen);
            findings.extend(finding);
        }
        for rule in &self.patterns {
            let (seen, finding) = rule.inspect(counters.patterns.get(&rule.head), event, at);
            facts.patterns.push(seen);
            findings.extend(finding);
        }
        for rule in &self.latches {
            let (seen, finding) = rule.inspect(counters.latches.get(&rule.head), event);
            facts.latches.push(seen);
            findings.extend(finding);
        }
        if !self.loops.is_empty() {
            let streak = counters.streak(event.digest, event.attempt);
            for rule in &self.loops {
                let (seen, finding) = rule.inspect(counters.loops.get(&rule.head), event, streak);
                facts.loops.push(seen);
                findings.extend(finding);
            }
        }
        for rule in &self.breakers {
            let (seen, finding) = rule.inspect(counters.breakers.get(&rule.head), event, at);
            facts.breakers.push(seen);
            findings.extend(finding);
        }
    }

    /// Takes an attempt into account: loops see the first at each call, everything else counts it if it is
    /// [admitted](Taken).
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
        taken: Taken,
    ) {
        let at = counters.arrive(at);
        if event.attempt == 0 {
            let streak = counters.streak(event.digest, event.attempt);
            for rule in &self.loops {
                let laps = counters.loops.get_mut(&rule.head);
                rule.attempted(laps, event, streak);
                if matches!(taken, Taken::Denied | Taken::Asked) {
                    rule.refused(laps, event.norm, taken == Taken::Denied);
                }
            }
            match taken {
                Taken::Denied => self.count_event(counters, event, actor, at, Counts::Denials),
                Taken::Asked => self.count_event(counters, event, actor, at, Counts::Asks),
                Taken::Held | Taken::Admitted => {}
            }
        }
        counters.attempted(event.digest, event.attempt);
        if !taken.counts() {
            return;
        }
        for budget in self.counted_here(event, shared) {
            let amount = budget.amount.of(event, budget.limit).amount;
            for key in budget.keys_of(event, actor) {
                counters.admit(budget, key, at, amount);
            }
        }
        for rule in &self.distincts {
            rule.advance(counters.distincts.get_mut(&rule.head), event, at);
        }
        for rule in &self.latches {
            rule.advance(counters.latches.get_mut(&rule.head), event);
        }
        for rule in &self.breakers {
            rule.advance(counters.breakers.get_mut(&rule.head), event, at);
        }
        if taken == Taken::Admitted {
            self.confirm(counters, event, at);
        }
    }

    /// A call that was [held](Taken::Held) is admitted after all.
    pub fn confirm(&self, counters: &mut Counters, event: &Event<'_>, at: Timestamp) {
        let at = counters.arrive(at);
        for rule in &self.patterns {
            rule.advance(counters.patterns.get_mut(&rule.head), event, at);
        }
    }

    /// Takes back one call that [`advance`](Self::advance) counted at `at`, because it is proven not to run. Where its
    /// place among the counts is no longer known, it stays: counts are only ever too high. What a store counted is its
    /// own to take back. Steps of a pattern stay too.
    pub fn refund(&self, counters: &mut Counters, event: &Event<'_>, actor: &Actor, at: Timestamp, shared: Shared<'_>) {
        for budget in self.counted_here(event, shared) {
            let amount = budget.amount.of(event, budget.limit).amount;
            for key in budget.keys_of(event, actor) {
                counters.refund(budget, &key, at, amount);
            }
        }
        for rule in &self.distincts {
            rule.refund(counters.distincts.get_mut(&rule.head), event, at);
        }
        for rule in &self.latches {
            rule.refund(counters.latches.get_mut(&rule.head), event);
        }
        for rule in &self.breakers {
            rule.refund(counters.breakers.get_mut(&rule.head), event, at);
        }
    }

    /// An admitted call of `began` has ended: what loops and breakers live on, and what breaks a pattern's chain.
    pub fn ended(&self, counters: &mut Counters, event: &Event<'_>, began: Timestamp, now: Timestamp, done: bool) {
        let now = counters.arrive(now);
        for rule in &self.loops {
            let ended = if done { Ended::Done } else { Ended::Failed };
            rule.ended(counters.loops.get_mut(&rule.head), event.norm, ended);
        }
        for rule in &self.breakers {
            rule.ended(counters.breakers.get_mut(&rule.head), event, began, now, !done);
        }
        for rule in self.patterns.iter().filter(|_| done) {
            rule.done(counters.patterns.get_mut(&rule.head), event, began);
        }
    }

    /// The budgets that `event` meets and that the session's own counters hold.
    pub(super) fn counted_here(&self, event: &Event<'_>, shared: Shared<'_>) -> impl Iterator<Item = &Budget> {
        let all = matches!(shared, Shared::Local);
        let budgets = self.budgets_of(event.name).map(|(_, budget)| budget);
        budgets.filter(move |budget| (all || !budget.is_shared()) && budget.matches.fits(event))
    }
}

impl Budget {
    /// What the session's own counters hold `event` under.
    pub(super) fn keys_of(&self, event: &Event<'_>, actor: &Actor) -> impl Iterator<Item = Key> {
        let own = (!self.is_shared()).then(|| Key::of(&self.key, event, None));
        let scopes = self.is_shared().then(|| self.whose.scopes(actor));
        let shared = scopes.into_iter().flatten();
        own.into_iter()
            .chain(shared.map(|scope| Key::of(&self.key, event, Some(scope))))
    }

    /// The fullest of what `event` counts under, before it.
    fn spent<'a>(&self, counters: &'a Counters, event: &Event<'_>, actor: &Actor, at: Timestamp) -> Spent<'a> {
        let all = self.keys_of(event, actor).map(|key| counters.spent(self, &key, at));
        all.max_by_key(|spent| spent.count).unwrap_or_default()
    }

    /// How much counts before `event`.
    pub(super) fn before(&self, counters: &Counters, event: &Event<'_>, actor: &Actor, at: Timestamp) -> u64 {
        self.spent(counters, event, actor, at).count
    }

    pub(super) fn inspect_here(
        &self,
        counters: &Counters,
        event: &Event<'_>,
        actor: &Actor,
        at: Timestamp,
        counted: Counted,
    ) -> (BudgetFacts, Option<Finding>) {
        let spent = self.spent(counters, event, actor, at);
        // Two rings may hold more than one may; what is past the ceiling is past it, and the fact stays one number.
        let before = spent.count.min(self.ceiling.saturating_add(1));
        let count = before.saturating_add(counted.amount);
        self.found(event, count, counted, Times::Here(spent, at))
    }

    /// What there is to say with the count of a store. None, or one that leaves this very call out, is not of this call,
    /// and then nothing is known.
    fn inspect_given(&self, count: Option<u64>, counted: Counted, event: &Event<'_>) -> (BudgetFacts, Option<Finding>) {
        let Some(count) = count.filter(|count| *count >= counted.amount) else {
            let why = "the store's counts are not of what this call meets, so how many there were is not known";
            let facts = self.facts(self.ceiling.saturating_add(1), true);
            return (facts, Some(Finding::unavailable(self.rule.clone(), why)));
        };
        self.found(event, count, counted, Times::Elsewhere)
    }

    fn found(
        &self,
        event: &Event<'_>,
        count: u64,
        counted: Counted,
        times: Times<'_>,
    ) -> (BudgetFacts, Option<Finding>) {
        let rungs = self.ladder.iter().filter(|rung| count >= rung.from);
        let strictest = rungs.map(|rung| rung.then).max();
        let story = Story::new(self, event, count, times);
        let finding = if count > self.ceiling {
            Some(story.past_ceiling())
        } else {
            match (strictest, counted.unknown) {
                (None, None) => None,
                (Some(then), None) => Some(story.rung(then)),
                (then, Some(unknown)) => Some(story.unknown(then.map_or(unknown, |then| then.max(unknown)))),
            }
        };
        (self.facts(count, finding.is_some()), finding)
    }

    pub(super) fn facts(&self, count: u64, fired: bool) -> BudgetFacts {
        BudgetFacts {
            count: long(count),
            limit: long(self.limit),
            remaining: long(self.limit.saturating_sub(count)),
            over: long(count.saturating_sub(self.limit)),
            fired,
        }
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
        Then::Kill => Finding::deny_and_lock(rule, why, hint),
    }
}

fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

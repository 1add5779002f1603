//! What the rules say of one call.

use super::counters::{Counters, Key, Spent};
use super::rules::{Budget, KeyPart, Loop, Rules, Then};
use super::{Event, Name};
use crate::clock::Timestamp;
use crate::error::shown;
use crate::facts::{BudgetFacts, LoopFacts, SeqFacts};
use crate::finding::{Finding, Requirement, RuleId};

impl Rules {
    /// What the counts are with this call, and what the rules have against it. Nothing changes: ask as often as you
    /// like.
    ///
    /// A time before the newest that `counters` has seen is taken for that one.
    pub fn inspect(&self, counters: &Counters, event: &Event<'_>, at: Timestamp) -> (SeqFacts, Vec<Finding>) {
        let at = counters.clamp(at);
        let mut facts = SeqFacts {
            budgets: Vec::with_capacity(self.budgets.len()),
            loops: Vec::with_capacity(self.loops.len()),
        };
        let mut findings = Vec::new();
        for budget in &self.budgets {
            let (seen, finding) = budget.inspect(counters, event, at);
            facts.budgets.push(seen);
            findings.extend(finding);
        }
        let streak = if self.loops.is_empty() {
            0
        } else {
            counters.streak(event.digest)
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

    /// Takes an attempt into account: loops see each, budgets count it only if it was `admitted`.
    ///
    /// Call it once for a call, after judging it; what [`inspect`](Self::inspect) said of it included it already.
    pub fn advance(&self, counters: &mut Counters, event: &Event<'_>, at: Timestamp, admitted: bool) {
        let at = counters.arrive(at);
        counters.attempted(event.digest);
        if admitted {
            for budget in self.budgets.iter().filter(|budget| budget.matches.fits(event)) {
                let key = Key::of(&budget.key, event);
                counters.admit(budget, key, at);
            }
        }
    }

    /// Takes back one call that [`advance`](Self::advance) counted at `at`, because it is proven not to run. Where its
    /// place among the counts is no longer known, it stays: counts are only ever too high.
    pub fn refund(&self, counters: &mut Counters, event: &Event<'_>, at: Timestamp) {
        for budget in self.budgets.iter().filter(|budget| budget.matches.fits(event)) {
            counters.refund(budget, &Key::of(&budget.key, event), at);
        }
    }
}

impl Budget {
    fn inspect(&self, counters: &Counters, event: &Event<'_>, at: Timestamp) -> (BudgetFacts, Option<Finding>) {
        let limit = long(self.limit);
        if !self.matches.fits(event) {
            let facts = BudgetFacts {
                limit,
                remaining: limit,
                ..BudgetFacts::default()
            };
            return (facts, None);
        }
        let key = Key::of(&self.key, event);
        let spent = counters.spent(self, &key, at);
        // Two rings may hold more than one may; what is past the ceiling is past it, and the fact stays one number.
        let before = spent.count.min(self.ceiling.saturating_add(1));
        let count = before.saturating_add(1);
        let past_ceiling = count > self.ceiling;
        let strictest = self
            .ladder
            .iter()
            .filter(|rung| count >= rung.from)
            .map(|rung| rung.then)
            .max();
        let facts = BudgetFacts {
            count: long(count),
            limit,
            remaining: long(self.limit.saturating_sub(count)),
            over: long(count.saturating_sub(self.limit)),
            fired: past_ceiling || strictest.is_some(),
        };
        let story = Story {
            budget: self,
            event,
            at,
            count,
            spent,
            known: key != Key::Unknown,
        };
        let finding = if past_ceiling {
            Some(story.past_ceiling())
        } else {
            strictest.map(|then| story.rung(then))
        };
        (facts, finding)
    }
}

/// What there is to tell about a budget that fired.
struct Story<'a> {
    budget: &'a Budget,
    event: &'a Event<'a>,
    at: Timestamp,
    count: usize,
    spent: Spent<'a>,
    known: bool,
}

impl Story<'_> {
    fn past_ceiling(&self) -> Finding {
        let ceiling = self.budget.ceiling;
        let free = self.free(Then::Deny);
        let why = format!("{}, past the ceiling of {ceiling}{}", self.spent(), self.waiting(free));
        let hint = format!("at most {free} in {} pass, whoever agrees", self.budget.window);
        Finding::deny(self.budget.ceiling_rule.clone(), why, hint)
    }

    fn rung(&self, then: Then) -> Finding {
        let free = self.free(then);
        let window = self.budget.window;
        let why = format!("{}{}", self.spent(), self.waiting(free));
        let rule = self.budget.rule.clone();
        let hint = match (free, then) {
            (0, Then::Ask) => "each of these is asked about".to_owned(),
            (0, _) => "none of these is allowed".to_owned(),
            (_, Then::Ask) => format!("at most {free} in {window} pass without asking"),
            (..) => format!("at most {free} in {window} pass"),
        };
        finding(rule, then, why, hint, self.budget.requirement.clone())
    }

    /// The highest count at which nothing as strict as `then` fires.
    fn free(&self, then: Then) -> usize {
        let strict = self.budget.ladder.iter().filter(|rung| rung.then >= then);
        let below = strict.map(|rung| rung.from.saturating_sub(1)).min();
        below.unwrap_or(usize::MAX).min(self.budget.ceiling)
    }

    /// Such as `4 of 3 in 10m for target.namespace "prod"`.
    fn spent(&self) -> String {
        let budget = self.budget;
        let mut text = format!("{} of {} in {}", self.count, budget.limit, budget.window);
        if !self.known {
            text.push_str(", by the fullest count, because what it acts on is not known");
            return text;
        }
        for (n, part) in budget.key.iter().enumerate() {
            let value = match (part, self.event.name) {
                (KeyPart::Target(name), _) => {
                    let fact = self.event.facts.target.get(name);
                    fact.and_then(|fact| fact.text()).unwrap_or_default()
                }
                (KeyPart::Program, Name::Program(name)) | (KeyPart::Tool, Name::Tool(name)) => name,
                _ => "",
            };
            text.push_str(if n == 0 { " for " } else { ", " });
            text.push_str(&format!("{} \"{}\"", part.spelt(), shown(value)));
        }
        text
    }

    /// When waiting helps to pass as one of at most `free`, how long.
    fn waiting(&self, free: usize) -> String {
        if free == 0 {
            return String::new();
        }
        let times = self.spent.times(self.at, self.budget.window);
        // This call is one of them; the others must have left.
        let leaving = times.len().saturating_sub(free.saturating_sub(1));
        let Some(last) = leaving.checked_sub(1).and_then(|index| times.get(index)) else {
            return String::new();
        };
        let age = self.at.as_millis().abs_diff(last.as_millis());
        let wait = for_people(self.budget.window.as_millis().saturating_sub(age).saturating_add(1));
        if leaving == 1 {
            format!("; the oldest leaves the window in {wait}")
        } else {
            format!("; the {leaving} oldest have left the window in {wait}")
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
        finding(self.rule.clone(), self.then, why, hint, self.requirement.clone())
    }
}

fn finding(rule: RuleId, then: Then, why: String, hint: String, requirement: Option<Requirement>) -> Finding {
    match then {
        Then::Audit => Finding::note(rule, why),
        Then::Ask => Finding::ask(rule, why, hint, requirement),
        Then::Deny => Finding::deny(rule, why, hint),
    }
}

/// Whole seconds in the two largest units, rounded up so that nobody comes too early: `3m20s`.
fn for_people(millis: u64) -> String {
    const DAY: u64 = 86_400;
    const HOUR: u64 = 3_600;
    let seconds = millis.div_ceil(1_000).max(1);
    let step = match seconds {
        DAY.. => HOUR,
        HOUR.. => 60,
        _ => 1,
    };
    let mut left = seconds.div_ceil(step).saturating_mul(step);
    let mut text = String::new();
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (60, "m"), (1, "s")] {
        if left >= unit {
            text.push_str(&format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    text
}

fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_and_short() {
        for (millis, text) in [
            (1, "1s"),
            (1_000, "1s"),
            (1_001, "2s"),
            (60_000, "1m"),
            (200_000, "3m20s"),
            (199_001, "3m20s"),
            (3_600_000, "1h"),
            (3_601_000, "1h1m"),
            (7_199_500, "2h"),
            (90_061_000, "1d2h"),
        ] {
            assert_eq!(for_people(millis), text, "{millis}");
        }
    }
}

//! The words in which a budget tells what it counted.

use super::amount::Amount;
use super::counters::Spent;
use super::inspect::finding_of;
use super::key::{self, Key};
use super::rules::{Budget, Then};
use super::{Event, Window};
use crate::clock::Timestamp;
use crate::finding::Finding;

/// What there is to tell about a budget that fired.
pub(super) struct Story<'a> {
    budget: &'a Budget,
    event: &'a Event<'a>,
    count: u64,
    times: Times<'a>,
}

/// What is known of when the counted calls were made.
pub(super) enum Times<'a> {
    /// All of it, and what time it is.
    Here(Spent<'a>, Timestamp),
    /// When enough have left the window to be within the ceiling, if waiting helps; and what time it is.
    FreeAt(Option<Timestamp>, Timestamp),
    /// Nothing.
    Elsewhere,
}

impl<'a> Story<'a> {
    pub(super) const fn new(budget: &'a Budget, event: &'a Event<'a>, count: u64, times: Times<'a>) -> Self {
        Self {
            budget,
            event,
            count,
            times,
        }
    }

    pub(super) fn past_ceiling(&self) -> Finding {
        let ceiling = self.budget.ceiling;
        let free = self.free(Then::Deny);
        let why = format!("{}, past the ceiling of {ceiling}{}", self.spent(), self.waiting(free));
        let hint = format!("at most {free} {} pass, whoever agrees", self.budget.window);
        Finding::deny(self.budget.ceiling_rule.clone(), why, hint)
    }

    pub(super) fn rung(&self, then: Then) -> Finding {
        let free = self.free(then);
        let window = self.budget.window;
        let why = format!("{}{}", self.spent(), self.waiting(free));
        let rule = self.budget.rule.clone();
        let hint = match (free, then) {
            (0, Then::Ask) => "each of these is asked about".to_owned(),
            (0, _) => "none of these is allowed".to_owned(),
            (_, Then::Ask) => format!("at most {free} {window} pass without asking"),
            (..) => format!("at most {free} {window} pass"),
        };
        finding_of(rule, then, why, hint, self.budget.requirement.clone())
    }

    /// The call's cost is not known.
    pub(super) fn unknown(&self, then: Then) -> Finding {
        let unit = self.budget.amount.unit().unwrap_or_default();
        let why = format!(
            "what it costs in {} is not known; it counts as {}",
            crate::error::shown(unit),
            self.spent()
        );
        let hint = "make a call that says how much".to_owned();
        finding_of(
            self.budget.rule.clone(),
            then,
            why,
            hint,
            self.budget.requirement.clone(),
        )
    }

    /// The highest count at which nothing as strict as `then` fires.
    fn free(&self, then: Then) -> u64 {
        let strict = self.budget.ladder.iter().filter(|rung| rung.then >= then);
        let below = strict.map(|rung| rung.from.saturating_sub(1)).min();
        below.unwrap_or(u64::MAX).min(self.budget.ceiling)
    }

    /// Such as `4 of 3 in 10m by this agent for target.namespace "prod"`.
    fn spent(&self) -> String {
        let budget = self.budget;
        let (limit, window, whom) = (budget.limit, budget.window, budget.whose.of_whom());
        let mut text = format!("{} of {limit} {window}{whom}", self.count);
        if Key::of(&budget.key, self.event, None) == Key::Unknown {
            text.push_str(", by the fullest count, because what it acts on is not known");
        } else if !budget.key.is_empty() {
            text.push_str(" for ");
            text.push_str(&key::told(&budget.key, self.event));
        }
        text
    }

    /// When waiting helps to pass as one of at most `free`, how long.
    fn waiting(&self, free: u64) -> String {
        if free == 0 {
            return String::new();
        }
        let (leaving, wait) = match &self.times {
            Times::Here(spent, at) => {
                let window = self.budget.window;
                // This call is one of them; as much of the others must have left.
                let mut over = self.count.saturating_sub(free);
                let mut leaving = 0_usize;
                let mut last = None;
                for (stamp, amount) in spent.times(*at, window) {
                    if over == 0 {
                        break;
                    }
                    over = over.saturating_sub(amount);
                    (leaving, last) = (leaving + 1, window.leaves(stamp));
                }
                let Some(last) = last.filter(|_| over == 0) else {
                    return String::new();
                };
                (leaving, last.since(*at).as_millis())
            }
            Times::FreeAt(Some(free_at), now) => {
                let leaving = self.count.saturating_sub(self.budget.ceiling);
                (
                    usize::try_from(leaving).unwrap_or(usize::MAX),
                    free_at.since(*now).as_millis(),
                )
            }
            Times::FreeAt(None, _) | Times::Elsewhere => return String::new(),
        };
        let wait = for_people(wait);
        match self.budget.window {
            Window::Sliding(_) if leaving <= 1 => format!("; the oldest leaves the window in {wait}"),
            Window::Sliding(_) if self.budget.amount == Amount::Fixed(1) => {
                format!("; the {leaving} oldest have left the window in {wait}")
            }
            _ => format!("; enough has left the window in {wait}"),
        }
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

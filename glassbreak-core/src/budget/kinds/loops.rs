//! The same over and over: the very same call, the same few calls in a circle, the same thing failing.
//!
//! Calls that are alike but for numbers, ids and the like have the same [`norm`](crate::budget::Event::norm). A circle is
//! told by norm and outcome, because honest work repeats verbs and not results; for each length of a circle one number
//! says for how long it has gone on.

use std::collections::VecDeque;

use super::Head;
use crate::budget::Event;
use crate::budget::rules::Then;
use crate::facts::LoopFacts;
use crate::finding::Finding;

/// The longest circle that is looked for.
pub(in crate::budget) const MOST_PERIOD: usize = 32;
/// So many calls that failed are remembered.
const FAILED: usize = 32;

/// The same over and over.
#[derive(Debug, Clone)]
pub(in crate::budget) struct Loop {
    pub(in crate::budget) head: Head,
    /// The very same call so often in a row.
    pub(in crate::budget) exact_repeat: Option<u64>,
    pub(in crate::budget) cycle: Option<Cycle>,
    /// The same thing has failed so often since it last succeeded.
    pub(in crate::budget) failing_repeat: Option<u64>,
    /// What comes of it once it has fired before in the session.
    pub(in crate::budget) second_hit: Option<Then>,
}

/// The same few calls in a circle.
#[derive(Debug, Clone, Copy)]
pub(in crate::budget) struct Cycle {
    /// From two calls to so many.
    pub(in crate::budget) max_period: usize,
    /// After so many times around.
    pub(in crate::budget) repeats: u64,
}

/// How a call ended, as far as circles tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::budget) enum Ended {
    Done,
    Failed,
    Denied,
}

/// What a loop rule keeps.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::budget) struct Laps {
    /// The last calls, the newest first.
    last: VecDeque<(u64, Ended)>,
    /// For each length, from one: for how many calls each was as the one so many before it.
    runs: Vec<u64>,
    /// What failed of late, the newest last.
    failed: VecDeque<u64>,
    /// How often the rule has fired.
    hits: u32,
}

impl Laps {
    pub(in crate::budget) fn heap_bytes(&self) -> usize {
        self.last.capacity() * size_of::<(u64, Ended)>() + (self.runs.capacity() + self.failed.capacity()) * 8
    }
}

/// What repeats.
enum Repeat {
    Exact(u64),
    Circle { times: u64, period: u64 },
    Failing(u64),
}

impl Loop {
    /// `streak` is how often the very same call came in a row, this one included.
    pub(in crate::budget) fn inspect(
        &self,
        laps: Option<&Laps>,
        event: &Event<'_>,
        streak: u64,
    ) -> (LoopFacts, Option<Finding>) {
        let found = self.repeats(laps, event, streak);
        let (streak, period) = match found {
            Some(Repeat::Circle { times, period }) => (times, period),
            _ => (streak, 1),
        };
        let facts = LoopFacts {
            streak: i64::try_from(streak).unwrap_or(i64::MAX),
            period: i64::try_from(period).unwrap_or(i64::MAX),
            fired: found.is_some(),
        };
        let finding = found.map(|repeat| {
            let (why, hint) = told(&repeat, self);
            let again = laps.is_some_and(|laps| laps.hits > 0 && event.attempt == 0);
            let then = self.second_hit.filter(|_| again).unwrap_or(self.head.then);
            self.head.finding_as(then, why, hint)
        });
        (facts, finding)
    }

    /// A first attempt comes into the session; `streak` as it was inspected.
    pub(in crate::budget) fn attempted(&self, laps: &mut Laps, event: &Event<'_>, streak: u64) {
        if self.repeats(Some(laps), event, streak).is_some() {
            laps.hits = laps.hits.saturating_add(1);
        }
    }

    /// The most bytes that its state takes outside itself.
    pub(in crate::budget) fn most_bytes(&self) -> usize {
        let cycle = self
            .cycle
            .map_or(0, |cycle| (cycle.max_period + 1) * (size_of::<(u64, Ended)>() + 8));
        let failing = self.failing_repeat.map_or(0, |_| FAILED * 8);
        2 * (cycle + failing)
    }

    /// A call has ended.
    pub(in crate::budget) fn ended(&self, laps: &mut Laps, norm: u64, ended: Ended) {
        self.around(laps, norm, ended);
        self.failed(laps, norm, ended);
    }

    /// A first attempt is not let through, but asked about or denied. A circle that is told goes on through it: whoever
    /// leaves out the call that was refused has not left the circle.
    pub(in crate::budget) fn refused(&self, laps: &mut Laps, norm: u64, denied: bool) {
        let before = self.circle(laps, norm).map(|(_, _, before)| before);
        if let Some(ended) = before.or(denied.then_some(Ended::Denied)) {
            self.around(laps, norm, ended);
        }
        if denied {
            self.failed(laps, norm, Ended::Denied);
        }
    }

    fn around(&self, laps: &mut Laps, norm: u64, ended: Ended) {
        let Some(cycle) = self.cycle else { return };
        laps.runs.resize(cycle.max_period, 0);
        for (n, run) in laps.runs.iter_mut().enumerate() {
            *run = if laps.last.get(n) == Some(&(norm, ended)) {
                run.saturating_add(1)
            } else {
                0
            };
        }
        laps.last.push_front((norm, ended));
        laps.last.truncate(cycle.max_period);
    }

    fn failed(&self, laps: &mut Laps, norm: u64, ended: Ended) {
        if self.failing_repeat.is_none() {
            return;
        }
        match ended {
            // What works again is not stuck.
            Ended::Done => laps.failed.retain(|failed| *failed != norm),
            Ended::Failed | Ended::Denied => {
                if laps.failed.len() >= FAILED {
                    laps.failed.pop_front();
                }
                laps.failed.push_back(norm);
            }
        }
    }

    fn repeats(&self, laps: Option<&Laps>, event: &Event<'_>, streak: u64) -> Option<Repeat> {
        if self.exact_repeat.is_some_and(|most| streak >= most) {
            return Some(Repeat::Exact(streak));
        }
        let laps = laps?;
        if let Some(most) = self.failing_repeat {
            let failed = laps.failed.iter().filter(|failed| **failed == event.norm).count();
            let failed = u64::try_from(failed).unwrap_or(u64::MAX);
            if failed >= most {
                return Some(Repeat::Failing(failed));
            }
        }
        let (times, period, _) = self.circle(laps, event.norm)?;
        Some(Repeat::Circle { times, period })
    }

    /// The circle that a call like this goes on with: how often around with it, how many calls it has, and how the one
    /// that this one repeats has ended.
    fn circle(&self, laps: &Laps, norm: u64) -> Option<(u64, u64, Ended)> {
        let cycle = self.cycle?;
        // Calls that are all alike are no circle: what they are is told by `repeats`.
        let alike = laps.runs.first().copied().unwrap_or(0);
        (2..=cycle.max_period).find_map(|period| {
            let run = laps.runs.get(period - 1).copied()?;
            let (_, before) = laps.last.get(period - 1).filter(|(before, _)| *before == norm)?;
            let around = u64::try_from(period).ok()?;
            let long = run >= around.saturating_mul(cycle.repeats.saturating_sub(1)) && run > alike;
            long.then_some((run / around + 1, around, *before))
        })
    }
}

fn told(repeat: &Repeat, rule: &Loop) -> (String, String) {
    match repeat {
        Repeat::Exact(streak) => (
            format!("the very same call, {streak} times in a row"),
            format!(
                "at most {} in a row pass; look at what it returned, and do something else",
                rule.exact_repeat.unwrap_or(0).saturating_sub(1)
            ),
        ),
        Repeat::Circle { times, period } => (
            format!("the same {period} calls in a circle, {times} times around"),
            "look at what they returned, and do something else".to_owned(),
        ),
        Repeat::Failing(failed) => (
            format!("calls like this have failed {failed} times, and none has succeeded since"),
            "look at why it failed, and do something else".to_owned(),
        ),
    }
}

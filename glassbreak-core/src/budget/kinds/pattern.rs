//! This, then that, within a time: by the latest start of each beginning of the pattern.
//!
//! For a total window a later start is always as good as an earlier one, so one moment for each step but the last is
//! all there is to know, whatever came before.

use super::Head;
use crate::budget::Event;
use crate::budget::rules::Match;
use crate::clock::{Span, Timestamp};
use crate::facts::PatternFacts;
use crate::finding::Finding;

/// The most steps of a pattern.
pub(in crate::budget) const MOST_STEPS: usize = 8;

/// Calls of these kinds in this order, other calls between them or not.
#[derive(Debug, Clone)]
pub(in crate::budget) struct Pattern {
    pub(in crate::budget) head: Head,
    pub(in crate::budget) steps: Vec<Match>,
    /// From the first to the last.
    pub(in crate::budget) within: Span,
    /// What breaks the chain once it is done.
    pub(in crate::budget) unless: Option<Match>,
}

/// For each step but the last: the latest start of calls that came up to there.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::budget) struct Starts([Option<Timestamp>; MOST_STEPS]);

impl Pattern {
    pub(in crate::budget) fn inspect(
        &self,
        starts: Option<&Starts>,
        event: &Event<'_>,
        at: Timestamp,
    ) -> (PatternFacts, Option<Finding>) {
        let live = |step: usize| {
            let start = starts.and_then(|starts| starts.0.get(step).copied().flatten())?;
            (at.since(start) <= self.within).then_some(start)
        };
        let prefixes = self.steps.len().saturating_sub(1);
        let longest = (0..prefixes).rev().find_map(|step| Some((step, live(step)?)));
        let armed = prefixes.checked_sub(1).and_then(live);
        let last = self.steps.last().is_some_and(|step| step.fits(event));
        let fired = armed.filter(|_| last);
        let facts = PatternFacts {
            armed: armed.is_some(),
            fired: fired.is_some(),
            step: longest.map_or(0, |(step, _)| i64::try_from(step).unwrap_or(0) + 1),
            age_s: longest.map_or(0, |(_, start)| {
                i64::try_from(at.since(start).as_millis() / 1_000).unwrap_or(i64::MAX)
            }),
        };
        let finding = fired.map(|start| {
            let ago = Span::from_millis(at.since(start).as_millis());
            let why = format!(
                "it is the last of {} steps that together are refused; the first was {ago} ago",
                self.steps.len()
            );
            let wait = self
                .within
                .as_millis()
                .saturating_sub(ago.as_millis())
                .saturating_add(1);
            let wait = Span::from_millis(wait.div_ceil(1_000).saturating_mul(1_000));
            self.head.finding(
                why,
                format!("without those steps before it, or {wait} later, it passes"),
            )
        });
        (facts, finding)
    }

    /// An admitted call comes into the session.
    pub(in crate::budget) fn advance(&self, starts: &mut Starts, event: &Event<'_>, at: Timestamp) {
        // From the end, so that one call is not two steps.
        for step in (0..self.steps.len().saturating_sub(1)).rev() {
            if !self.steps.get(step).is_some_and(|step| step.fits(event)) {
                continue;
            }
            let before = match step.checked_sub(1) {
                Some(before) => starts.0.get(before).copied().flatten(),
                None => Some(at),
            };
            if let Some(start) = starts.0.get_mut(step) {
                *start = (*start).max(before);
            }
        }
    }

    /// A call that was admitted at `began` is done. One that breaks the chain breaks what began before it, and only
    /// now: were it counted when it is admitted, it might never run.
    pub(in crate::budget) fn done(&self, starts: &mut Starts, event: &Event<'_>, began: Timestamp) {
        if self.unless.as_ref().is_some_and(|unless| unless.surely(event)) {
            for start in &mut starts.0 {
                *start = start.filter(|start| *start >= began);
            }
        }
    }
}

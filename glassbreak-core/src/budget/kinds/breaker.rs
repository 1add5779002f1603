//! Breakers: what keeps failing is left alone for a while, and then tried by few.

use std::collections::BTreeMap;

use super::Head;
use crate::budget::Event;
use crate::budget::key::{self, KeyPart};
use crate::budget::rules::Match;
use crate::clock::{Span, Timestamp};
use crate::facts::BreakerFacts;
use crate::finding::Finding;

/// So many keys are told apart; further ones share one breaker.
const MOST_KEYS: usize = 64;

/// Refuses calls for a while once so many have failed.
#[derive(Debug, Clone)]
pub(in crate::budget) struct Breaker {
    pub(in crate::budget) head: Head,
    pub(in crate::budget) matches: Match,
    /// What has a breaker of its own.
    pub(in crate::budget) key: Vec<KeyPart>,
    /// So many failures in a row open it.
    pub(in crate::budget) consecutive: Option<u32>,
    pub(in crate::budget) ratio: Option<Ratio>,
    /// How long it stays open the first time; each time in a row twice as long.
    pub(in crate::budget) open: Span,
    /// How long at most.
    pub(in crate::budget) max_open: Span,
    /// How many calls may try at once after that.
    pub(in crate::budget) probes: u32,
}

/// So many of the last calls failed.
#[derive(Debug, Clone, Copy)]
pub(in crate::budget) struct Ratio {
    pub(in crate::budget) of: u32,
    pub(in crate::budget) failed: u32,
    /// Not before so many have ended.
    pub(in crate::budget) min: u32,
}

/// One breaker.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fuse {
    /// Failures in a row.
    failures: u32,
    /// The last outcomes, the newest lowest; one for a failure.
    outcomes: u64,
    ended: u32,
    /// When it last opened, and for how long.
    opened: Option<(Timestamp, Span)>,
    /// Calls that try, and when the last of them was let through.
    probes: u32,
    probed: Option<Timestamp>,
}

/// The breakers of one rule.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(in crate::budget) struct Fuses(#[serde(with = "crate::budget::kept::pairs")] BTreeMap<[u8; 16], Fuse>);

impl Fuses {
    pub(in crate::budget) fn heap_bytes(&self) -> usize {
        self.0.len() * FUSE_BYTES
    }
}

/// What one takes; half again for the tree's free places.
const FUSE_BYTES: usize = size_of::<([u8; 16], Fuse)>() * 3 / 2;

/// Where a breaker stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Closed,
    Open {
        until: Timestamp,
    },
    /// So many more may try.
    HalfOpen {
        left: u32,
    },
}

impl Breaker {
    pub(in crate::budget) fn inspect(
        &self,
        fuses: Option<&Fuses>,
        event: &Event<'_>,
        at: Timestamp,
    ) -> (BreakerFacts, Option<Finding>) {
        if !self.matches.fits(event) {
            return (BreakerFacts::default(), None);
        }
        let empty = Fuses::default();
        let fuses = fuses.unwrap_or(&empty);
        // Where it is not known which breaker it is, the strictest is.
        let fuse = match key::hashed(&self.key, event) {
            Some(key) => self.of(fuses, key).copied().unwrap_or_default(),
            None => fuses
                .0
                .values()
                .copied()
                .max_by_key(|fuse| self.strictness(fuse, at))
                .unwrap_or_default(),
        };
        let stand = self.stand(&fuse, at);
        let facts = BreakerFacts {
            state: match stand {
                Stand::Closed => "closed",
                Stand::Open { .. } => "open",
                Stand::HalfOpen { .. } => "half-open",
            },
            failures: i64::from(fuse.failures),
        };
        let finding = match stand {
            Stand::Closed | Stand::HalfOpen { left: 1.. } => None,
            Stand::Open { until } => {
                let left = until.since(at).as_millis().div_ceil(1_000).max(1);
                let left = Span::from_millis(left * 1_000);
                let why = format!("calls like this have kept failing; none is let through for {left} more");
                Some(self.head.finding(why, "wait, or do something else"))
            }
            Stand::HalfOpen { left: 0 } => Some(self.head.finding(
                "calls like this have kept failing, and one that tries whether they work again is under way".to_owned(),
                "wait until it has ended",
            )),
        };
        (facts, finding)
    }

    /// An admitted call comes into the session.
    pub(in crate::budget) fn advance(&self, fuses: &mut Fuses, event: &Event<'_>, at: Timestamp) {
        self.each(fuses, event, |fuse, _| {
            self.expire(fuse, at);
            if let Stand::HalfOpen { .. } = self.stand(fuse, at) {
                fuse.probes = fuse.probes.saturating_add(1);
                fuse.probed = Some(at);
            }
        });
    }

    /// An admitted call is proven not to run.
    pub(in crate::budget) fn refund(&self, fuses: &mut Fuses, event: &Event<'_>, at: Timestamp) {
        self.each(fuses, event, |fuse, _| {
            if fuse.opened.is_some_and(|(opened, _)| opened < at) {
                fuse.probes = fuse.probes.saturating_sub(1);
            }
        });
    }

    /// A call that was admitted at `began` has ended. A failure counts wherever it may belong; a success forgives only
    /// where it surely does.
    pub(in crate::budget) fn ended(
        &self,
        fuses: &mut Fuses,
        event: &Event<'_>,
        began: Timestamp,
        now: Timestamp,
        failed: bool,
    ) {
        let surely = self.matches.surely(event);
        self.each(fuses, event, |fuse, own| {
            if !(failed || surely && own) {
                // It tried, and says nothing of this one.
                if fuse.opened.is_some_and(|(opened, _)| opened < began) {
                    fuse.probes = fuse.probes.saturating_sub(1);
                }
                return;
            }
            fuse.outcomes = fuse.outcomes << 1 | u64::from(failed);
            fuse.ended = fuse.ended.saturating_add(1);
            match fuse.opened {
                // What began before it opened, or in that moment, says nothing about now.
                Some((opened, _)) if began <= opened => {}
                Some(_) if failed => self.reopen(fuse, now),
                Some(_) => *fuse = Fuse::default(),
                None if failed => {
                    fuse.failures = fuse.failures.saturating_add(1);
                    if self.trips(fuse) {
                        fuse.opened = Some((now, self.open));
                    }
                }
                None => fuse.failures = 0,
            }
        });
    }

    fn trips(&self, fuse: &Fuse) -> bool {
        let in_row = self.consecutive.is_some_and(|most| fuse.failures >= most);
        in_row
            || self.ratio.is_some_and(|ratio| {
                let mask = 1_u64.checked_shl(ratio.of).map_or(u64::MAX, |bit| bit - 1);
                fuse.ended >= ratio.min && (fuse.outcomes & mask).count_ones() >= ratio.failed
            })
    }

    fn reopen(&self, fuse: &mut Fuse, now: Timestamp) {
        let before = fuse.opened.map_or(self.open, |(_, span)| span);
        let longer = Span::from_millis(before.as_millis().saturating_mul(2)).min(self.max_open);
        fuse.opened = Some((now, longer));
        fuse.failures = fuse.failures.saturating_add(1);
        (fuse.probes, fuse.probed) = (0, None);
    }

    fn stand(&self, fuse: &Fuse, at: Timestamp) -> Stand {
        let Some((opened, span)) = fuse.opened else {
            return Stand::Closed;
        };
        let until = opened.after(span);
        if at < until {
            return Stand::Open { until };
        }
        match fuse.probed {
            // Nobody told how it ended: it is a failure from then on.
            Some(probed) if fuse.probes > 0 && at.since(probed) > self.max_open => {
                let until = probed.after(self.max_open).after(span);
                if at < until {
                    Stand::Open { until }
                } else {
                    Stand::HalfOpen { left: self.probes }
                }
            }
            _ => Stand::HalfOpen {
                left: self.probes.saturating_sub(fuse.probes),
            },
        }
    }

    /// Takes calls that tried, and whose end nobody told in time, for failures.
    fn expire(&self, fuse: &mut Fuse, at: Timestamp) {
        if let Some(probed) = fuse.probed
            && fuse.probes > 0
            && at.since(probed) > self.max_open
        {
            self.reopen(fuse, probed.after(self.max_open));
        }
    }

    fn strictness(&self, fuse: &Fuse, at: Timestamp) -> (u8, i64) {
        match self.stand(fuse, at) {
            Stand::Closed => (0, 0),
            Stand::HalfOpen { left } => (1, -i64::from(left)),
            Stand::Open { until } => (2, until.as_millis()),
        }
    }

    /// The most bytes that its state takes outside itself.
    pub(in crate::budget) fn most_bytes(&self) -> usize {
        // Where nothing is told apart there is one key, which is always known.
        if self.key.is_empty() {
            FUSE_BYTES
        } else {
            (MOST_KEYS + 1) * FUSE_BYTES
        }
    }

    /// What counts for a key: its own, or what all have in common that have none.
    fn of<'a>(&self, fuses: &'a Fuses, key: [u8; 16]) -> Option<&'a Fuse> {
        fuses.0.get(&key).or_else(|| fuses.0.get(&COMMON))
    }

    /// Changes what counts for `event`: one, or where it is not known which, all of them, and the common one for those that
    /// are first seen after it. Also told is whether it is the event's own.
    fn each(&self, fuses: &mut Fuses, event: &Event<'_>, change: impl Fn(&mut Fuse, bool)) {
        if !self.matches.fits(event) {
            return;
        }
        let known = key::hashed(&self.key, event);
        if known.is_none() {
            let others = fuses.0.iter_mut().filter(|(key, _)| **key != COMMON);
            others.for_each(|(_, fuse)| change(fuse, false));
        }
        let common = fuses.0.get(&COMMON).copied();
        let full = fuses.0.len() >= MOST_KEYS;
        let place = known.filter(|key| !full || fuses.0.contains_key(key)).unwrap_or(COMMON);
        let fuse = fuses.0.entry(place).or_insert(common.unwrap_or_default());
        change(fuse, true);
        // One that has seen nothing is as good as none, and keeps no place; but none is the common one where there is one.
        if *fuse == Fuse::default() && (place == COMMON || common.is_none()) {
            fuses.0.remove(&place);
        }
    }
}

/// What keys share that there was no place for, and calls whose key is not known; no hash is this.
const COMMON: [u8; 16] = [0; 16];

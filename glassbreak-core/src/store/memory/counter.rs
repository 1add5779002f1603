//! The counts of one shard: exact rings by rule and key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::budget::window::Ring;
use crate::clock::{Span, Timestamp};
use crate::store::Demand;

/// The counters of some keys.
#[derive(Debug, Default)]
pub(super) struct Counters {
    rules: HashMap<Arc<str>, HashMap<[u8; 16], Counter>>,
    /// Every counter once, in the order in which they are next looked at for being empty.
    round: VecDeque<(Arc<str>, [u8; 16])>,
}

impl Counters {
    /// The counter of a demand, if anything was counted there.
    pub(super) fn get(&self, rule: &str, key: &[u8; 16]) -> Option<&Counter> {
        self.rules.get(rule)?.get(key)
    }

    /// Counts one at `now`, which is not before any time counted here.
    pub(super) fn push(&mut self, demand: &Demand, now: Timestamp) {
        let Demand {
            rule,
            key,
            window,
            ceiling,
        } = demand;
        if let Some(counter) = self.rules.get_mut(&**rule).and_then(|keys| keys.get_mut(key)) {
            return counter.push(now, *window, *ceiling);
        }
        self.tidy(now);
        let keys = self.rules.entry(Arc::clone(rule)).or_default();
        keys.entry(*key).or_default().push(now, *window, *ceiling);
        self.round.push_back((Arc::clone(rule), *key));
    }

    /// Takes one back that was counted at `then`.
    pub(super) fn take(&mut self, rule: &str, key: &[u8; 16], then: Timestamp, now: Timestamp) {
        if let Some(counter) = self.rules.get_mut(rule).and_then(|keys| keys.get_mut(key)) {
            counter.take(then, now);
        }
    }

    /// Looks at two counters for each new one and drops what is empty: they cannot pile up, and nobody waits long.
    fn tidy(&mut self, now: Timestamp) {
        for _ in 0..2 {
            let Some((rule, key)) = self.round.pop_front() else {
                return;
            };
            let Some(keys) = self.rules.get_mut(&*rule) else {
                continue;
            };
            if keys.get(&key).is_some_and(|counter| !counter.is_empty(now)) {
                self.round.push_back((rule, key));
                continue;
            }
            keys.remove(&key);
            if keys.is_empty() {
                self.rules.remove(&*rule);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.round.len()
    }
}

/// How many calls count under one rule and key.
///
/// A rule has one window and one ceiling, except while a bundle is swapped for another: then both count here, and the
/// wider of each says what is kept.
#[derive(Debug, Default)]
pub(super) struct Counter {
    ring: Ring,
    window: Option<Span>,
    most: usize,
    /// The newest call that there was no room for. While it is in the window nothing is taken back: the ring does not
    /// hold all that it counts.
    shed: Option<Timestamp>,
}

impl Counter {
    /// How many count in the window that ends at `now`.
    pub(super) fn count(&self, now: Timestamp, window: Span) -> usize {
        self.ring.count(now, window)
    }

    /// When the oldest `leaving` have left the window.
    pub(super) fn free_at(&self, now: Timestamp, window: Span, leaving: usize) -> Option<Timestamp> {
        let last = self.ring.within(now, window).nth(leaving.checked_sub(1)?)?;
        let window = i64::try_from(window.as_millis()).ok()?;
        let free = last.as_millis().checked_add(window)?.checked_add(1)?;
        Some(Timestamp::from_millis(free))
    }

    fn push(&mut self, now: Timestamp, window: Span, ceiling: u32) {
        let window = self.window.map_or(window, |widest| widest.max(window));
        self.window = Some(window);
        self.most = self.most.max(usize::try_from(ceiling).unwrap_or(usize::MAX));
        if self.ring.count(now, window) >= self.most {
            self.shed = self.ring.within(now, window).next();
        }
        self.ring.push(now, window, self.most);
    }

    fn take(&mut self, then: Timestamp, now: Timestamp) {
        let Some(window) = self.window else {
            return;
        };
        let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let whole = self
            .shed
            .is_none_or(|shed| now.as_millis().saturating_sub(shed.as_millis()) > millis);
        if whole {
            self.ring.remove(then);
        }
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        self.window.is_none_or(|window| self.ring.count(now, window) == 0)
    }
}

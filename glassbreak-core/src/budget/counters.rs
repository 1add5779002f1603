//! What one session has done so far, as far as its rules need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::{self, Key, Whose};
use super::kinds::States;
use super::kinds::breaker::Fuses;
use super::kinds::distinct::Members;
use super::kinds::latch::Seen;
use super::kinds::loops::Laps;
use super::kinds::pattern::Starts;
use super::rules::Budget;
use super::window::{ENTRY_BYTES, Ring, Window};
use crate::call::CallDigest;
use crate::clock::Timestamp;

/// The most keys that one rule counts apart in one session.
pub(super) const MAX_KEYS: usize = 256;

/// The counters of one session: lost with the process, which `durability = "none"` says.
///
/// Shared budgets are counted here too where there is no store ([`Shared::Local`](super::Shared)), as if this were the
/// only session.
///
/// They only ever over-count: an event whose key is not known counts under every key, and past 256 keys of one rule
/// all further keys share one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    newest: Option<Timestamp>,
    first: Option<Timestamp>,
    actions: u64,
    pub(super) distincts: States<Members>,
    pub(super) patterns: States<Starts>,
    pub(super) latches: States<Seen>,
    pub(super) loops: States<Laps>,
    pub(super) breakers: States<Fuses>,
    /// By the id of the rule, so that a reload that moves rules about confuses nothing.
    #[serde(with = "super::kept::by_id")]
    budgets: BTreeMap<Arc<str>, Tally>,
    last: Option<(CallDigest, u64)>,
}

impl Counters {
    /// About how many bytes this state takes; [`Rules::most_bytes`](super::Rules::most_bytes) bounds it.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.budgets.values().map(Tally::bytes).sum::<usize>()
            + self.distincts.bytes(Members::heap_bytes)
            + self.patterns.bytes(|_| 0)
            + self.latches.bytes(Seen::heap_bytes)
            + self.loops.bytes(Laps::heap_bytes)
            + self.breakers.bytes(Fuses::heap_bytes)
    }

    /// When the session made its first call, and how many it has made.
    pub(super) fn life(&self) -> (Option<Timestamp>, u64) {
        (self.first, self.actions)
    }

    /// The time to judge at: never before the newest seen, so that a clock set back forgives nothing.
    pub(super) fn clamp(&self, at: Timestamp) -> Timestamp {
        self.newest.map_or(at, |newest| newest.max(at))
    }

    /// Moves time on, and returns where it now stands.
    pub(super) fn arrive(&mut self, at: Timestamp) -> Timestamp {
        let at = self.clamp(at);
        self.newest = Some(at);
        self.first.get_or_insert(at);
        at
    }

    /// How often `digest` came in a row, this time included. A later attempt at a call is the same time again.
    pub(super) fn streak(&self, digest: CallDigest, attempt: u32) -> u64 {
        match self.last {
            Some((last, streak)) if last == digest => streak.saturating_add(u64::from(attempt == 0)),
            _ => 1,
        }
    }

    /// Notes an attempt at `digest`; only the first at a call is one more.
    pub(super) fn attempted(&mut self, digest: CallDigest, attempt: u32) {
        if attempt == 0 {
            self.last = Some((digest, self.streak(digest, attempt)));
            self.actions = self.actions.saturating_add(1);
        }
    }

    /// The admitted calls that `budget` counts against `key`, before this one: their times, the oldest first.
    pub(super) fn spent(&self, budget: &Budget, key: &Key, at: Timestamp) -> Spent<'_> {
        match self.budgets.get(&*budget.id) {
            Some(tally) => tally.spent(budget.window, key, at),
            None => Spent::default(),
        }
    }

    /// Takes back what one admitted call of this time counted, if that still counts under its own key.
    pub(super) fn refund(&mut self, budget: &Budget, key: &Key, at: Timestamp, amount: u64) {
        self.less(budget, key, at, amount, amount);
    }

    fn less(&mut self, budget: &Budget, key: &Key, at: Timestamp, amount: u64, less: u64) {
        let Some(tally) = self.budgets.get_mut(&*budget.id) else {
            return;
        };
        // The clock may have been behind the newest that was seen; then it was counted at that one, or at a later one.
        let ring = match key {
            Key::Unknown => Some(&mut tally.unknown),
            Key::Known(key) => tally.keys.get_mut(&**key),
        };
        if let Some(ring) = ring {
            ring.remove(budget.window.stamp(at), amount, less);
        }
    }

    /// An admitted call of this time that counted so much came to `actual`.
    pub(super) fn correct(&mut self, budget: &Budget, key: Key, at: Timestamp, counted: u64, actual: u64) {
        match actual.checked_sub(counted) {
            Some(0) => {}
            // Where its place is not known any more, it counts for longer.
            Some(more) => {
                let at = self.clamp(at);
                self.admit(budget, key, at, more);
            }
            None => self.less(budget, &key, at, counted, counted.saturating_sub(actual)),
        }
    }

    /// Counts an admitted call.
    pub(super) fn admit(&mut self, budget: &Budget, key: Key, at: Timestamp, amount: u64) {
        if amount > 0 {
            self.budgets
                .entry(Arc::clone(&budget.id))
                .or_default()
                .admit(budget, key, at, amount);
        }
    }
}

/// What a rule has counted against a key: of its own, and of calls that may have been under it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent<'a> {
    pub(super) count: u64,
    own: Option<&'a Ring>,
    unknown: Option<&'a Ring>,
}

impl Spent<'_> {
    /// What was counted, and when, the oldest first.
    pub(super) fn times(&self, at: Timestamp, window: Window) -> Vec<(Timestamp, u64)> {
        let rings = [self.own, self.unknown];
        let mut times: Vec<(Timestamp, u64)> = rings
            .iter()
            .flatten()
            .flat_map(|ring| ring.within(at, window))
            .collect();
        times.sort_unstable();
        times
    }
}

/// One rule's counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tally {
    #[serde(with = "super::kept::pairs")]
    keys: BTreeMap<Box<[u8]>, Ring>,
    /// Keys past the 256th, together.
    overflow: Ring,
    /// Calls whose key is not known. They count under every key, also under one that is first seen after them.
    unknown: Ring,
}

impl Tally {
    fn spent(&self, window: Window, key: &Key, at: Timestamp) -> Spent<'_> {
        let own = match key {
            Key::Known(key) => match self.keys.get(&**key) {
                Some(ring) => Some(ring),
                None if self.is_full(window, at) => Some(&self.overflow),
                None => None,
            },
            Key::Unknown => self
                .keys
                .values()
                .chain([&self.overflow])
                .max_by_key(|ring| ring.count(at, window)),
        };
        let unknown = Some(&self.unknown);
        Spent {
            count: [own, unknown]
                .iter()
                .flatten()
                .fold(0, |sum, ring| u64::saturating_add(sum, ring.count(at, window))),
            own,
            unknown,
        }
    }

    fn admit(&mut self, budget: &Budget, key: Key, at: Timestamp, amount: u64) {
        let (window, most) = (budget.window, budget.most_entries());
        let ring = match key {
            Key::Unknown => &mut self.unknown,
            Key::Known(key) => self.ring_of(&key, window, at),
        };
        ring.push(at, window, amount, most);
    }

    /// Where a key is counted: in a ring of its own, as long as there are places.
    fn ring_of(&mut self, key: &[u8], window: Window, at: Timestamp) -> &mut Ring {
        if !self.keys.contains_key(key) {
            if self.keys.len() >= MAX_KEYS {
                self.keys.retain(|_, ring| ring.count(at, window) > 0);
            }
            if self.is_full(window, at) {
                return &mut self.overflow;
            }
            self.keys.insert(key.into(), Ring::default());
        }
        match self.keys.get_mut(key) {
            Some(ring) => ring,
            None => &mut self.overflow,
        }
    }

    /// Whether a new key must share the overflow: all places are taken, or some of its calls may be there already.
    fn is_full(&self, window: Window, at: Timestamp) -> bool {
        let busy = || self.keys.values().filter(|ring| ring.count(at, window) > 0).count();
        self.overflow.count(at, window) > 0 || (self.keys.len() >= MAX_KEYS && busy() >= MAX_KEYS)
    }

    fn bytes(&self) -> usize {
        let keys = self.keys.iter();
        TALLY_BYTES
            + self.overflow.heap_bytes()
            + self.unknown.heap_bytes()
            + keys
                .map(|(key, ring)| KEY_BYTES + key.len() + ring.heap_bytes())
                .sum::<usize>()
    }
}

/// What a rule takes besides its rings and keys; half again for the tree's free places.
const TALLY_BYTES: usize = (size_of::<Arc<str>>() + size_of::<Tally>()) * 3 / 2;
/// What a key takes besides its bytes and times; half again for the tree's free places.
const KEY_BYTES: usize = (size_of::<Box<[u8]>>() + size_of::<Ring>()) * 3 / 2;

/// The most bytes that `budget` may take in one session.
pub(super) fn most_bytes(budget: &Budget) -> usize {
    let ring = budget.most_entries().saturating_mul(ENTRY_BYTES);
    if budget.key.is_empty() && (!budget.is_shared() || budget.whose == Whose::Session) {
        // One key, which is always known: the rings of what is not, and of what finds no place, stay empty.
        return (TALLY_BYTES + KEY_BYTES + key::SCOPE).saturating_add(ring);
    }
    let key = (KEY_BYTES + key::LONGEST).saturating_add(ring);
    TALLY_BYTES
        .saturating_add(ring.saturating_mul(2))
        .saturating_add(key.saturating_mul(MAX_KEYS))
}

/// What most bytes of state are, besides those of the budgets.
pub(super) const BASE_BYTES: usize = size_of::<Counters>();

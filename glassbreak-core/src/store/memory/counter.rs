//! The counts of one shard: exact rings by rule and key.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::budget::Window;
use crate::budget::window::Ring;
use crate::clock::Timestamp;
use crate::store::Demand;

/// What is looked up for every demand of every call. Nobody chooses these words freely: ids of rules, and SHA-256 of the
/// rest, so a quick hash with a seed of the process will do.
type Quick<K, V> = HashMap<K, V, RandomState>;

/// Whose counter it is.
type Place = (Arc<str>, [u8; 16], Option<[u8; 16]>);

/// What one demand was counted under.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) rule: Arc<str>,
    pub(super) scope: [u8; 16],
    pub(super) key: Option<[u8; 16]>,
    pub(super) window: Window,
    pub(super) ceiling: u64,
    /// What it is kept at.
    pub(super) stamp: Timestamp,
    pub(super) amount: u64,
}

/// A rule and a scope: one look-up, where a map of maps takes two.
trait Whose {
    fn rule(&self) -> &str;
    fn scope(&self) -> [u8; 16];
}

/// As the map keeps it.
#[derive(Debug)]
struct Kept(Arc<str>, [u8; 16]);

impl Whose for Kept {
    fn rule(&self) -> &str {
        &self.0
    }

    fn scope(&self) -> [u8; 16] {
        self.1
    }
}

/// As it is looked for: to count a reference to the rule's name would have all threads write to it.
struct Sought<'a>(&'a str, [u8; 16]);

impl Whose for Sought<'_> {
    fn rule(&self) -> &str {
        self.0
    }

    fn scope(&self) -> [u8; 16] {
        self.1
    }
}

impl Hash for dyn Whose + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Of one length at most, so neither end needs a mark.
        state.write(self.rule().as_bytes());
        state.write_u128(u128::from_ne_bytes(self.scope()));
    }
}

impl PartialEq for dyn Whose + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.scope() == other.scope() && self.rule() == other.rule()
    }
}

impl Eq for dyn Whose + '_ {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn Whose).hash(state);
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self as &dyn Whose == other as &dyn Whose
    }
}

impl Eq for Kept {}

impl<'a> Borrow<dyn Whose + 'a> for Kept {
    fn borrow(&self) -> &(dyn Whose + 'a) {
        self
    }
}

/// The counters of some scopes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    groups: Quick<Kept, Group>,
    /// Every counter once, in the order in which they are next looked at for being empty.
    round: VecDeque<Place>,
}

/// The counters of one rule in one scope.
#[derive(Debug, Default)]
struct Group {
    keys: Quick<[u8; 16], Counter>,
    /// Calls whose key is not known: they count under every key.
    unknown: Option<Counter>,
}

impl Group {
    fn get(&self, key: Option<[u8; 16]>) -> Option<&Counter> {
        match key {
            Some(key) => self.keys.get(&key),
            None => self.unknown.as_ref(),
        }
    }

    fn get_mut(&mut self, key: Option<[u8; 16]>) -> Option<&mut Counter> {
        match key {
            Some(key) => self.keys.get_mut(&key),
            None => self.unknown.as_mut(),
        }
    }

    /// Visits the counter that a known key goes by, or all of them where it is not known, each with how many count under
    /// it, this demand and `earlier` ones of its call included.
    fn against(
        &self,
        demand: &Demand,
        now: Timestamp,
        earlier: &[&Demand],
        visit: &mut dyn FnMut(Option<&Counter>, u64),
    ) {
        let added = |key: Option<[u8; 16]>| {
            let same = earlier.iter().filter(|demand| demand.key == key);
            same.fold(0, |sum, demand| u64::saturating_add(sum, demand.amount))
        };
        let unknowns = self
            .unknown
            .as_ref()
            .map_or(0, |counter| counter.count(now, demand.window));
        let all_keys = unknowns.saturating_add(added(None)).saturating_add(demand.amount);
        let mut of = |key: [u8; 16]| {
            let counter = self.keys.get(&key);
            let count = counter.map_or(0, |counter| counter.count(now, demand.window));
            visit(counter, count.saturating_add(added(Some(key))).saturating_add(all_keys));
        };
        if let Some(key) = demand.key {
            return of(key);
        }
        self.keys.keys().copied().for_each(&mut of);
        earlier.iter().filter_map(|demand| demand.key).for_each(of);
        visit(None, all_keys);
    }
}

impl Counters {
    /// How many count under a demand, this one included; `earlier` are those of the same call before it.
    pub(super) fn count(&self, demand: &Demand, now: Timestamp, earlier: &[Demand]) -> u64 {
        // Nearly every demand has a known key, and nothing beside it.
        if let (Some(key), []) = (&demand.key, earlier)
            && let Some(Group { keys, unknown: None }) = self.group(demand)
        {
            let count = keys.get(key).map_or(0, |counter| counter.count(now, demand.window));
            return count.saturating_add(demand.amount);
        }
        let mut most = 0;
        self.against(demand, now, earlier, &mut |_, count| most = most.max(count));
        most
    }

    /// When enough have left the window for a demand to pass: under every key, where its own is not known. `None` where
    /// waiting does not help.
    pub(super) fn free_at(&self, demand: &Demand, now: Timestamp, earlier: &[Demand]) -> Option<Timestamp> {
        let unknown = self.group(demand).and_then(|group| group.unknown.as_ref());
        let ceiling = demand.ceiling;
        let mut last = Some(Timestamp::from_millis(i64::MIN));
        self.against(demand, now, earlier, &mut |own, count| {
            if count > ceiling {
                let rings = own.into_iter().chain(unknown);
                last = last.and_then(|last| Some(last.max(leaves(rings, now, demand.window, count - ceiling)?)));
            }
        });
        last
    }

    fn against(
        &self,
        demand: &Demand,
        now: Timestamp,
        earlier: &[Demand],
        visit: &mut dyn FnMut(Option<&Counter>, u64),
    ) {
        let same = |other: &&Demand| other.scope == demand.scope && other.rule == demand.rule;
        let earlier: Vec<&Demand> = earlier.iter().filter(same).collect();
        match self.group(demand) {
            Some(group) => group.against(demand, now, &earlier, visit),
            None => Group::default().against(demand, now, &earlier, visit),
        }
    }

    fn group(&self, demand: &Demand) -> Option<&Group> {
        self.groups.get(&Sought(&demand.rule, demand.scope) as &dyn Whose)
    }

    /// Counts a demand at `now`, which is not before any time counted here. Returns what it is kept at.
    pub(super) fn push(&mut self, demand: &Demand, now: Timestamp) -> Timestamp {
        let (rule, scope, key) = (&demand.rule, demand.scope, demand.key);
        if demand.amount == 0 {
            return demand.window.stamp(now);
        }
        let group = self.groups.get_mut(&Sought(rule, scope) as &dyn Whose);
        if let Some(counter) = group.and_then(|group| group.get_mut(key)) {
            return counter.push(now, demand);
        }
        self.tidy(now);
        let group = self.groups.entry(Kept(Arc::clone(rule), scope)).or_default();
        let counter = match key {
            Some(key) => group.keys.entry(key).or_default(),
            None => group.unknown.get_or_insert_default(),
        };
        let stamp = counter.push(now, demand);
        self.round.push_back((Arc::clone(rule), scope, key));
        stamp
    }

    /// Takes `amount` of a charge back.
    pub(super) fn take(&mut self, charge: &Charge, amount: u64, now: Timestamp) {
        if let Some(counter) = self.counter_of(charge) {
            counter.take(charge.stamp, charge.amount, amount, now);
        }
    }

    /// Counts `more` on top of a charge.
    pub(super) fn add(&mut self, charge: &Charge, more: u64, now: Timestamp) {
        if charge.stamp < charge.window.begin(now) || more == 0 {
            return;
        }
        if let Some(counter) = self.counter_of(charge) {
            return counter.add(charge, more);
        }
        // It counted nothing until now.
        let group = self
            .groups
            .entry(Kept(Arc::clone(&charge.rule), charge.scope))
            .or_default();
        let counter = match charge.key {
            Some(key) => group.keys.entry(key).or_default(),
            None => group.unknown.get_or_insert_default(),
        };
        counter.add(charge, more);
        self.round
            .push_back((Arc::clone(&charge.rule), charge.scope, charge.key));
    }

    fn counter_of(&mut self, charge: &Charge) -> Option<&mut Counter> {
        let group = self.groups.get_mut(&Sought(&charge.rule, charge.scope) as &dyn Whose)?;
        group.get_mut(charge.key)
    }

    /// Looks at two counters for each new one and drops what is empty: they cannot pile up, and nobody waits long.
    fn tidy(&mut self, now: Timestamp) {
        for _ in 0..2 {
            let Some((rule, scope, key)) = self.round.pop_front() else {
                return;
            };
            let spot = Sought(&rule, scope);
            let Some(group) = self.groups.get_mut(&spot as &dyn Whose) else {
                continue;
            };
            if group.get(key).is_some_and(|counter| !counter.is_empty(now)) {
                self.round.push_back((rule, scope, key));
                continue;
            }
            match key {
                Some(key) => drop(group.keys.remove(&key)),
                None => group.unknown = None,
            }
            if group.keys.is_empty() && group.unknown.is_none() {
                self.groups.remove(&spot as &dyn Whose);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.round.len()
    }
}

/// When so much of these has left the window.
fn leaves<'a>(
    counters: impl Iterator<Item = &'a Counter>,
    now: Timestamp,
    window: Window,
    leaving: u64,
) -> Option<Timestamp> {
    let mut times: Vec<(Timestamp, u64)> = counters.flat_map(|counter| counter.ring.within(now, window)).collect();
    times.sort_unstable();
    let mut left = 0_u64;
    for (stamp, amount) in times {
        left = left.saturating_add(amount);
        if left >= leaving {
            return window.leaves(stamp);
        }
    }
    None
}

/// How much counts under one rule and key.
///
/// A rule has one window and one ceiling, except while a bundle is swapped for another: then both count here, and the
/// wider of each says what is kept.
#[derive(Debug, Default)]
pub(super) struct Counter {
    ring: Ring,
    window: Option<Window>,
    most: usize,
    /// The newest call that there was no room for. While it is in the window nothing is taken back: the ring does not
    /// hold all that it counts.
    shed: Option<Timestamp>,
}

impl Counter {
    /// How much counts in the window that ends at `now`.
    pub(super) fn count(&self, now: Timestamp, window: Window) -> u64 {
        self.ring.count(now, window)
    }

    fn push(&mut self, now: Timestamp, demand: &Demand) -> Timestamp {
        let window = self.hold(now, demand.window, demand.ceiling);
        // One that still counts has to go only where there is no room.
        let full = self.ring.is_full(self.most);
        let oldest = full.then(|| self.ring.within(now, window).next()).flatten();
        let (stamp, shed) = self
            .ring
            .push_keeping(now, demand.window, demand.amount, self.most, window);
        if shed {
            self.shed = oldest.map(|(stamp, _)| stamp);
        }
        stamp
    }

    fn take(&mut self, stamp: Timestamp, charged: u64, amount: u64, now: Timestamp) {
        let Some(window) = self.window else {
            return;
        };
        let begin = window.begin(now);
        if self.shed.is_some_and(|shed| shed >= begin) {
            return;
        }
        self.ring.remove(stamp, charged, amount);
    }

    fn add(&mut self, charge: &Charge, more: u64) {
        self.hold(charge.stamp, charge.window, charge.ceiling);
        self.ring.add(charge.stamp, more, self.most);
    }

    /// Keeps what this window and ceiling need, too. Returns the wider window.
    fn hold(&mut self, now: Timestamp, window: Window, ceiling: u64) -> Window {
        let known = self.window.unwrap_or(window);
        let wider = if known != window && known.begin(now) < window.begin(now) {
            known
        } else {
            window
        };
        self.window = Some(wider);
        // Nothing is admitted past the ceiling, so so many are all there can be.
        self.most = self.most.max(window.entries(ceiling.saturating_sub(1)));
        wider
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        self.window.is_none_or(|window| self.ring.count(now, window) == 0)
    }
}

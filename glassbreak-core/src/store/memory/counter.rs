//! The counts of one shard: exact rings by rule and key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::budget::window::Ring;
use crate::clock::{Span, Timestamp};
use crate::store::Demand;

/// What one demand was counted under.
pub(super) type Charge = (Arc<str>, [u8; 16], Option<[u8; 16]>);

/// The counters of some scopes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    rules: HashMap<Arc<str>, HashMap<[u8; 16], Group>>,
    /// Every counter once, in the order in which they are next looked at for being empty.
    round: VecDeque<Charge>,
}

/// The counters of one rule in one scope.
#[derive(Debug, Default)]
struct Group {
    keys: HashMap<[u8; 16], Counter>,
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
        visit: &mut dyn FnMut(Option<&Counter>, usize),
    ) {
        let added = |key: Option<[u8; 16]>| earlier.iter().filter(|demand| demand.key == key).count();
        let unknowns = self
            .unknown
            .as_ref()
            .map_or(0, |counter| counter.count(now, demand.window));
        let all_keys = unknowns + added(None) + 1;
        let mut of = |key: [u8; 16]| {
            let counter = self.keys.get(&key);
            let count = counter.map_or(0, |counter| counter.count(now, demand.window));
            visit(counter, count + added(Some(key)) + all_keys);
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
    pub(super) fn count(&self, demand: &Demand, now: Timestamp, earlier: &[Demand]) -> usize {
        let mut most = 0;
        self.against(demand, now, earlier, &mut |_, count| most = most.max(count));
        most
    }

    /// When enough have left the window for a demand to pass: under every key, where its own is not known. `None` where
    /// waiting does not help.
    pub(super) fn free_at(&self, demand: &Demand, now: Timestamp, earlier: &[Demand]) -> Option<Timestamp> {
        let unknown = self.group(demand).and_then(|group| group.unknown.as_ref());
        let ceiling = usize::try_from(demand.ceiling).unwrap_or(usize::MAX);
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
        visit: &mut dyn FnMut(Option<&Counter>, usize),
    ) {
        let same = |other: &&Demand| other.rule == demand.rule && other.scope == demand.scope;
        let earlier: Vec<&Demand> = earlier.iter().filter(same).collect();
        match self.group(demand) {
            Some(group) => group.against(demand, now, &earlier, visit),
            None => Group::default().against(demand, now, &earlier, visit),
        }
    }

    fn group(&self, demand: &Demand) -> Option<&Group> {
        self.rules.get(&*demand.rule)?.get(&demand.scope)
    }

    /// Counts one at `now`, which is not before any time counted here.
    pub(super) fn push(&mut self, demand: &Demand, now: Timestamp) {
        let (rule, scope, key) = (&demand.rule, demand.scope, demand.key);
        let (window, ceiling) = (demand.window, demand.ceiling);
        let group = self.rules.get_mut(&**rule).and_then(|scopes| scopes.get_mut(&scope));
        if let Some(counter) = group.and_then(|group| group.get_mut(key)) {
            return counter.push(now, window, ceiling);
        }
        self.tidy(now);
        let group = self
            .rules
            .entry(Arc::clone(rule))
            .or_default()
            .entry(scope)
            .or_default();
        let counter = match key {
            Some(key) => group.keys.entry(key).or_default(),
            None => group.unknown.get_or_insert_default(),
        };
        counter.push(now, window, ceiling);
        self.round.push_back((Arc::clone(rule), scope, key));
    }

    /// Takes one back that was counted at `then`.
    pub(super) fn take(&mut self, (rule, scope, key): &Charge, then: Timestamp, now: Timestamp) {
        let group = self.rules.get_mut(&**rule).and_then(|scopes| scopes.get_mut(scope));
        if let Some(counter) = group.and_then(|group| group.get_mut(*key)) {
            counter.take(then, now);
        }
    }

    /// Looks at two counters for each new one and drops what is empty: they cannot pile up, and nobody waits long.
    fn tidy(&mut self, now: Timestamp) {
        for _ in 0..2 {
            let Some((rule, scope, key)) = self.round.pop_front() else {
                return;
            };
            let Some(scopes) = self.rules.get_mut(&*rule) else {
                continue;
            };
            let Some(group) = scopes.get_mut(&scope) else { continue };
            if group.get(key).is_some_and(|counter| !counter.is_empty(now)) {
                self.round.push_back((rule, scope, key));
                continue;
            }
            match key {
                Some(key) => drop(group.keys.remove(&key)),
                None => group.unknown = None,
            }
            if group.keys.is_empty() && group.unknown.is_none() {
                scopes.remove(&scope);
            }
            if scopes.is_empty() {
                self.rules.remove(&*rule);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.round.len()
    }
}

/// When the oldest `leaving` of these have left the window.
fn leaves<'a>(
    counters: impl Iterator<Item = &'a Counter>,
    now: Timestamp,
    window: Span,
    leaving: usize,
) -> Option<Timestamp> {
    let mut times: Vec<Timestamp> = counters.flat_map(|counter| counter.ring.within(now, window)).collect();
    times.sort_unstable();
    let last = times.get(leaving.checked_sub(1)?)?;
    let window = i64::try_from(window.as_millis()).ok()?;
    let free = last.as_millis().checked_add(window)?.checked_add(1)?;
    Some(Timestamp::from_millis(free))
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

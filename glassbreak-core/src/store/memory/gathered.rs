//! The counters of one call, all locked: what its demands come to, and counting them.

use super::counter::{Charge, Counters};
use super::sync::{COUNTERS, MutexGuard};
use crate::clock::Timestamp;
use crate::store::{Demand, Over, Position, Reserved};

/// The counter shards that a call needs, all locked.
pub(super) struct Gathered<'a> {
    /// Their numbers, in order.
    pub(super) set: Vec<usize>,
    pub(super) shards: Vec<MutexGuard<'a, Counters>>,
}

/// Where a shard is among those that are locked.
pub(super) type Spot = Option<usize>;

impl Gathered<'_> {
    /// How many each demand would count, all of them passing; or the first that does not.
    /// `spots` says where the counters of each are.
    pub(super) fn count(&self, demands: &[Demand], spots: &[Spot], now: Timestamp) -> Result<Box<[u64]>, Excess> {
        let mut counts = Vec::with_capacity(demands.len());
        let none = Counters::default();
        let apart = all_apart(demands);
        for (place, (demand, spot)) in demands.iter().zip(spots).enumerate() {
            let earlier = demands.get(..place).filter(|_| !apart).unwrap_or_default();
            let shard = spot.and_then(|spot| self.shards.get(spot));
            let counters = shard.map_or(&none, |shard| &**shard);
            let count = counters.count(demand, now, earlier);
            if count > demand.ceiling {
                return Err(Excess {
                    demand: place,
                    count,
                    free_at: counters.free_at(demand, now, earlier),
                });
            }
            counts.push(count);
        }
        Ok(counts.into())
    }

    pub(super) fn push(&mut self, demand: Demand, spot: Spot, now: Timestamp) -> Charge {
        let stamp = match spot.and_then(|spot| self.shards.get_mut(spot)) {
            Some(shard) => shard.push(&demand, now),
            None => demand.window.stamp(now),
        };
        Charge {
            rule: demand.rule,
            scope: demand.scope,
            key: demand.key,
            window: demand.window,
            ceiling: demand.ceiling,
            stamp,
            amount: demand.amount,
        }
    }

    pub(super) fn take(&mut self, charge: &Charge, amount: u64, now: Timestamp) {
        let place = self.place(&charge.scope);
        if let Some(shard) = place.and_then(|place| self.shards.get_mut(place)) {
            shard.take(charge, amount, now);
        }
    }

    pub(super) fn add(&mut self, charge: &Charge, more: u64, now: Timestamp) {
        let place = self.place(&charge.scope);
        if let Some(shard) = place.and_then(|place| self.shards.get_mut(place)) {
            shard.add(charge, more, now);
        }
    }

    /// Where the shard of each demand is.
    pub(super) fn spots(&self, demands: &[Demand]) -> Vec<Spot> {
        demands.iter().map(|demand| self.place(&demand.scope)).collect()
    }

    /// Where the shard of `scope` is among those that are locked.
    fn place(&self, scope: &[u8; 16]) -> Option<usize> {
        self.set.binary_search(&shard_of(scope, COUNTERS)).ok()
    }
}

/// Whether no two are of one rule and scope, as is usual: then none has to look at those before it. Told by their last
/// bytes, so that a no may be wrong; a yes is not.
fn all_apart(demands: &[Demand]) -> bool {
    let last = |bytes: &[u8]| match bytes.last_chunk() {
        Some(last) => u64::from_ne_bytes(*last),
        None => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let tags: Vec<_> = (demands.iter())
        .map(|demand| (last(demand.rule.as_bytes()), last(&demand.scope)))
        .collect();
    let mut rest = &*tags;
    while let Some((tag, behind)) = rest.split_first() {
        if behind.contains(tag) {
            return false;
        }
        rest = behind;
    }
    true
}

/// A demand past its ceiling.
pub(super) struct Excess {
    demand: usize,
    count: u64,
    free_at: Option<Timestamp>,
}

impl Excess {
    pub(super) fn answer(self, now: Timestamp, position: Position) -> Reserved {
        let Self { demand, count, free_at } = self;
        Reserved::Over(Over {
            demand,
            count,
            free_at,
            now,
            position,
        })
    }
}

/// Scopes are hashes and op ids end in random bytes: any of those is as good as another.
pub(super) fn shard_of(bytes: &[u8; 16], of: usize) -> usize {
    let [.., high, low] = *bytes;
    usize::from(u16::from_be_bytes([high, low])) % of
}

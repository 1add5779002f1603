//! The exact sliding window: the times of the last calls that were admitted.

use std::collections::VecDeque;

use crate::clock::{Span, Timestamp};

/// Times, the oldest first, never more than it is told to keep.
///
/// A window is closed at its old end: a call exactly as old as the window still counts, one a millisecond older does
/// not. With `ceiling + 1` times kept, every count up to `ceiling + 1` is exact, and nothing above is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ring(VecDeque<i64>);

impl Ring {
    /// How many are in the window that ends at `at`.
    pub(crate) fn count(&self, at: Timestamp, window: Span) -> usize {
        self.0.len() - self.gone(at, window)
    }

    /// The times in the window that ends at `at`, the oldest first.
    pub(crate) fn within(&self, at: Timestamp, window: Span) -> impl Iterator<Item = Timestamp> + '_ {
        let gone = self.gone(at, window);
        self.0.iter().skip(gone).copied().map(Timestamp::from_millis)
    }

    /// Adds `at`, which is not before the newest, and keeps the last `most`.
    pub(crate) fn push(&mut self, at: Timestamp, window: Span, most: usize) {
        let gone = self.gone(at, window);
        self.0.drain(..gone);
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        if self.0.len() == self.0.capacity() {
            // Doubled, but never past what may be kept: the bound on memory is exact.
            let room = most.max(1).saturating_sub(self.0.len());
            self.0.reserve_exact(room.min(self.0.len().max(4)));
        }
        self.0.push_back(at.as_millis());
    }

    /// Takes one call back that was added at `at`, if one is still kept.
    pub(crate) fn remove(&mut self, at: Timestamp) {
        if let Ok(index) = self.0.binary_search(&at.as_millis()) {
            self.0.remove(index);
        }
    }

    /// The bytes it holds outside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<i64>()
    }

    /// How many, from the oldest, are out of the window that ends at `at`.
    fn gone(&self, at: Timestamp, window: Span) -> usize {
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        self.0
            .partition_point(|time| at.as_millis().saturating_sub(*time) > window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Span = Span::from_millis(1_000);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_old_end_is_closed() {
        let mut ring = Ring::default();
        ring.push(at(5), W, 10);
        assert_eq!(ring.count(at(1_005), W), 1);
        assert_eq!(ring.count(at(1_006), W), 0);
    }

    #[test]
    fn only_the_newest_are_kept_and_memory_stays_within_them() {
        let mut ring = Ring::default();
        for n in 0..5_000 {
            ring.push(at(n / 10), W, 11);
        }
        assert_eq!(ring.count(at(499), W), 11);
        assert_eq!(ring.within(at(499), W).next(), Some(at(498)));
        assert!(ring.heap_bytes() <= 11 * 8, "{}", ring.heap_bytes());
    }

    #[test]
    fn one_of_many_is_taken_back() {
        let mut ring = Ring::default();
        [1, 2, 2, 3].into_iter().for_each(|n| ring.push(at(n), W, 10));
        ring.remove(at(2));
        ring.remove(at(9));
        assert_eq!(ring.within(at(3), W).collect::<Vec<_>>(), [at(1), at(2), at(3)]);
    }

    #[test]
    fn the_ends_of_time_are_only_numbers() {
        let mut ring = Ring::default();
        ring.push(at(i64::MIN), W, 3);
        ring.push(at(i64::MAX), W, 3);
        assert_eq!(ring.count(at(i64::MAX), W), 1);
    }
}

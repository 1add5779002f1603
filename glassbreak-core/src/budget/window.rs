//! Windows: how long what was counted counts, and the times of what was.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};

/// How long a call counts.
///
/// Whatever counts is kept at a [stamp](Self::stamp), and counts as long as that is not before the
/// [beginning](Self::begin) of the window that ends now. All that differs between windows is these two; no store needs
/// to know more, and none may under-count by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// Exactly this long: a call exactly as old still counts, one a millisecond older does not.
    Sliding(Span),
    /// This long, in steps of `size`: a step counts whole until it is out whole, so a call counts for up to one step
    /// too long. It keeps one number for each step, whatever comes in.
    Buckets {
        /// How long.
        span: Span,
        /// How long a step is.
        size: Span,
    },
    /// To the end of the hour, day or week (UTC) it is made in. Twice the limit fits around the edge.
    Calendar(Period),
    /// For ever.
    Lifetime,
}

/// A stretch of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From a full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
}

impl Period {
    /// All of them, as files write them.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("hour", Self::Hour), ("day", Self::Day), ("week", Self::Week)];

    /// Its length, and how long after 1970-01-01 00:00 one begins.
    const fn grid(self) -> (i64, i64) {
        const HOUR: i64 = 3_600_000;
        match self {
            Self::Hour => (HOUR, 0),
            Self::Day => (24 * HOUR, 0),
            // The first of January 1970 was a Thursday.
            Self::Week => (7 * 24 * HOUR, 4 * 24 * HOUR),
        }
    }

    fn begin(self, now: i64) -> i64 {
        let (length, offset) = self.grid();
        now.saturating_sub(now.saturating_sub(offset).rem_euclid(length))
    }
}

impl Window {
    /// What a call made at `now` is kept at.
    pub fn stamp(self, now: Timestamp) -> Timestamp {
        let now = now.as_millis();
        Timestamp::from_millis(match self {
            Self::Sliding(_) => now,
            // The end of its step: it leaves with the last call that the step may hold.
            Self::Buckets { size, .. } => {
                let size = whole(size).max(1);
                now.saturating_sub(now.rem_euclid(size)).saturating_add(size - 1)
            }
            Self::Calendar(period) => period.begin(now),
            Self::Lifetime => 0,
        })
    }

    /// The oldest stamp that counts at `now`.
    pub fn begin(self, now: Timestamp) -> Timestamp {
        let now = now.as_millis();
        Timestamp::from_millis(match self {
            Self::Sliding(span) | Self::Buckets { span, .. } => now.saturating_sub(whole(span)),
            Self::Calendar(period) => period.begin(now),
            Self::Lifetime => i64::MIN,
        })
    }

    /// When what is kept at `stamp` no longer counts; `None` for never.
    pub fn leaves(self, stamp: Timestamp) -> Option<Timestamp> {
        let stamp = stamp.as_millis();
        let left = match self {
            Self::Sliding(span) | Self::Buckets { span, .. } => stamp.checked_add(whole(span))?.checked_add(1)?,
            Self::Calendar(period) => period.begin(stamp).checked_add(period.grid().0)?,
            Self::Lifetime => return None,
        };
        Some(Timestamp::from_millis(left))
    }

    /// How many numbers must be kept to count up to `ceiling` and one more.
    pub fn entries(self, ceiling: u64) -> usize {
        let most = match self {
            Self::Sliding(_) => ceiling.saturating_add(1),
            Self::Buckets { span, size } => (span.as_millis() / size.as_millis().max(1)).saturating_add(2),
            Self::Calendar(_) | Self::Lifetime => 1,
        };
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// How long a call counts at most; `None` for ever.
    pub fn longest(self) -> Option<Span> {
        match self {
            Self::Sliding(span) => Some(span),
            Self::Buckets { span, size } => Some(Span::from_millis(span.as_millis().saturating_add(size.as_millis()))),
            Self::Calendar(period) => u64::try_from(period.grid().0).ok().map(Span::from_millis),
            Self::Lifetime => None,
        }
    }
}

impl fmt::Display for Window {
    /// As findings say it: `in 10m`, `this day (UTC)`, `in all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sliding(span) | Self::Buckets { span, .. } => write!(f, "in {span}"),
            Self::Calendar(Period::Hour) => f.write_str("this hour (UTC)"),
            Self::Calendar(Period::Day) => f.write_str("this day (UTC)"),
            Self::Calendar(Period::Week) => f.write_str("this week (UTC)"),
            Self::Lifetime => f.write_str("in all"),
        }
    }
}

fn whole(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Amounts by their stamps, the oldest first, never more entries than it is told to keep.
///
/// Under a sliding window every amount is at least one, so with `ceiling + 1` entries every count up to `ceiling + 1`
/// is exact, and nothing above is admitted. Under the others calls of one step share an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<(i64, u64)>", into = "VecDeque<(i64, u64)>")]
pub(crate) struct Ring {
    entries: VecDeque<(i64, u64)>,
    /// All of them together: most of the time nothing has left.
    total: u64,
}

impl Ring {
    /// How much is in the window that ends at `at`.
    pub(crate) fn count(&self, at: Timestamp, window: Window) -> u64 {
        let begin = window.begin(at).as_millis();
        let gone = self.entries.iter().take_while(|(stamp, _)| *stamp < begin);
        self.total
            .saturating_sub(gone.fold(0, |sum, (_, amount)| u64::saturating_add(sum, *amount)))
    }

    /// The stamps and amounts in the window that ends at `at`, the oldest first.
    pub(crate) fn within(&self, at: Timestamp, window: Window) -> impl Iterator<Item = (Timestamp, u64)> + '_ {
        let gone = self.gone(at, window);
        let left = self.entries.iter().skip(gone);
        left.map(|(stamp, amount)| (Timestamp::from_millis(*stamp), *amount))
    }

    /// Whether `most` entries are kept, counting or not.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.entries.len() >= most.max(1)
    }

    /// Counts `amount` at `at`, which is not before the newest, and keeps the last `most` entries. Returns what it is
    /// kept at, for [`remove`](Self::remove), and whether an entry that still counted had to go.
    pub(crate) fn push(&mut self, at: Timestamp, window: Window, amount: u64, most: usize) -> (Timestamp, bool) {
        self.push_keeping(at, window, amount, most, window)
    }

    /// The same, keeping what counts in the window `kept`.
    pub(crate) fn push_keeping(
        &mut self,
        at: Timestamp,
        window: Window,
        amount: u64,
        most: usize,
        kept: Window,
    ) -> (Timestamp, bool) {
        for _ in 0..self.gone(at, kept) {
            self.drop_oldest();
        }
        // After a rule has changed its window the newest may be later: then it counts for longer.
        let stamp = window.stamp(at).as_millis();
        let newest = self.entries.back().map_or(i64::MIN, |(stamp, _)| *stamp);
        let stamp = stamp.max(newest);
        let kept = Timestamp::from_millis(stamp);
        self.total = self.total.saturating_add(amount);
        let shares = newest == stamp && !matches!(window, Window::Sliding(_));
        if let Some((_, sum)) = self.entries.back_mut().filter(|_| shares) {
            *sum = sum.saturating_add(amount);
            return (kept, false);
        }
        let mut shed = false;
        while self.is_full(most) {
            self.drop_oldest();
            shed = true;
        }
        if self.entries.len() == self.entries.capacity() {
            // Doubled, but never past what may be kept: the bound on memory is exact.
            let room = most.max(1).saturating_sub(self.entries.len());
            self.entries.reserve_exact(room.min(self.entries.len().max(4)));
        }
        self.entries.push_back((stamp, amount));
        (kept, shed)
    }

    /// Takes `less` back of a call that counted `amount` at this stamp, as far as it is still kept there.
    pub(crate) fn remove(&mut self, stamp: Timestamp, amount: u64, less: u64) {
        let stamp = stamp.as_millis();
        let end = self.entries.partition_point(|(at, _)| *at <= stamp);
        let same = self.entries.iter().take(end).rev().take_while(|(at, _)| *at == stamp);
        // Calls of one moment under a sliding window have an entry each: the one of this amount it is.
        let found = same.enumerate().find(|(_, (_, sum))| *sum == amount).map(|(n, _)| n);
        let index = end.checked_sub(1).and_then(|last| last.checked_sub(found.unwrap_or(0)));
        let Some(index) = index else { return };
        let entry = self.entries.get_mut(index);
        let Some((_, sum)) = entry.filter(|(at, sum)| *at == stamp && *sum >= amount.max(less)) else {
            return;
        };
        *sum -= less;
        self.total = self.total.saturating_sub(less);
        if *sum == 0 {
            self.entries.remove(index);
        }
    }

    /// Counts `more` on top at a stamp. Where there is no room for it among `most`, it goes with the next later one: for
    /// too long, never for too short.
    pub(crate) fn add(&mut self, stamp: Timestamp, more: u64, most: usize) {
        let stamp = stamp.as_millis();
        let index = self.entries.partition_point(|(at, _)| *at < stamp);
        let full = self.entries.len() >= most;
        self.total = self.total.saturating_add(more);
        match self.entries.get_mut(index).filter(|(at, _)| full || *at == stamp) {
            Some((_, sum)) => *sum = sum.saturating_add(more),
            None => self.entries.insert(index, (stamp, more)),
        }
    }

    /// The bytes it holds outside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * ENTRY_BYTES
    }

    fn drop_oldest(&mut self) {
        if let Some((_, amount)) = self.entries.pop_front() {
            self.total = self.total.saturating_sub(amount);
        }
    }

    /// How many entries, from the oldest, are out of the window that ends at `at`.
    fn gone(&self, at: Timestamp, window: Window) -> usize {
        let begin = window.begin(at).as_millis();
        self.entries.partition_point(|(stamp, _)| *stamp < begin)
    }
}

impl From<VecDeque<(i64, u64)>> for Ring {
    fn from(entries: VecDeque<(i64, u64)>) -> Self {
        let total = entries
            .iter()
            .fold(0, |sum, (_, amount)| u64::saturating_add(sum, *amount));
        Self { entries, total }
    }
}

impl From<Ring> for VecDeque<(i64, u64)> {
    fn from(ring: Ring) -> Self {
        ring.entries
    }
}

/// What one entry of a ring takes.
pub(super) const ENTRY_BYTES: usize = size_of::<(i64, u64)>();

#[cfg(test)]
mod tests {
    use super::*;

    const W: Window = Window::Sliding(Span::from_millis(1_000));

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_old_end_is_closed() {
        let mut ring = Ring::default();
        ring.push(at(5), W, 1, 10);
        assert_eq!(ring.count(at(1_005), W), 1);
        assert_eq!(ring.count(at(1_006), W), 0);
        assert_eq!(W.leaves(at(5)), Some(at(1_006)));
    }

    #[test]
    fn only_the_newest_are_kept_and_memory_stays_within_them() {
        let mut ring = Ring::default();
        for n in 0..5_000 {
            ring.push(at(n / 10), W, 1, 11);
        }
        assert_eq!(ring.count(at(499), W), 11);
        assert_eq!(ring.within(at(499), W).next(), Some((at(498), 1)));
        assert!(ring.heap_bytes() <= 11 * ENTRY_BYTES, "{}", ring.heap_bytes());
    }

    #[test]
    fn one_of_many_is_taken_back() {
        let mut ring = Ring::default();
        for n in [1, 2, 2, 3] {
            let _ = ring.push(at(n), W, 1, 10);
        }
        ring.remove(at(2), 1, 1);
        ring.remove(at(9), 1, 1);
        assert_eq!(
            ring.within(at(3), W).collect::<Vec<_>>(),
            [(at(1), 1), (at(2), 1), (at(3), 1)]
        );
        // The one of this amount, and not another of the same moment.
        ring.push(at(3), W, 7, 10);
        ring.push(at(3), W, 2, 10);
        ring.remove(at(3), 7, 7);
        assert_eq!(ring.count(at(3), W), 5);
        ring.remove(at(3), 2, 1);
        assert_eq!(ring.count(at(3), W), 4);
    }

    #[test]
    fn the_ends_of_time_are_only_numbers() {
        let mut ring = Ring::default();
        ring.push(at(i64::MIN), W, 1, 3);
        ring.push(at(i64::MAX), W, u64::MAX, 3);
        assert_eq!(ring.count(at(i64::MAX), W), u64::MAX);
        for window in [
            Window::Lifetime,
            Window::Calendar(Period::Week),
            Window::Buckets {
                span: Span::MAX,
                size: Span::from_millis(7),
            },
        ] {
            for time in [i64::MIN, -1, 0, i64::MAX] {
                assert!(window.stamp(at(time)) >= window.begin(at(time)), "{window:?} {time}");
            }
        }
    }

    #[test]
    fn a_step_counts_whole_until_it_is_out_whole() {
        let window = Window::Buckets {
            span: Span::from_millis(1_000),
            size: Span::from_millis(100),
        };
        let mut ring = Ring::default();
        ring.push(at(200), window, 5, 12);
        ring.push(at(299), window, 5, 12);
        assert_eq!(ring.entries.len(), 1);
        assert_eq!(ring.count(at(1_299), window), 10);
        assert_eq!(ring.count(at(1_300), window), 0);
        // However many come, there is one entry for each step that is within.
        for n in 0..10_000 {
            ring.push(at(300 + n), window, 1, 12);
        }
        assert!(ring.entries.len() <= 12);
        assert!(ring.count(at(10_299), window) >= 1_000);
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_lifetime_never() {
        let day = Window::Calendar(Period::Day);
        let noon = Timestamp::from_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let last = Timestamp::from_rfc3339("2026-03-01T23:59:59.999Z").unwrap();
        let next = Timestamp::from_rfc3339("2026-03-02T00:00:00Z").unwrap();
        let mut ring = Ring::default();
        ring.push(noon, day, 3, 2);
        assert_eq!((ring.count(last, day), ring.count(next, day)), (3, 0));
        assert_eq!(day.leaves(day.stamp(noon)), Some(next));
        let monday = Timestamp::from_rfc3339("2026-03-02T00:00:00Z").unwrap();
        assert_eq!(
            Window::Calendar(Period::Week).stamp(last),
            Timestamp::from_rfc3339("2026-02-23T00:00:00Z").unwrap()
        );
        assert_eq!(Window::Calendar(Period::Week).stamp(monday), monday);
        let mut ring = Ring::default();
        for n in 0..1_000 {
            ring.push(at(n), Window::Lifetime, 2, 1);
        }
        assert_eq!(ring.count(at(i64::MAX), Window::Lifetime), 2_000);
        assert_eq!(ring.entries.len(), 1);
    }

    #[test]
    fn more_is_counted_where_the_call_was_counted_or_for_longer() {
        let mut ring = Ring::default();
        ring.push(at(1), W, 1, 3);
        ring.push(at(500), W, 1, 3);
        ring.add(at(1), 4, 3);
        assert_eq!((ring.count(at(1_001), W), ring.count(at(1_002), W)), (6, 1));
        ring.add(at(7), 4, 3);
        assert_eq!((ring.count(at(1_007), W), ring.count(at(1_008), W)), (5, 1));
        let mut ring = Ring::default();
        ring.push(at(500), W, 1, 1);
        ring.add(at(1), 4, 1);
        assert_eq!(ring.count(at(1_500), W), 5);
    }
}

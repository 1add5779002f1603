//! The store's time.

use std::sync::Arc;

use super::sync::{AtomicI64, Mutex, Ordering};
use crate::clock::{Span, Timestamp};
use crate::store::Clock;

/// How far ahead a given time may be.
const LEAP: i64 = 5_000;
/// No time was given yet.
const UNSET: i64 = i64::MIN;

/// The latest time given, and how long ago that was by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Time {
    newest: AtomicI64,
    /// What the clock showed when `newest` was given.
    shown: Mutex<i64>,
    clock: Arc<dyn Clock>,
}

impl Time {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            newest: AtomicI64::new(UNSET),
            shown: Mutex::new(0),
            clock,
        }
    }

    /// Takes a given time, and tells the store's: the latest so far. `None` when its lock is poisoned; a time that is
    /// not believed comes back as [`Reading::Ahead`].
    ///
    /// Most calls come within a millisecond of another, and only read.
    pub(super) fn read(&self, given: Timestamp) -> Option<Reading> {
        let given = given.as_millis();
        let newest = self.newest.load(Ordering::SeqCst);
        if given <= newest {
            return Some(Reading::Now(Timestamp::from_millis(newest)));
        }
        let mut shown = self.shown.lock().ok()?;
        let elapsed = millis(self.clock.elapsed());
        let newest = self.newest.load(Ordering::SeqCst);
        if newest != UNSET {
            let latest = newest
                .saturating_add(elapsed.saturating_sub(*shown))
                .saturating_add(LEAP);
            if given > latest {
                return Some(Reading::Ahead {
                    latest: Timestamp::from_millis(latest),
                });
            }
        }
        if given > newest {
            self.newest.store(given, Ordering::SeqCst);
            *shown = elapsed;
        }
        Some(Reading::Now(Timestamp::from_millis(given.max(newest))))
    }

    /// The latest time given; the beginning of time where none was.
    pub(super) fn newest(&self) -> Timestamp {
        Timestamp::from_millis(self.newest.load(Ordering::SeqCst))
    }

    /// Takes a given time, whatever it is, if it is not behind.
    pub(super) fn adopt(&self, given: Timestamp) -> Option<()> {
        let mut shown = self.shown.lock().ok()?;
        if given.as_millis() > self.newest.load(Ordering::SeqCst) {
            self.newest.store(given.as_millis(), Ordering::SeqCst);
            *shown = millis(self.clock.elapsed());
        }
        Some(())
    }
}

/// What a given time comes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// The store's time.
    Now(Timestamp),
    /// It is not believed; this would be the latest.
    Ahead { latest: Timestamp },
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

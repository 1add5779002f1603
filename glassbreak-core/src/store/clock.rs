//! Elapsed time: what a clock that jumps is caught by.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::clock::Span;

/// Tells how much time went by, by a clock that nobody sets.
///
/// Stores take the date from their caller and use this only to see that a date is too far ahead to be true.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time since some fixed moment; never less than before.
    fn elapsed(&self) -> Span;
}

/// The machine's monotonic clock. On most systems it stands still while the machine sleeps.
#[derive(Debug)]
pub struct SteadyClock(Instant);

impl Default for SteadyClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SteadyClock {
    fn elapsed(&self) -> Span {
        Span::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves when it is told to, for tests of expiry without sleeping.
#[derive(Debug, Default)]
pub struct FakeClock(AtomicU64);

impl FakeClock {
    /// Lets `span` go by.
    pub fn pass(&self, span: Span) {
        self.0.fetch_add(span.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn elapsed(&self) -> Span {
        Span::from_millis(self.0.load(Ordering::SeqCst))
    }
}

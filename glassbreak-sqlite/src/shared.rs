//! What the threads of one store know together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::Fault;
use crate::meta::Seen;
use crate::place::{Identity, Place};

/// Whether the store may answer, and how far it is known to have come.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    identity: Mutex<Identity>,
    seen: Mutex<Seen>,
    fault: Mutex<Option<Fault>>,
    /// Raised whenever something may have changed that somebody waits for.
    pub(crate) news: watch::Sender<u64>,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(place: Place, identity: Identity, seen: Seen, fault: Option<Fault>) -> Self {
        Self {
            place,
            identity: Mutex::new(identity),
            seen: Mutex::new(seen),
            fault: Mutex::new(fault),
            news: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Why everything is denied, if it is.
    pub(crate) fn fault(&self) -> Option<Fault> {
        held(&self.fault).clone()
    }

    /// Denies everything from now on, if the fault is one that sticks.
    pub(crate) fn fail(&self, fault: &Fault) {
        if !fault.sticks() {
            return;
        }
        let mut first = held(&self.fault);
        // An operator's word mends the one, and only opening it again the other.
        if !matches!(*first, Some(Fault::Broken(_))) {
            *first = Some(fault.clone());
        }
        drop(first);
        self.tell();
    }

    /// An operator has adopted what is there.
    pub(crate) fn adopted(&self, seen: Seen) {
        *held(&self.seen) = seen;
        *held(&self.fault) = None;
        self.tell();
    }

    /// The latest transaction that this process knows of. Ask before a transaction begins.
    pub(crate) fn seen(&self) -> Seen {
        *held(&self.seen)
    }

    pub(crate) fn saw(&self, now: Seen) {
        let mut seen = held(&self.seen);
        *seen = seen.later(now);
    }

    /// Whether the files are still those that were opened.
    pub(crate) fn check_identity(&self) -> Result<(), Fault> {
        self.place.check_identity(&mut held(&self.identity))
    }

    pub(crate) fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Counts as waiting until it is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(&self.waiting)
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Each is replaced whole, so a panic leaves no half of it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

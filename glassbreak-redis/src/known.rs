//! How far the store is known to have come, and what follows where it is not there any more.
//!
//! All keys of a realm are one stream of changes, so what a server loses is always the end of it. A server that takes over
//! begins a reign at the epoch that it has; whoever knows of a later one of the reign before knows that something is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glassbreak_core::lock::LockSet;
use glassbreak_core::store::Position;

use crate::error::Fault;

/// A point in the life of a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) generation: [u8; 16],
    pub(crate) reign: u64,
    /// The server that holds the reign.
    pub(crate) run: Arc<str>,
    pub(crate) epoch: u64,
}

impl Seen {
    pub(crate) fn at(&self, epoch: u64) -> Position {
        Position {
            generation: self.generation,
            epoch,
        }
    }

    /// What an answer says to whoever knew this when it was asked.
    pub(crate) fn met(&self, answer: &Self) -> Met {
        if answer.reign < self.reign {
            return Met::Lost(format!(
                "the server is back in reign {}, after reign {}",
                answer.reign, self.reign
            ));
        }
        if answer.reign > self.reign {
            return Met::Later;
        }
        if answer.run != self.run {
            return Met::Lost(format!("two servers hold reign {}", self.reign));
        }
        if answer.epoch < self.epoch {
            let (here, known) = (answer.epoch, self.epoch);
            return Met::Lost(format!(
                "the server is an older state: it stands at change {here}, and was at {known}"
            ));
        }
        Met::Fine
    }

    /// Whether all that is known here was there when the next reign began.
    pub(crate) fn follows(&self, reigns: &BTreeMap<u64, u64>) -> Result<(), String> {
        match reigns.get(&self.reign.saturating_add(1)) {
            Some(began) if *began >= self.epoch => Ok(()),
            Some(began) => Err(format!(
                "a server took over that had not seen everything: it began at change {began}, and change {} is known",
                self.epoch
            )),
            None => Err(format!("what followed on reign {} is not known", self.reign)),
        }
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// It goes on.
    Fine,
    /// Another server holds it: ask whether it had seen everything.
    Later,
    /// Something is lost.
    Lost(String),
}

/// What the tasks of one store know together.
#[derive(Debug)]
pub(crate) struct Known {
    seen: Mutex<Seen>,
    fault: Mutex<Option<Fault>>,
    locks: Mutex<Arc<LockSet>>,
}

impl Known {
    pub(crate) fn new(seen: Seen) -> Self {
        Self {
            seen: Mutex::new(seen),
            fault: Mutex::new(None),
            locks: Mutex::default(),
        }
    }

    /// The latest that is known. Ask before a message is sent.
    pub(crate) fn seen(&self) -> Seen {
        held(&self.seen).clone()
    }

    /// Takes in what an answer said that was found to be fine.
    pub(crate) fn saw(&self, now: &Seen) {
        let mut seen = held(&self.seen);
        if seen.generation == now.generation && (seen.reign, seen.epoch) < (now.reign, now.epoch) {
            *seen = now.clone();
        }
    }

    /// Why everything is denied, if it is.
    pub(crate) fn fault(&self) -> Option<Fault> {
        held(&self.fault).clone()
    }

    /// Denies everything from now on.
    pub(crate) fn fail(&self, fault: Fault) {
        held(&self.fault).get_or_insert(fault);
    }

    /// Goes on with what an operator has adopted.
    pub(crate) fn adopted(&self, seen: Seen) {
        *held(&self.seen) = seen;
        *held(&self.fault) = None;
    }

    /// The locks that were in force when somebody last looked.
    pub(crate) fn locks(&self) -> Arc<LockSet> {
        Arc::clone(&held(&self.locks))
    }

    pub(crate) fn saw_locks(&self, locks: Arc<LockSet>) {
        *held(&self.locks) = locks;
    }
}

/// Each is replaced whole, so a panic leaves no half of it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(reign: u64, run: &str, epoch: u64) -> Seen {
        Seen {
            generation: [7; 16],
            reign,
            run: run.into(),
            epoch,
        }
    }

    #[test]
    fn what_is_behind_what_was_known_is_lost() {
        let known = seen(3, "a", 100);
        assert_eq!(known.met(&seen(3, "a", 100)), Met::Fine);
        assert_eq!(known.met(&seen(3, "a", 101)), Met::Fine);
        assert_eq!(known.met(&seen(4, "b", 90)), Met::Later);
        for lost in [seen(3, "a", 99), seen(3, "b", 200), seen(2, "a", 200)] {
            assert!(matches!(known.met(&lost), Met::Lost(_)), "{lost:?}");
        }
    }

    #[test]
    fn a_reign_that_began_before_what_is_known_has_lost_it_however_far_it_came() {
        let known = seen(3, "a", 100);
        let began = |at: &[(u64, u64)]| known.follows(&at.iter().copied().collect()).is_ok();
        assert!(began(&[(3, 5), (4, 100)]) && began(&[(4, 250), (5, 300)]));
        assert!(!began(&[(4, 99), (5, 300)]));
        assert!(!began(&[(5, 300)]), "reign 4 is forgotten");
    }

    #[test]
    fn what_is_known_only_grows() {
        let known = Known::new(seen(3, "a", 100));
        known.saw(&seen(3, "a", 99));
        assert_eq!(known.seen(), seen(3, "a", 100));
        known.saw(&seen(4, "b", 100));
        assert_eq!(known.seen().reign, 4);
    }
}

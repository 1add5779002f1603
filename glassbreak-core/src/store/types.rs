//! What goes into a store, and what comes out of it.

use std::sync::Arc;

use super::Demand;
use crate::call::{CallDigest, Text, Word};
use crate::clock::{Span, Timestamp};
use crate::grant::Grant;
use crate::lock::{Lock, LockPath, LockSet, Target};
use crate::stored::id_type;

id_type! {
    /// The id of a call, minted by the gate: a UUID of version 7, so it tells when it was minted.
    OpId
}

/// One try at a call: tells whoever repeats a message whose answer was lost from a second runner of the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt([u8; 16]);

impl Attempt {
    /// A new one, at random.
    pub fn mint() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// The one with these bytes, as it was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A point in the life of a store.
///
/// Two points of one generation are in order by their epochs. Another generation is another store, or the same one
/// restored: nothing known of the old one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which store: random, minted when it was made.
    pub generation: [u8; 16],
    /// How many changes it has seen.
    pub epoch: u64,
}

/// A call that wants to be counted: everything that [`Ledger::reserve`](super::Ledger::reserve) decides on.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// Which call.
    pub op: OpId,
    /// Which try at it.
    pub attempt: Attempt,
    /// What the call is: an op never stands for two different calls.
    pub digest: CallDigest,
    /// What locks may name.
    pub path: LockPath,
    /// What time the caller takes it to be.
    pub at: Timestamp,
    /// How long it may stay unsettled; after that it is presumed spent.
    pub lease: Span,
    /// What is counted: all of it or nothing.
    pub demands: Vec<Demand>,
}

impl Reserve {
    /// The most demands of one call.
    pub const MAX_DEMANDS: usize = 64;
}

/// What [`Ledger::reserve`](super::Ledger::reserve) answers. All but [`Held`](Self::Held) refuse, and change nothing.
#[must_use = "an unread answer guards nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It is counted, and the caller holds it until the lease ends.
    Held(Held),
    /// A ceiling is reached.
    Over(Over),
    /// A lock stops it.
    Locked {
        /// The lock.
        lock: Arc<Lock>,
        /// Where the store stood.
        position: Position,
    },
    /// The op was reserved before, by another attempt or by one that has ended: whatever permit it may have is taken.
    Taken {
        /// What is known of it.
        fate: Fate,
        /// Where the store stood.
        position: Position,
    },
    /// The op stands for a call with another digest.
    Mismatch {
        /// Where the store stood.
        position: Position,
    },
    /// The given time is too far ahead to be true. Until it comes back, or an operator adopts it, nothing is allowed.
    Clock {
        /// The latest time that would have been taken.
        latest: Timestamp,
        /// Where the store stood.
        position: Position,
    },
}

impl Reserved {
    /// Where the store stood.
    pub const fn position(&self) -> Position {
        match self {
            Self::Held(Held { position, .. })
            | Self::Over(Over { position, .. })
            | Self::Locked { position, .. }
            | Self::Taken { position, .. }
            | Self::Mismatch { position }
            | Self::Clock { position, .. } => *position,
        }
    }
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// For each demand, how many count, this call included.
    pub counts: Box<[u64]>,
    /// The grants of this caller that stand: candidates for a [`Claim`](super::Claim), nothing more.
    pub grants: Vec<Grant>,
    /// The change that this was.
    pub position: Position,
    /// The store's time: never before the time of an earlier answer.
    pub now: Timestamp,
    /// The last moment at which it may be settled as not run.
    pub deadline: Timestamp,
}

/// A ceiling that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// The first demand past its ceiling: its place among the demands.
    pub demand: usize,
    /// How much would count, this call included.
    pub count: u64,
    /// When enough have left the window for this demand to pass, if nothing else is counted until then; `None` where
    /// waiting does not help.
    pub free_at: Option<Timestamp>,
    /// The store's time.
    pub now: Timestamp,
    /// Where the store stood.
    pub position: Position,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It ran, and said that it succeeded.
    Done,
    /// It ran, or may have, and did not succeed. It counts like any other: its effect may be partial.
    Failed,
    /// It never began, and that is certain. Its counts are given back.
    NotRun,
    /// It was not permitted: people are asked first. Its counts are given back, and another attempt may reserve the op.
    Asked,
}

impl Outcome {
    /// Whether it gives back what was counted, when it is told in time.
    pub const fn refunds(self) -> bool {
        matches!(self, Self::NotRun | Self::Asked)
    }

    /// The word used in records and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NotRun => "not-run",
            Self::Asked => "asked",
        }
    }
}

/// What a store knows of an op that was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Somebody holds it.
    Held,
    /// It was settled.
    Settled(Outcome),
    /// Its lease ended before it was settled: it may have run, and counts.
    PresumedSpent,
    /// It may be one of those that are forgotten.
    Forgotten,
}

/// The end of a reservation, told by whoever holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// Which call.
    pub op: OpId,
    /// The attempt that reserved it.
    pub attempt: Attempt,
    /// What became of it.
    pub outcome: Outcome,
    /// What it really came to, where that is known and not what was reserved; the first word on each demand counts.
    pub actual: Vec<Actual>,
    /// What time the caller takes it to be.
    pub at: Timestamp,
}

/// What one demand of a call really came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actual {
    /// Its place among the demands.
    pub demand: usize,
    /// How much it was. More than was reserved counts in full, past any ceiling.
    pub amount: u64,
}

/// How a reservation ended: the first answer, however often it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// What became of the call, as it was first told.
    pub outcome: Outcome,
    /// Whether the lease had ended by then. The outcome is recorded, and the call counts all the same.
    pub late: bool,
    /// Whether the call no longer counts.
    pub refunded: bool,
    /// The change that this was.
    pub position: Position,
}

/// A wish to lift a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlock {
    /// What to lift the lock from.
    pub target: Target,
    /// Who asks.
    pub by: Word,
    /// Why.
    pub reason: Text,
    /// Where the store stood when they looked: a lock set after that is not the one they meant.
    pub seen: Position,
}

/// What [`Locks::unlock`](super::Locks::unlock) answers.
#[must_use = "the lock may still stand"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlocked {
    /// It is lifted.
    Lifted {
        /// The lock that stood.
        lock: Arc<Lock>,
        /// The change that this was.
        position: Position,
    },
    /// There was none.
    NotLocked {
        /// Where the store stood.
        position: Position,
    },
    /// Another lock was set since `seen`, and stands: look again.
    Newer {
        /// The lock that stands.
        lock: Arc<Lock>,
        /// Where the store stood.
        position: Position,
    },
}

/// The locks in force at a point in the life of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockView {
    /// Where the store stood.
    pub position: Position,
    /// The locks that were in force there.
    pub locks: Arc<LockSet>,
}

/// What of all that was acknowledged may be lost, and when: the loss window that a store owns up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Everything, with the process.
    Process,
    /// The last moments, with the machine's power; nothing with the process.
    Machine,
    /// Nothing with the machine's power; what followed the last copy, with its disk.
    Disk,
}

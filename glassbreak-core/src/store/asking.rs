//! What goes into and comes out of a store about people: requests, grants, and their use.

use std::sync::Arc;

use super::{Attempt, Fate, OpId, Position, StoreError, StoreErrorKind};
use crate::approval::{Request, RequestId, State};
use crate::call::{Text, Word};
use crate::clock::{Span, Timestamp};
use crate::finding::{RuleHash, RuleId};
use crate::grant::{Grant, GrantId, Mismatch, Scope, Use};
use crate::lock::{Lock, Target};

/// A question to be put to people.
#[derive(Debug, Clone)]
pub struct Open {
    /// It, pending, with no votes, at version 0. `opened_at` and `deadline` are set by the store.
    pub request: Request,
    /// How long people have.
    pub lasts: Span,
    /// How many questions an agent may ask.
    pub caps: Caps,
    /// What time the caller takes it to be.
    pub at: Timestamp,
}

/// How many questions an agent may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// How many may be open at once.
    pub pending: u32,
    /// How many may be opened within an hour.
    pub per_hour: u32,
    /// How long the same question rests after a person said no.
    pub cooldown: Option<Span>,
}

/// What [`Requests::open`](super::Requests::open) answers.
#[must_use = "an unread answer asks nobody"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is open.
    Opened(Box<Request>),
    /// The same question was open already: this one.
    Joined(Box<Request>),
    /// It is not asked.
    Refused {
        /// Why.
        why: Unasked,
        /// Where the store stood.
        position: Position,
    },
}

/// Why a question is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unasked {
    /// A lock stands on its path.
    Locked(Arc<Lock>),
    /// The agent has as many open as it may.
    Pending(u32),
    /// The agent has asked as many within an hour as it may.
    PerHour {
        /// How many.
        asked: u32,
        /// From when on it may ask again.
        free_at: Timestamp,
    },
    /// A person said no to the same question, not long ago.
    Resting {
        /// The request that was denied.
        request: RequestId,
        /// From when on it may be asked again.
        until: Timestamp,
    },
    /// The given time is too far ahead to be true.
    Clock {
        /// The latest time that would have been taken.
        latest: Timestamp,
    },
}

/// What a request shall become.
#[derive(Debug, Clone)]
pub struct Decide {
    /// The version that was looked at.
    pub expected: u32,
    /// The request as it shall be: of the version after.
    pub next: Request,
    /// The grant that goes with an approval, and with nothing else.
    pub grant: Option<Grant>,
    /// What time the caller takes it to be.
    pub at: Timestamp,
}

impl Decide {
    /// Whether it makes sense for the request as it stands, which is at the version that was expected: for stores.
    ///
    /// # Errors
    /// What does not: another call, a version that does not follow, a request that is final, a stage or a confirmation that
    /// is taken back, a grant that does not go with the state.
    pub fn check(&self, current: &Request) -> Result<(), StoreError> {
        let bad = |what: &str| Err(StoreError::new(StoreErrorKind::Invalid, "decide", what));
        if current.state.is_final() || current.version != self.expected {
            return bad("the request is not as it was looked at");
        }
        let moved = Request {
            version: self.expected.saturating_add(1),
            votes: self.next.votes.clone(),
            state: self.next.state.clone(),
            stages: self.next.stages.clone(),
            shown: self.next.shown,
            ..current.clone()
        };
        if moved != self.next {
            return bad("more than votes, stages and state would change, or the version does not follow");
        }
        let (before, after) = (&current.stages, &self.next.stages);
        let further = before.len() == after.len() && after.iter().zip(before).all(|(next, now)| next.follows(now));
        if !further || current.shown && !self.next.shown {
            return bad("a stage or a confirmation would be taken back, or the stages are others");
        }
        let asked = |(rule, hash): &(RuleId, RuleHash)| {
            current
                .rules
                .iter()
                .any(|asked| asked.rule == *rule && asked.hash == *hash)
        };
        let opens = |scope: &Scope| match scope {
            Scope::Once { digest } => *digest == current.digest,
            Scope::Window { action, .. } => *action == current.action && current.offer.is_some(),
        };
        match (&self.next.state, &self.grant) {
            (State::Approved { grant: named }, Some(grant)) => {
                let fits = grant.id == *named
                    && grant.request == current.id
                    && grant.uses == 0
                    && grant.revoked.is_none()
                    && grant.path == current.path
                    && grant.file == current.file
                    && grant.lifts.iter().all(asked)
                    && opens(&grant.scope);
                if fits {
                    Ok(())
                } else {
                    bad("the grant is not one of this request")
                }
            }
            (State::Approved { .. }, None) => bad("an approval without a grant"),
            (_, Some(_)) => bad("a grant without an approval"),
            (_, None) => Ok(()),
        }
    }

    /// Whether it comes at its time: votes before the deadline, an expiry from then on, a cancellation at any time.
    pub fn is_timely(&self, now: Timestamp) -> bool {
        match self.next.state {
            State::Pending | State::Approved { .. } | State::Denied { .. } => !self.next.is_late(now),
            State::Expired => self.next.is_late(now),
            State::Cancelled { .. } => true,
        }
    }
}

/// What [`Requests::decide`](super::Requests::decide) answers.
#[must_use = "an unread answer decides nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It is so, and its grant stands.
    Done {
        /// The change that this was.
        position: Position,
    },
    /// Something else came first: this is how it stands.
    Conflict(Box<Request>),
    /// The deadline has come, by the store's time; or, for an expiry, it has not.
    Untimely {
        /// The store's time.
        now: Timestamp,
    },
    /// A lock stands on its path.
    Locked(Arc<Lock>),
    /// There is no such request.
    Unknown,
    /// The given time is too far ahead to be true.
    Clock {
        /// The latest time that would have been taken.
        latest: Timestamp,
    },
}

/// A call in flight that wants to pass by a grant.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which call: one that this attempt holds.
    pub op: OpId,
    /// Which try at it.
    pub attempt: Attempt,
    /// The grant.
    pub grant: GrantId,
    /// All of the call that is compared with it.
    pub call: Use,
    /// What time the caller takes it to be.
    pub at: Timestamp,
}

/// What [`Ledger::claim`](super::Ledger::claim) answers. All but the first refuse, and change nothing.
#[must_use = "an unread answer guards nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// One use of the grant is spent, on this call.
    Used {
        /// The grant, this use counted.
        grant: Box<Grant>,
        /// The change that this was.
        position: Position,
    },
    /// The grant does not cover the call.
    Refused(Mismatch),
    /// A lock stands on its path.
    Locked(Arc<Lock>),
    /// This attempt does not hold the call any more.
    NotHeld(Fate),
    /// The given time is too far ahead to be true.
    Clock {
        /// The latest time that would have been taken.
        latest: Timestamp,
    },
}

/// A wish to end grants before their time, and to cancel what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// Which.
    pub which: Which,
    /// Who.
    pub by: Word,
    /// Why.
    pub reason: Text,
    /// What time the caller takes it to be.
    pub at: Timestamp,
}

/// Which grants are revoked, and which requests cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// One grant.
    Grant(GrantId),
    /// The grant of one request, or the request itself while it is open.
    Request(RequestId),
    /// What lifts or asks by this rule, whatever it said at the time.
    Rule(RuleId),
    /// Everything that a lock on this would stop.
    Under(Target),
}

impl Which {
    /// Whether this grant is meant: for stores.
    pub fn means_grant(&self, grant: &Grant) -> bool {
        match self {
            Self::Grant(id) => grant.id == *id,
            Self::Request(id) => grant.request == *id,
            Self::Rule(rule) => grant.lifts.iter().any(|(lifted, _)| lifted == rule),
            Self::Under(target) => grant.path.is_under(target),
        }
    }

    /// Whether this request is meant, where it is open: for stores.
    pub fn means_request(&self, request: &Request) -> bool {
        match self {
            Self::Grant(_) => false,
            Self::Request(id) => request.id == *id,
            Self::Rule(rule) => request.rules.iter().any(|asked| asked.rule == *rule),
            Self::Under(target) => request.path.is_under(target),
        }
    }
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The grants that stood until now.
    pub grants: Vec<GrantId>,
    /// The requests that were open until now.
    pub requests: Vec<RequestId>,
    /// The change that this was, or where the store stood where it changed nothing.
    pub position: Position,
}

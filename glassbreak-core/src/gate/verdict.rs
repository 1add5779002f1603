//! A ruling made usable.

use super::ask::Escalation;
use super::permit::AnyPermit;
use crate::finding::Denial;

/// The answer to a call. Exhaustive on purpose: hosts match all three.
#[must_use = "an unread verdict guards nothing"]
#[derive(Debug)]
pub enum Verdict {
    /// It may be performed, once, by this permit.
    Allow(AnyPermit),
    /// People must agree first. Nobody was asked yet: [`Escalation::wait`] asks and waits, [`Escalation::open`] only asks.
    Ask(Box<Escalation>),
    /// No.
    Deny(Denial),
}

/// A refusal as an error: what a guarded function gives back in place of its result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub Denial);

impl Denied {
    /// The refusal.
    pub const fn denial(&self) -> &Denial {
        &self.0
    }
}

impl From<Denial> for Denied {
    fn from(denial: Denial) -> Self {
        Self(denial)
    }
}

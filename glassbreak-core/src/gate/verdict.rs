//! A ruling made usable.

use super::permit::AnyPermit;
use crate::call::CallDigest;
use crate::finding::{Denial, Requirement, RuleId};

/// The answer to a call. Exhaustive on purpose: hosts match all three.
#[must_use = "an unread verdict guards nothing"]
#[derive(Debug)]
pub enum Verdict {
    /// It may be performed, once, by this permit.
    Allow(AnyPermit),
    /// People must agree first.
    Ask(Escalation),
    /// No.
    Deny(Denial),
}

/// A call that people must agree to. Asking them is not built yet: it carries what would be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    pub(super) digest: Option<CallDigest>,
    pub(super) requirements: Vec<(RuleId, Requirement)>,
    pub(super) denial: Denial,
}

impl Escalation {
    /// The call.
    pub const fn digest(&self) -> Option<CallDigest> {
        self.digest
    }

    /// For each rule that asks: who must agree, and what they may open. All of it is needed.
    pub fn requirements(&self) -> &[(RuleId, Requirement)] {
        &self.requirements
    }

    /// The refusal that this is as long as nobody is asked.
    pub fn into_denial(self) -> Denial {
        self.denial
    }
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

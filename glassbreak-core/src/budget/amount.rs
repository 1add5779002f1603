//! How much a call counts.

use super::Event;
use super::rules::Then;

/// The most that one call may count, and the highest limit: beyond it numbers are not told apart by everyone who reads
/// them.
pub(super) const MOST: u64 = 1_000_000_000_000_000;

/// How much each call counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Amount {
    /// This much.
    Fixed(u64),
    /// What the call costs, in a unit that profiles and the tool manifest name.
    Cost { unit: Box<str>, missing: Missing },
}

/// What becomes of a call whose cost is not known. It never counts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// People are asked; it then counts as much as the whole limit.
    Ask,
    /// It is denied.
    Deny,
    /// It counts so much.
    Assume(u64),
}

/// How much one call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) amount: u64,
    /// What is to happen because the cost is not known.
    pub(super) unknown: Option<Then>,
}

impl Amount {
    /// How much `event` counts under a rule of this limit.
    pub(super) fn of(&self, event: &Event<'_>, limit: u64) -> Counted {
        let known = |amount| Counted { amount, unknown: None };
        let unknown = |then| Counted {
            amount: limit.max(1),
            unknown: Some(then),
        };
        match self {
            Self::Fixed(amount) => known(*amount),
            Self::Cost { unit, missing } => match (event.facts.cost(unit), missing) {
                (Some(cost), _) => known(cost.min(MOST)),
                (None, Missing::Ask) => unknown(Then::Ask),
                (None, Missing::Deny) => unknown(Then::Deny),
                (None, Missing::Assume(amount)) => known(*amount),
            },
        }
    }

    /// The unit, where there is one.
    pub(super) fn unit(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Cost { unit, .. } => Some(unit),
        }
    }
}
